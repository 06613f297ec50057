//! Evaluation sets, blocked domains and blocked words, as the first byte says: any bytes are read or refused, and what was read looks at
//! a document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_corpus::{
    At, Decontaminate, DecontaminateSettings, DocumentStage, Record, Remove, Safety, SafetySettings, Tally,
};

const ENDINGS: [&str; 8] = ["jsonl", "json", "csv", "tsv", "txt", "jsonl.gz", "domains", "words"];

fn look(stage: &impl DocumentStage, content: &[u8]) {
    let mut record = Record::new("text", String::from_utf8_lossy(content).into_owned());
    record.set("url", &String::from_utf8_lossy(&content[..content.len().min(100)]));
    let _ = stage.apply(&mut stage.worker(), &mut record, At { unit: 0, index: 0 }, &mut Tally::default());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let ending = ENDINGS[usize::from(*kind) % ENDINGS.len()];
    let path = std::env::temp_dir().join(format!("tutelage-fuzz-lists-{}.{ending}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let lists = vec![path.clone()];
    match ending {
        "domains" | "words" => {
            let mut settings = SafetySettings::default();
            match ending {
                "domains" => settings.blocked_domains = lists,
                _ => settings.blocked_words = lists,
            }
            if let Ok(stage) = Safety::new(settings) {
                look(&stage, content);
            }
        }
        _ => {
            let remove = if kind & 0x10 == 0 { Remove::Span } else { Remove::Document };
            let settings = DecontaminateSettings { sets: lists, remove, ..DecontaminateSettings::default() };
            if let Ok(stage) = Decontaminate::new(settings) {
                look(&stage, content);
            }
        }
    }
    std::fs::remove_file(&path).unwrap();
});
