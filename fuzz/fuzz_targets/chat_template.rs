//! Chat templates: any text is a template or is refused, and rendering ends.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tutelage_token::{Chat, ChatTemplate, Tokenizer};

static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::train_bpe(["the cat sat on the mat, the cat sat"].into_iter(), 262).unwrap());

fuzz_target!(|source: &str| {
    if let Ok(template) = ChatTemplate::new(source, &TOKENIZER) {
        let chat = Chat::new([("system", "a"), ("user", "b </s>")].into_iter());
        let _ = template.encode(&chat, &TOKENIZER);
    }
});
