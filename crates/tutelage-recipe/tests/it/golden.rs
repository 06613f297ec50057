//! The golden cases of llama.cpp's vocabularies: texts, and the ids that their models' own libraries give. Runs where
//! `scripts/vocabularies.sh` was run.

use std::path::Path;

use tutelage_recipe::open_tokenizer;
use tutelage_testkit::vocabularies;

const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

const VOCABULARIES: [&str; 15] = [
    "bert-bge",
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gemma-4",
    "gpt-2",
    "llama-bpe",
    "llama-spm",
    "mpt",
    "phi-3",
    "qwen2",
    "qwen35",
    "refact",
    "starcoder",
];

/// Texts whose ids differ.
fn differences(folder: &Path, name: &str) -> Vec<String> {
    let path = folder.join(format!("ggml-vocab-{name}.gguf"));
    let tokenizer = open_tokenizer(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let read = |ending: &str| std::fs::read_to_string(path.with_extension(ending)).unwrap();
    let (texts, ids) = (read("gguf.inp"), read("gguf.out"));
    let texts: Vec<&str> = texts.strip_suffix(SEPARATOR).unwrap_or(&texts).split(SEPARATOR).collect();
    let mut out = Vec::new();
    assert_eq!(texts.len(), ids.lines().count(), "{name}: texts and ids");
    for (text, line) in texts.iter().zip(ids.lines()) {
        let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let found = tokenizer.encode(text).unwrap();
        if found != expected {
            out.push(format!("{text:?}: found {found:?}, expected {expected:?}"));
        }
    }
    assert!(texts.len() >= 40, "{name}: {} texts", texts.len());
    out
}

#[test]
fn ids_are_the_golden_ones() {
    let Some(folder) = vocabularies() else { return };
    let all: Vec<String> = VOCABULARIES
        .iter()
        .flat_map(|name| differences(&folder, name).into_iter().map(move |text| format!("{name} {text}")))
        .collect();
    assert!(all.is_empty(), "{} differ:\n{}", all.len(), all.join("\n"));
}
