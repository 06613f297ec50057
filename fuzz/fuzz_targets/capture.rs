//! Captures of DistillKit's: any bytes are read or refused, beside each of its ways of packing (chosen by the first byte).
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_teacher::capture::Capture;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/tutelage-teacher/fixtures/capture");

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, file)) = bytes.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("tutelage-fuzz-capture-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let kind = match kind {
        b'l' => "legacy",
        b'h' => "halves",
        _ => "residual",
    };
    let config = "compression_config.yaml";
    std::fs::copy(format!("{FIXTURES}/{kind}/{config}"), folder.join(config)).unwrap();
    std::fs::write(folder.join("data.parquet"), file).unwrap();
    if let Ok(capture) = Capture::open(&folder) {
        let _ = capture.documents(&mut |_, document| document.rows().count() <= document.ids.len());
    }
});
