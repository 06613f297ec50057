//! Shards whose index, routes and manifest say anything of a few tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_data::Shard;
use tutelage_run::hash_bytes;

fuzz_target!(|bytes: &[u8]| {
    let stem = std::env::temp_dir().join(format!("tutelage-fuzz-shard-{}", std::process::id()));
    let [documents, tokens, routes] = [0, 1, 2].map(|i| u64::from(bytes.get(i).copied().unwrap_or(0)));
    let index = bytes.get(3..).unwrap_or_default();
    let bin: Vec<u8> = (0..2 * tokens as usize).map(|i| i as u8 & 1).collect();
    let route: Vec<u8> = (0..2 * documents as usize).map(|i| i as u8 & 1).collect();
    let manifest = serde_json::json!({
        "format": "tutelage-shard-1", "tokenizer": hash_bytes(b""), "vocab_size": 300, "documents": documents, "tokens": tokens,
        "text_bytes": 7, "bin": hash_bytes(&bin), "idx": hash_bytes(index), "route": hash_bytes(&route),
        "routes": vec![""; routes as usize],
    });
    let manifest = manifest.to_string();
    let files = [("bin", &bin[..]), ("idx", index), ("route", &route), ("json", manifest.as_bytes())];
    for (ending, content) in files {
        std::fs::write(stem.with_extension(ending), content).unwrap();
    }
    if let Ok(shard) = Shard::open(&stem) {
        let read: u64 = (0..shard.n_documents()).map(|i| shard.document(i).map(|at| u64::from(shard.token(at))).sum::<u64>()).sum();
        assert!(read <= 257 * tokens);
    }
    files.iter().for_each(|(ending, _)| std::fs::remove_file(stem.with_extension(ending)).unwrap());
});
