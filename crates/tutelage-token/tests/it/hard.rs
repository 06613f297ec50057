//! Hard strings: ids by sentencepiece (`fixtures/make.py`) and tiktoken, and texts that come back.

use serde_json::Value;
use tutelage_token::{Decoder, Tokenizer};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn sentencepiece(name: &str) -> Tokenizer {
    Tokenizer::from_sentencepiece(&fixture(&format!("{name}.model")), None).unwrap()
}

fn hard() -> Vec<Value> {
    serde_json::from_slice(&fixture("hard.json")).unwrap()
}

/// 100 kB without a space.
fn long() -> String {
    "abcdefghij\u{4f60}\u{597d}".repeat(7000)
}

/// A number that depends on every id and its place.
fn digest(ids: &[u32]) -> u64 {
    (0..).zip(ids).map(|(k, &id)| u64::from(id) * (k % 97 + 1)).sum()
}

#[test]
fn ids_are_those_of_sentencepiece() {
    for (name, n, sum) in [("internlm2", 21_000, 46_666_295_888), ("unigram", 105_000, 1_370_662_005)] {
        let tokenizer = sentencepiece(name);
        let mut different = Vec::new();
        for case in hard() {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u64> = case[name].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
            let found: Vec<u64> = tokenizer.encode(text).unwrap().into_iter().map(u64::from).collect();
            // Two of the departures that the converter lists.
            let departs = name == "unigram" && (text.contains("a\u{300}") || text.starts_with("aaa"));
            if found != expected && !departs {
                different.push(format!("{text:?}: found {found:?}, expected {expected:?}"));
            }
        }
        assert!(different.is_empty(), "{name}: {} differ:\n{}", different.len(), different.join("\n"));
        let ids = tokenizer.encode(&long()).unwrap();
        assert_eq!((ids.len(), digest(&ids)), (n, sum), "{name}, 100 kB");
    }
}

#[test]
fn texts_come_back_from_internlm2() {
    let tokenizer = sentencepiece("internlm2");
    for case in hard() {
        let text = case["text"].as_str().unwrap();
        // Marks of spaces are spaces afterwards.
        let expected = text.replace('\u{2581}', " ");
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), expected, "{text:?}");
    }
    assert_eq!(tokenizer.decode(&tokenizer.encode("\0a\0").unwrap()).unwrap(), "\0a\0");
    assert_eq!((tokenizer.vocab_size(), tokenizer.bos(), tokenizer.eos()), (92_544, 1, 2));
}

#[test]
fn text_is_no_control_token() {
    for tokenizer in ["internlm2", "unigram"].map(sentencepiece) {
        for case in hard() {
            let ids = tokenizer.encode(case["text"].as_str().unwrap()).unwrap();
            assert!(!ids.iter().any(|id| [0, 1, 2].contains(id)), "{case}");
        }
    }
}

/// Text that comes token by token is the text of all tokens, spaces between words included.
#[test]
fn streams_are_whole_texts() {
    for tokenizer in ["internlm2", "unigram"].map(sentencepiece) {
        for case in hard() {
            let ids = tokenizer.encode(case["text"].as_str().unwrap()).unwrap();
            for n_context in [0, 3, 9] {
                let (context, rest) = ids.split_at(n_context.min(ids.len()));
                // A context that ends inside a character is not what a stream begins after.
                if tokenizer.decode(context).unwrap().ends_with('\u{fffd}') {
                    continue;
                }
                let mut decoder = Decoder::after(&tokenizer, context).unwrap();
                let mut shown: String = rest.iter().map(|&id| decoder.push(&tokenizer, id).unwrap()).collect();
                shown.push_str(&decoder.finish(&tokenizer).unwrap());
                let all = tokenizer.decode(&ids).unwrap();
                assert!(all.ends_with(&shown), "{case}: {shown:?}");
                assert!(n_context > 0 || all == shown, "{case}: {shown:?}");
            }
        }
    }
}

#[test]
fn internlm2_goes_through_the_metadata_of_gguf_files() {
    let tokenizer = sentencepiece("internlm2");
    let vocabulary = tokenizer.to_vocabulary().unwrap();
    assert_eq!((vocabulary.tokens.len(), vocabulary.adds_bos), (92_544, true));
    assert_eq!(vocabulary.token_types[..6], [2, 3, 3, 6, 6, 6], "unknown, control, bytes");
    let again = Tokenizer::from_vocabulary(&vocabulary).unwrap();
    for case in hard() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap(), "{text:?}");
    }
    assert_eq!(again.to_vocabulary().unwrap(), vocabulary);
    let refused = sentencepiece("unigram").to_vocabulary().unwrap_err().to_string();
    assert!(refused.contains("only BPE"), "{refused}");
}

/// cl100k out of the crate that ships it, written as a `.tiktoken` file, read back.
#[test]
fn ids_are_those_of_tiktoken() {
    use base64::Engine;
    let reference = tiktoken_rs::cl100k_base().unwrap();
    let mut file = String::new();
    for rank in 0..100_256 {
        let bytes = reference.decode_bytes(&[rank]).unwrap();
        let token = base64::engine::general_purpose::STANDARD.encode(bytes);
        file.push_str(&format!("{token} {rank}\n"));
    }
    let special = [("<|endoftext|>", 100_257), ("<|fim_prefix|>", 100_258)];
    let borders = ("<|endoftext|>", "<|endoftext|>");
    let tokenizer = Tokenizer::from_tiktoken(file.as_bytes(), "llama-bpe", &special, borders).unwrap();
    for text in hard().iter().map(|case| case["text"].as_str().unwrap()).chain([long().as_str(), "a<|endoftext|>b"]) {
        assert_eq!(tokenizer.encode(text).unwrap(), reference.encode_ordinary(text), "{text:.80?}");
    }
    let broken =
        |file: &str| Tokenizer::from_tiktoken(file.as_bytes(), "llama-bpe", &special, borders).unwrap_err().to_string();
    assert!(broken("IQ== 0\nIg== 2\n").contains("rank 1 is missing"));
    assert!(broken("IQ==\n").contains("line 1: expected a token and a rank"));
    assert!(broken("IQ== 0\n!! 1\n").contains("line 2: the token is not base64"));
    assert!(broken("").contains("holds no tokens"));
}

#[test]
fn damaged_models_are_refused() {
    let model = fixture("internlm2.model");
    let refused = |bytes: &[u8]| Tokenizer::from_sentencepiece(bytes, None).unwrap_err().to_string();
    assert!(refused(&model[..model.len() / 2]).contains("no SentencePiece model"));
    assert!(refused(b"").contains("has no pieces"));
    assert!(refused(b"{\"version\": \"1.0\"}").contains("no SentencePiece model"));
}
