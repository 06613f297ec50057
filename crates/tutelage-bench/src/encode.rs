//! Texts to tokens, by the library and by the encoder of many texts, in turn on the same texts.

use std::time::Instant;

use serde::Serialize;
use tutelage_token::{TokenError, Tokenizer};

use crate::median;

/// Times of encoding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EncodeTimes {
    /// Texts.
    pub documents: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Threads of both.
    pub n_threads: usize,
    /// Whether the encoder goes another way than through the library.
    pub is_fast: bool,
    /// Texts of which the two have given other ids: there must be none.
    pub differing: usize,
    /// The library's bytes in a second.
    pub library_bytes_per_second: f64,
    /// The encoder's.
    pub bytes_per_second: f64,
}

/// Encodes all texts `repeats` times by either way, each thread every n-th text.
///
/// # Errors
/// When the library fails.
pub fn encode(
    tokenizer: &Tokenizer,
    texts: &[String],
    n_threads: usize,
    repeats: usize,
) -> Result<EncodeTimes, TokenError> {
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let is_fast = tokenizer.encoder().is_fast();
    let (mut differing, mut tokens) = (0, 0);
    let (mut encoder, mut ids) = (tokenizer.encoder(), Vec::new());
    for text in texts {
        ids.clear();
        encoder.encode(text, &mut ids)?;
        tokens += ids.len() as u64;
        differing += usize::from(ids != tokenizer.encode(text)?);
    }
    let (mut library, mut own) = (Vec::new(), Vec::new());
    for _ in 0..repeats.max(1) {
        library.push(timed(texts, n_threads, |texts| {
            for text in texts {
                tokenizer.encode(text)?;
            }
            Ok(())
        })?);
        own.push(timed(texts, n_threads, |texts| {
            let (mut encoder, mut ids) = (tokenizer.encoder(), Vec::new());
            for text in texts {
                ids.clear();
                encoder.encode(text, &mut ids)?;
            }
            Ok(())
        })?);
    }
    Ok(EncodeTimes {
        documents: texts.len(),
        bytes,
        tokens,
        n_threads,
        is_fast,
        differing,
        library_bytes_per_second: bytes as f64 / median(library),
        bytes_per_second: bytes as f64 / median(own),
    })
}

/// Seconds that all threads take together.
fn timed(
    texts: &[String],
    n_threads: usize,
    work: impl Fn(&[&str]) -> Result<(), TokenError> + Sync,
) -> Result<f64, TokenError> {
    let share = |thread: usize| texts.iter().skip(thread).step_by(n_threads).map(String::as_str).collect();
    let shares: Vec<Vec<&str>> = (0..n_threads).map(share).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let spawn = |share| {
            let work = &work;
            scope.spawn(move || work(share))
        };
        let threads: Vec<_> = shares.iter().map(|share| spawn(&share[..])).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(begun.elapsed().as_secs_f64())
}
