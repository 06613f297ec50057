//! What trainings read: texts, plain and compressed, and shards whose index, routes and manifest say anything of a few tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_data::{Shard, read_documents};
use tutelage_run::hash_bytes;

const ENDINGS: [&str; 6] = ["jsonl", "jsonl.gz", "jsonl.zst", "txt", "txt.gz", "txt.zst"];

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, content)) = bytes.split_first() else { return };
    let stem = std::env::temp_dir().join(format!("tutelage-fuzz-shard-{}", std::process::id()));
    if let Some(ending) = ENDINGS.get(usize::from(*kind) % 8) {
        let path = stem.with_extension(ending);
        std::fs::write(&path, content).unwrap();
        if let Ok(found) = read_documents(&path, "text") {
            found.take_while(Result::is_ok).for_each(drop);
        }
        std::fs::remove_file(&path).unwrap();
        return;
    }
    let [documents, tokens, routes] = [0, 1, 2].map(|i| u64::from(content.get(i).copied().unwrap_or(0)));
    let index = content.get(3..).unwrap_or_default();
    let bin: Vec<u8> = (0..2 * tokens as usize).map(|i| i as u8 & 1).collect();
    let route: Vec<u8> = (0..2 * documents as usize).map(|i| i as u8 & 1).collect();
    let manifest = serde_json::json!({
        "format": "tutelage-shard-1", "tokenizer": hash_bytes(b""), "vocab_size": 300, "documents": documents, "tokens": tokens,
        "text_bytes": 7, "bin": hash_bytes(&bin), "idx": hash_bytes(index), "route": hash_bytes(&route),
        "routes": vec![""; routes as usize],
    });
    let manifest = manifest.to_string();
    let files = [("bin", &bin[..]), ("idx", index), ("route", &route), ("json", manifest.as_bytes())];
    for (ending, bytes) in files {
        std::fs::write(stem.with_extension(ending), bytes).unwrap();
    }
    if let Ok(shard) = Shard::open(&stem) {
        let read: u64 = (0..shard.n_documents()).map(|i| shard.document(i).map(|at| u64::from(shard.token(at))).sum::<u64>()).sum();
        assert!(read <= 257 * tokens);
    }
    files.iter().for_each(|(ending, _)| std::fs::remove_file(stem.with_extension(ending)).unwrap());
});
