//! Rules: any text is kept or dropped by every preset, in any language.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_corpus::{At, DocumentStage, Preset, Record, Rules, RulesSettings, Tally};

thread_local! {
    static RULES: Vec<Rules> = [
        Preset::Gopher,
        Preset::C4,
        Preset::FineWeb,
        Preset::DclmRefinedWeb,
        Preset::SlimPajama,
        Preset::InternLm2,
    ]
    .into_iter()
    .map(|preset| Rules::new(RulesSettings { preset, ..RulesSettings::default() }).unwrap())
    .collect();
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    // Short inputs are too short for most rules, so they are said several times.
    let text = String::from_utf8_lossy(content).repeat(1 + usize::from(kind >> 4));
    RULES.with(|rules| {
        for rules in rules {
            let mut record = Record::new("text", text.clone());
            record.set("language", &["en", "zh", "de"][usize::from(kind & 0xf) % 3]);
            let _ = rules.apply(&mut rules.worker(), &mut record, At { unit: 0, index: 0 }, &mut Tally::default());
        }
    });
});
