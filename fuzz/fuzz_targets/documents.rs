//! Files of documents: any bytes are read or told as damaged, as the kind that the first byte says, and never more of them than
//! there are bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_corpus::{JobSettings, documents};

const ENDINGS: [&str; 8] =
    ["jsonl", "jsonl.gz", "jsonl.zst", "warc", "warc.gz", "txt", "html", "wet.zst"];

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let ending = ENDINGS[usize::from(*kind) % ENDINGS.len()];
    let path = std::env::temp_dir().join(format!("tutelage-fuzz-documents-{}.{ending}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let settings = JobSettings { max_record_bytes: 4096, ..JobSettings::default() };
    let mut n = 0;
    for found in documents(std::slice::from_ref(&path), &settings).unwrap() {
        let found = found.unwrap();
        n += 1;
        if let Ok(record) = found.record {
            let mut line = Vec::new();
            record.write(&mut line);
            // What is written is read again, and written the same.
            let again = tutelage_corpus::Record::parse(&line, "text").unwrap();
            let mut twice = Vec::new();
            again.write(&mut twice);
            assert_eq!(line, twice);
        }
    }
    // Compression makes many lines of few bytes, but not more than a thousand times as many.
    assert!(n <= 2000 * bytes.len() + 1);
    std::fs::remove_file(&path).unwrap();
});
