//! SentencePiece's models: any bytes are read or refused, and what is read encodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tutelage_token::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_sentencepiece(bytes, None) {
        if let Ok(ids) = tokenizer.encode("Hello  \u{4f60}\u{597d} <s>") {
            let _ = tokenizer.decode(&ids);
        }
    }
});
