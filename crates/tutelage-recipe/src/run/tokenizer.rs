//! Documents to a tokenizer, or one that is brought along.

use tutelage_data::Split;
use tutelage_run::{Event, Hash, Hasher, hash_bytes, hash_file, write_atomic, write_json};
use tutelage_token::Tokenizer;

use super::session::{Flow, Made, Session};
use crate::RecipeError;
use crate::documents::Documents;
use crate::plan::TokenizerPlan;
use crate::stored::Beside;

/// The run's tokenizer.
pub(super) struct RunTokenizer {
    pub(super) tokenizer: Tokenizer,
    pub(super) hash: Hash,
    /// Its files, by name.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Session<'_> {
    /// Hashes of the document files' contents, so that a moved corpus is still the same.
    pub(super) fn documents_fingerprint(&self) -> Result<String, RecipeError> {
        if let Some(mixed) = &self.plan.corpus.mixed {
            return Ok(mixed.fingerprint.clone());
        }
        let data = &self.plan.recipe.spec.data;
        Ok(format!("{} {}{}", data.text_field, data.heldout_fraction, Documents::of(data).fingerprint()?))
    }

    pub(super) fn tokenizer(&mut self) -> Result<Flow<RunTokenizer>, RecipeError> {
        let folder = self.folder.join("tokenizer");
        let plan = self.plan;
        let vocab_size = plan.tokenizer.vocab_size();
        let settings = match &plan.tokenizer {
            TokenizerPlan::Learned { .. } => format!("{} {vocab_size}", self.documents_fingerprint()?),
            TokenizerPlan::Given { beside, .. } => {
                let mut hasher = Hasher::default();
                beside.files.iter().for_each(|(name, bytes)| {
                    hasher.part(name.as_bytes()).part(bytes);
                });
                hasher.finish().to_string()
            }
        };
        let fingerprint = self.fingerprint("tokenizer", &[&settings]);
        let flow = self.stage("tokenizer", &folder, fingerprint, |session, folder| match &plan.tokenizer {
            TokenizerPlan::Learned { .. } => {
                let detail = format!("byte-level BPE of {vocab_size} entries");
                session.started("tokenizer", &detail, None);
                let texts = session.training_texts()?;
                let tokenizer = Tokenizer::train_bpe(texts.iter().map(String::as_str), vocab_size)?;
                let json = tokenizer.to_json()?;
                write_json(&folder.join("tokenizer_config.json"), &tokenizer.config_json())?;
                write_atomic(&folder.join("tokenizer.json"), json.as_bytes())?;
                let result = format!("learned from {} documents", texts.len());
                Ok(Flow::Done(Made { output: hash_bytes(json.as_bytes()), result, seconds: None }))
            }
            TokenizerPlan::Given { path, beside } => {
                session.started("tokenizer", &path.display().to_string(), None);
                for (name, bytes) in &beside.files {
                    write_atomic(&folder.join(name), bytes)?;
                }
                let output = hash_bytes(beside.file("tokenizer.json").unwrap_or_default());
                Ok(Flow::Done(Made { output, result: format!("{vocab_size} entries"), seconds: None }))
            }
        })?;
        let Flow::Done(record) = flow else { return Ok(Flow::Stopped) };
        let path = folder.join("tokenizer.json");
        if hash_file(&path)? != record.output {
            let found = "is not the file that was written; remove the folder to make it anew";
            return Err(tutelage_run::FileError::content(&path, found).into());
        }
        let Beside { tokenizer, files, .. } = Beside::tokenizer(&folder)?;
        Ok(Flow::Done(RunTokenizer { tokenizer, hash: record.output, files }))
    }

    /// Texts of the training part: held-out text must not shape the vocabulary.
    fn training_texts(&mut self) -> Result<Vec<String>, RecipeError> {
        let data = &self.plan.recipe.spec.data;
        let mut texts = Vec::new();
        for document in Documents::of(data).read()? {
            let text = document?.text;
            if Split::of(&text, data.heldout_fraction) == Split::Train {
                texts.push(text);
                if texts.len() % 4096 == 0 {
                    self.observer.event(&Event::Progress { done: texts.len() as u64, note: "" });
                }
            }
        }
        Ok(texts)
    }
}
