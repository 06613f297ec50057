//! The same ids as the library's, for every form, on texts made to meet every border there is.

use serde_json::json;

use super::*;
use crate::TokenError;

/// What texts are put together of.
const PARTS: [&str; 64] = [
    "the",
    "cat",
    "The",
    "x",
    "é",
    "中",
    "文字",
    "ſ",
    "ǅ",
    "ß",
    "𐐀",
    "ﬁ",
    "ա",
    "ع",
    "ไ",
    "한",
    "1",
    "23",
    "4567",
    "½",
    "²",
    "Ⅷ",
    "٣",
    "१२",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    " \n ",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "'s",
    "'S",
    "'ſ",
    "'re",
    "'RE",
    "'lL",
    "'t",
    "'d",
    "'x",
    "'",
    "''",
    "!",
    "...",
    "?!",
    "(",
    ")",
    "_",
    "-",
    "—",
    "。",
    "«",
    "😀",
    "👩‍👧",
    "\u{301}",
    "e\u{301}",
    "\u{0}",
    "\u{200b}",
    "<s>",
];

struct Texts(u64);

impl Texts {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn next(&mut self, most: usize) -> String {
        (0..self.below(most)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }
}

fn corpus() -> String {
    let mut texts = Texts(1);
    let mut all: String = (0..900).map(|_| texts.next(30)).collect();
    (0..60).for_each(|i| all.push_str(&format!(" the cat and the hat of number {i} ")));
    all
}

fn trained(change: impl Fn(&mut Value)) -> Tokenizer {
    let tokenizer = Tokenizer::train_bpe([&corpus()[..]].into_iter(), 560).unwrap();
    let mut json: Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    change(&mut json);
    Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
}

/// Compares many texts; how many of them were not one token a character.
#[track_caller]
fn same_as_library(tokenizer: &Tokenizer, seed: u64) -> Result<usize, TokenError> {
    let mut encoder = tokenizer.encoder();
    assert!(encoder.is_fast());
    let (mut texts, mut merged) = (Texts(seed), 0);
    for n in 0..4000 {
        let text = match n {
            0 => String::new(),
            // Words beyond what is searched from end to end.
            1 => "the".repeat(400) + &"中".repeat(300) + &" ".repeat(500),
            _ => texts.next(if n % 50 == 0 { 300 } else { 12 }),
        };
        let (expected, mut found) = (tokenizer.encode(&text)?, Vec::new());
        encoder.encode(&text, &mut found)?;
        assert_eq!(found, expected, "{text:?}");
        merged += usize::from(found.len() < text.chars().count());
    }
    Ok(merged)
}

#[test]
fn every_pattern_gives_the_librarys_ids() {
    for name in ["gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35"] {
        let tokenizer = trained(|json| json["pre_tokenizer"] = pre::pre_tokenizer(name).unwrap());
        assert!(same_as_library(&tokenizer, 11).unwrap() > 1000, "{name}");
    }
}

#[test]
fn whole_words_normal_forms_and_added_tokens_are_the_librarys() {
    // Words that are entries and that no merge reaches.
    let ignores = |json: &mut Value| {
        json["model"]["ignore_merges"] = true.into();
        json["model"]["merges"].as_array_mut().unwrap().truncate(40);
    };
    same_as_library(&trained(ignores), 3).unwrap();
    let nfc = |json: &mut Value| json["normalizer"] = json!({"type": "NFC"});
    same_as_library(&trained(nfc), 4).unwrap();
    for normalized in [true, false] {
        let added = |json: &mut Value| {
            for (id, content) in [(560, "cat1"), (561, "cat"), (562, "  ")] {
                let token = json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": normalized, "special": false});
                json["added_tokens"].as_array_mut().unwrap().push(token);
            }
        };
        let tokenizer = trained(added);
        same_as_library(&tokenizer, 5).unwrap();
        assert!(tokenizer.encode("a cat1").unwrap().contains(&560));
    }
}

#[test]
fn bytes_without_an_entry_are_the_librarys() {
    let tokenizer = trained(|json| {
        // The byte 0, and what it is merged into.
        json["model"]["vocab"].as_object_mut().unwrap().remove("\u{100}").unwrap();
        json["model"]["merges"].as_array_mut().unwrap().retain(|merge| !merge.to_string().contains('\u{100}'));
    });
    same_as_library(&tokenizer, 6).unwrap();
}

/// SentencePiece's form: characters, spaces as a mark, bytes for what is unknown.
fn pieces(prefix: bool, more: &[&str]) -> Tokenizer {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let words = [
        "▁",
        "t",
        "h",
        "e",
        "c",
        "a",
        "中",
        "文",
        "字",
        ".",
        "1",
        "▁▁",
        "▁▁▁▁",
        "th",
        "the",
        "▁the",
        "▁c",
        "ca",
        "at",
        "▁cat",
        "he",
        "中文",
        "文字",
        "...",
        "..",
    ];
    tokens.extend(words.iter().chain(more).map(|token| (*token).to_owned()));
    let mut merges = Vec::new();
    // Longer entries later, as trained ones are.
    for token in words.iter().chain(more).filter(|token| token.chars().count() > 1) {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if [left, right].iter().all(|part| tokens.iter().any(|token| token == part)) {
                merges.push(json!([left, right]));
            }
        }
    }
    let vocab: serde_json::Map<String, Value> = tokens.into_iter().zip((0..).map(Value::from)).collect();
    let mut steps = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    if prefix {
        steps.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
    }
    let special = |id: usize, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": null, "post_processor": null,
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": merges},
    });
    Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
}

#[test]
fn characters_give_the_librarys_ids() {
    for prefix in [true, false] {
        same_as_library(&pieces(prefix, &[]), 21).unwrap();
        // Entries across spaces and between scripts: nothing is cut there.
        same_as_library(&pieces(prefix, &["e▁", "e▁c", "t中", "e▁cat"]), 22).unwrap();
        // Entries of users, which are found first.
        let mut json: Value = serde_json::from_str(&pieces(prefix, &[]).to_json().unwrap()).unwrap();
        for (id, content) in [(284, "cat"), (285, "\n"), (286, "the ca"), (287, "<s")] {
            let token = json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false});
            json["model"]["vocab"][content] = id.into();
            json["added_tokens"].as_array_mut().unwrap().push(token);
        }
        same_as_library(&Tokenizer::from_json(json.to_string().as_bytes()).unwrap(), 23).unwrap();
    }
}

#[test]
fn other_forms_go_through_the_library() {
    let other = |change: &dyn Fn(&mut Value)| {
        let tokenizer = trained(change);
        let mut encoder = tokenizer.encoder();
        assert!(!encoder.is_fast());
        let mut ids = Vec::new();
        encoder.encode_document("the cat", &mut ids).unwrap();
        assert_eq!(ids, tokenizer.encode_document("the cat").unwrap());
    };
    other(&|json| json["pre_tokenizer"] = json!({"type": "Whitespace"}));
    other(&|json| json["normalizer"] = json!({"type": "Lowercase"}));
    other(&|json| json["pre_tokenizer"] = pre::pre_tokenizer("gpt-4o").unwrap());
    let mut encoder_ids = Vec::new();
    let tokenizer = trained(|_| {});
    tokenizer.encoder().encode_document("the cat", &mut encoder_ids).unwrap();
    assert_eq!(encoder_ids, tokenizer.encode_document("the cat").unwrap());
}
