//! Parquet of documents: any bytes are read or told as damaged. The library's assertions are caught where documents are read, so
//! only what is not caught there counts.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use tutelage_corpus::{JobSettings, documents};

fuzz_target!(|bytes: &[u8]| {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let path = std::env::temp_dir().join(format!("tutelage-fuzz-parquet-{}.parquet", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let settings = JobSettings { max_record_bytes: 1 << 16, ..JobSettings::default() };
    if let Ok(found) = documents(std::slice::from_ref(&path), &settings) {
        // Rows that a file says it has may be as many as it likes.
        for found in found.take(100_000) {
            let Ok(found) = found else { break };
            if let Ok(record) = found.record {
                record.write(&mut Vec::new());
            }
        }
    }
    std::fs::remove_file(&path).unwrap();
});
