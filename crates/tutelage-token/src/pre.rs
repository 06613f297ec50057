//! Ways in which text is divided before merging, by llama.cpp's names for them.
//!
//! The patterns are facts of the models: those of their `tokenizer.json` files.

use serde_json::{Value, json};

/// GPT-2's, the byte-level step's own.
const GPT2: &str = "gpt-2";

/// Patterns that divide one after another before bytes are mapped; what one of them takes is a piece.
const SPLITS: [(&str, &[&str]); 7] = [
    (
        "llama-bpe",
        &[
            r#"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        "qwen2",
        &[
            r#"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        "qwen35",
        &[
            r#"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        "gpt-4o",
        &[
            r#"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ],
    ),
    (
        "falcon",
        &[
            r#"[\p{P}\$\+<=>\^~\|`]+"#,
            r#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#,
            r#"[0-9][0-9][0-9]"#,
        ],
    ),
    (
        "deepseek-llm",
        &[
            r#"[\r\n]"#,
            r#"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"#,
            r#"\s?[!-/:-~！-／：-～‘-‟　-。]+"#,
            r#"\s+$"#,
            r#"[一-龥ࠀ-一가-퟿]+"#,
            r#"\p{N}+"#,
        ],
    ),
    ("deepseek-coder", &[r#"[\r\n]"#, r#"\s?\p{L}+"#, r#"\s?\p{P}+"#, r#"[一-龥ࠀ-一가-퟿]+"#, r#"\p{N}"#]),
];

/// Names that mean the same as another.
const SAME: [(&str, &str); 7] = [
    ("default", GPT2),
    ("phi-2", GPT2),
    ("mpt", GPT2),
    ("llama-v3", "llama-bpe"),
    ("llama3", "llama-bpe"),
    ("refact", "smollm"),
    ("command-r", "smollm"),
];

/// Names whose vocabularies hold whole words that merging need not reach.
const IGNORES_MERGES: [&str; 1] = ["llama-bpe"];

pub(crate) fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

fn plain_name(name: &str) -> &str {
    SAME.iter().find(|(other, _)| *other == name).map_or(name, |(_, plain)| plain)
}

/// The names that are supported.
pub(crate) fn names() -> Vec<&'static str> {
    [GPT2, "smollm", "starcoder"].into_iter().chain(SPLITS.map(|(name, _)| name)).chain(SAME.map(|s| s.0)).collect()
}

/// The pre-tokenizer of a name, as `tokenizer.json` has it.
pub(crate) fn pre_tokenizer(name: &str) -> Option<Value> {
    let name = plain_name(name);
    Some(match name {
        GPT2 => byte_level(true),
        "smollm" | "starcoder" => json!({
            "type": "Sequence",
            "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level(true)],
        }),
        _ => {
            let (_, patterns) = SPLITS.iter().find(|(known, _)| *known == name)?;
            let split = |pattern: &&str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
            let steps: Vec<Value> = patterns.iter().map(split).chain([byte_level(false)]).collect();
            json!({ "type": "Sequence", "pretokenizers": steps })
        }
    })
}

/// Whether a whole word that is an entry is taken without merging.
pub(crate) fn ignores_merges(name: &str) -> bool {
    IGNORES_MERGES.contains(&plain_name(name))
}

/// The name of a pre-tokenizer, if it has one.
pub(crate) fn name_of(pre_tokenizer: &Value) -> Option<&'static str> {
    names().into_iter().find(|name| self::pre_tokenizer(name).is_some_and(|known| same(&known, pre_tokenizer)))
}

/// Whether two divide text alike: fields that change offsets alone are passed over.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let counts = |name: &&String| name.as_str() != "trim_offsets";
            a.keys().chain(b.keys()).filter(counts).all(|name| match (a.get(name), b.get(name)) {
                (Some(a), Some(b)) => same(a, b),
                _ => false,
            })
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}
