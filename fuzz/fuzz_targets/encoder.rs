//! The encoder of many texts beside the library: any text has the same ids by both, for every way of dividing it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tutelage_token::{Tokenizer, Vocabulary, VocabularyKind};

const TEXT: &str = "The road and the bridge aren't 12 345 years old; it's \u{4e2d}\u{6587}\u{5b57} caf\u{e9} \r\n\r\n  \t we'll see... 'S \u{17f} \
    the road the bridge the road and and and \u{301} a\u{301} \u{3000} 6 7 8 (x) _y_ -- \u{1f600}\u{1f600} \u{4e2d}\u{6587}\u{5b57} the years";

fn tokenizers() -> &'static [Tokenizer] {
    static ALL: OnceLock<Vec<Tokenizer>> = OnceLock::new();
    ALL.get_or_init(|| {
        let texts = [TEXT; 3].join(" ");
        let trained = Tokenizer::train_bpe([&texts[..]].into_iter(), 330).expect("a small vocabulary");
        let json: serde_json::Value = serde_json::from_str(&trained.to_json().expect("JSON")).expect("JSON");
        let mut tokens = vec![String::new(); trained.vocab_size()];
        for (token, id) in json["model"]["vocab"].as_object().expect("a vocabulary") {
            tokens[id.as_u64().expect("an id") as usize] = token.clone();
        }
        let merge = |merge: &serde_json::Value| format!("{} {}", merge[0].as_str().unwrap_or(""), merge[1].as_str().unwrap_or(""));
        let merges: Vec<String> = json["model"]["merges"].as_array().expect("merges").iter().map(merge).collect();
        let of = |pre: &str| {
            let kind = VocabularyKind::Bytes { pre: pre.to_owned(), merges: merges.clone() };
            let vocabulary = Vocabulary { tokens: tokens.clone(), token_types: Vec::new(), kind, bos: 1, eos: 2, adds_bos: true };
            Tokenizer::from_vocabulary(&vocabulary).expect("a tokenizer")
        };
        ["gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35"].map(of).into()
    })
}

fuzz_target!(|text: &str| {
    for tokenizer in tokenizers() {
        let mut encoder = tokenizer.encoder();
        assert!(encoder.is_fast());
        let mut ids = Vec::new();
        encoder.encode(text, &mut ids).expect("ids");
        assert_eq!(ids, tokenizer.encode(text).expect("ids"));
    }
});
