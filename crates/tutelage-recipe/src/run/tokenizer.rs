//! Documents to a tokenizer.

use std::path::PathBuf;

use tutelage_data::{Split, read_documents};
use tutelage_run::{Event, Hash, hash_bytes, hash_file, read_bytes, write_atomic, write_json};
use tutelage_token::Tokenizer;

use super::session::{Flow, Made, Session};
use crate::RecipeError;

/// The run's tokenizer.
pub(super) struct TrainedTokenizer {
    pub(super) tokenizer: Tokenizer,
    pub(super) hash: Hash,
    /// Its folder.
    pub(super) folder: PathBuf,
}

impl Session<'_> {
    /// Hashes of the document files' contents, so that a moved corpus is still the same.
    pub(super) fn documents_fingerprint(&self) -> Result<String, RecipeError> {
        let data = &self.plan.recipe.spec.data;
        let mut out = format!("{} {}", data.text_field, data.heldout_fraction);
        for path in &data.documents {
            out.push_str(&format!(" {}", hash_file(path)?));
        }
        Ok(out)
    }

    pub(super) fn tokenizer(&mut self) -> Result<Flow<TrainedTokenizer>, RecipeError> {
        let folder = self.folder.join("tokenizer");
        let path = folder.join("tokenizer.json");
        let vocab_size = self.plan.recipe.spec.tokenizer.vocab_size;
        let documents = self.documents_fingerprint()?;
        let fingerprint = self.fingerprint("tokenizer", &[&documents, &vocab_size.to_string()]);
        let flow = self.stage("tokenizer", &folder, fingerprint, |session, folder| {
            let detail = format!("byte-level BPE of {vocab_size} entries");
            session.started("tokenizer", &detail, None);
            let texts = session.training_texts()?;
            let tokenizer = Tokenizer::train_bpe(texts.iter().map(String::as_str), vocab_size)?;
            let json = tokenizer.to_json()?;
            write_json(&folder.join("tokenizer_config.json"), &tokenizer.config_json())?;
            write_atomic(&path, json.as_bytes())?;
            let result = format!("learned from {} documents", texts.len());
            Ok(Flow::Done(Made { output: hash_bytes(json.as_bytes()), result, seconds: None }))
        })?;
        let Flow::Done(record) = flow else { return Ok(Flow::Stopped) };
        let json = read_bytes(&path)?;
        if hash_bytes(&json) != record.output {
            let found = "is not the file that was written; remove the folder to make it anew";
            return Err(tutelage_run::FileError::content(&path, found).into());
        }
        let tokenizer = Tokenizer::from_json(&json)?;
        Ok(Flow::Done(TrainedTokenizer { tokenizer, hash: record.output, folder }))
    }

    /// Texts of the training part: held-out text must not shape the vocabulary.
    fn training_texts(&mut self) -> Result<Vec<String>, RecipeError> {
        let data = &self.plan.recipe.spec.data;
        let mut texts = Vec::new();
        for path in &data.documents {
            for document in read_documents(path, &data.text_field)? {
                let text = document?.text;
                if Split::of(&text, data.heldout_fraction) == Split::Train {
                    texts.push(text);
                }
            }
            self.observer.event(&Event::Progress { done: texts.len() as u64, note: "" });
        }
        Ok(texts)
    }
}
