//! The texts of a capture, which has ids alone.

use std::path::Path;

use serde::Serialize;
use tutelage_run::{AtomicFile, Event, FileError, Observer, StopFlag};
use tutelage_teacher::capture::Capture;
use tutelage_token::Tokenizer;

use crate::{RecipeError, open_tokenizer};

/// What became of a capture's documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CapturedTexts {
    /// Documents of the capture.
    pub documents: u64,
    /// Those that were written.
    pub written: u64,
    /// Ids of those.
    pub ids: u64,
    /// Those of them that the tokenizer makes again of the text, from a document's first on: they will be taught.
    pub same: u64,
}

/// Share of a document's ids that its text must make again for it to be written. The last word may be divided otherwise where a document
/// was cut; one with special tokens in it reads otherwise from the first of them on.
const SAME: f64 = 0.9;

/// Writes the texts of `capture` to `out` as JSON lines with the field `text`; nothing if it was asked to stop.
///
/// # Errors
/// When the capture or the tokenizer cannot be read, `out` is there already, or no text makes the ids again.
pub fn captured_texts(
    capture: &Path,
    tokenizer: &Path,
    out: &Path,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<CapturedTexts>, RecipeError> {
    if out.exists() {
        return Err(FileError::content(out, "is there already; choose another --out, or remove it").into());
    }
    let (capture, tokenizer) = (Capture::open(capture)?, open_tokenizer(tokenizer)?);
    capture.check(1, tokenizer.vocab_size())?;
    let detail = capture.folder().display().to_string();
    observer.event(&Event::StageStarted { stage: "texts", detail: &detail, total: Some(capture.n_records()), done: 0 });
    let mut file = AtomicFile::create(out)?;
    let mut found = CapturedTexts::default();
    let mut stopped = false;
    // What ends the walk early comes out here.
    let mut result = Ok(());
    capture.documents(&mut |record, document| {
        stopped = stop.is_raised();
        observer.event(&Event::Progress { done: record, note: "" });
        result = write(&tokenizer, document.ids, &mut file, &mut found);
        !stopped && result.is_ok()
    })?;
    result?;
    if stopped {
        return Ok(None);
    }
    if found.written == 0 {
        let fault = format!(
            "none of its {} documents is what the tokenizer makes of their texts: is it the tokenizer of the capture?",
            found.documents
        );
        return Err(FileError::content(capture.folder(), fault).into());
    }
    file.commit()?;
    Ok(Some(found))
}

fn write(
    tokenizer: &Tokenizer,
    ids: &[i32],
    file: &mut AtomicFile,
    found: &mut CapturedTexts,
) -> Result<(), RecipeError> {
    found.documents += 1;
    let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
    if ids.iter().any(|&id| id as usize >= tokenizer.vocab_size()) {
        return Ok(());
    }
    // Special tokens at both ends are no text; within, they show when the text is read again.
    let text = tokenizer.decode(&ids)?;
    let again = tokenizer.encode_document(&text)?;
    let same = again.iter().zip(&ids).take_while(|(a, b)| a == b).count();
    if text.is_empty() || (same as f64) < SAME * ids.len() as f64 {
        return Ok(());
    }
    found.written += 1;
    found.ids += ids.len() as u64;
    found.same += same as u64;
    let mut line = serde_json::json!({ "text": text }).to_string();
    line.push('\n');
    Ok(file.write(line.as_bytes())?)
}
