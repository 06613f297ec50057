//! Pages and texts: any page, and any text, is formatted or dropped for a reason; of a text no controls are left.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_corpus::{At, DocumentStage, Format, FormatSettings, Record, Tally};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let settings = FormatSettings::default();
    let format = Format::new(&settings).unwrap();
    let at = At { unit: 0, index: 0 };
    let apply = |record: &mut Record| format.apply(&mut format.worker(), record, at, &mut Tally::default());
    let mut page = Record::without_text("text");
    page.set("html", &text);
    let _ = apply(&mut page);
    let mut record = Record::new("text", text.into_owned());
    if apply(&mut record).is_ok() {
        assert!(record.text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    }
});
