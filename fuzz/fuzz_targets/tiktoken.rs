//! `.tiktoken` files: any bytes are read or refused, and what is read encodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_token::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let special = [("<|endoftext|>", 100_000)];
    let borders = ("<|endoftext|>", "<|endoftext|>");
    if let Ok(tokenizer) = Tokenizer::from_tiktoken(bytes, "llama-bpe", &special, borders) {
        if let Ok(ids) = tokenizer.encode("Hello  \u{4f60}\u{597d} <|endoftext|>") {
            let _ = tokenizer.decode(&ids);
        }
    }
});
