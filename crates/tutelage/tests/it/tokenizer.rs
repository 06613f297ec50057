//! `tutelage tokenizer`.

use crate::support::Bench;

#[test]
fn a_tokenizer_is_built_and_used() {
    let bench = Bench::new("tokenizer");
    // Two bytes and the token of both, over the whole alphabet of bytes.
    use std::fmt::Write;
    let mut ranks = String::new();
    for byte in 0..=255u8 {
        writeln!(ranks, "{} {byte}", base64(&[byte])).unwrap();
    }
    writeln!(ranks, "{} 256\n{} 257", base64(b"th"), base64(b"the")).unwrap();
    std::fs::write(bench.path("base.tiktoken"), ranks).unwrap();
    std::fs::write(bench.path("english.txt"), "the then the other").unwrap();
    std::fs::write(bench.path("chinese.txt"), "\u{4f60}\u{597d}\u{4f60}\u{597d} \u{4f60}\u{597d}").unwrap();
    let sizes = ["--keep", "258", "--add", "5", "--spare", "6"];
    let build = ["tokenizer", "build", "--base", "base.tiktoken", "--count", "english.txt", "--extend", "chinese.txt"];
    let out = bench.succeed(&[&build[..], &sizes, &["--out", "tok", "--json"]].concat());
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["vocab_size"], 512);
    let chinese = &found["files"][1];
    assert!(
        chinese["bytes_per_token_after"].as_f64().unwrap() > 2.5 * chinese["bytes_per_token_before"].as_f64().unwrap()
    );
    let ids = bench.succeed(&["tokenizer", "encode", "tok", "the \u{4f60}\u{597d}"]);
    assert_eq!(ids.lines().count(), 3, "{ids}");
    assert!(bench.succeed(&["inspect", "tok/tokenizer.json"]).contains("512 entries"));
    let refused = |more: &[&str]| bench.refuse(&[&build[..], more].concat());
    assert!(refused(&["--keep", "258", "--add", "5", "--out", "tok"]).contains("is there already"));
    assert!(refused(&["--keep", "258", "--add", "500", "--out", "other"]).contains("the text supports"));
    assert!(refused(&["--keep", "20", "--add", "5", "--out", "other"]).contains("bytes alone take 256"));
    assert!(refused(&["--keep", "258", "--add", "5", "--out", "other", "--measure", "none.txt"]).contains("none.txt"));
    assert!(!bench.path("other").exists());
}

/// Base64 of up to three bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = bytes.iter().chain([0; 3].iter()).take(3).fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
    let digit = |i: usize| char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]);
    (0..4).map(|i| if i <= bytes.len() { digit(i) } else { '=' }).collect()
}
