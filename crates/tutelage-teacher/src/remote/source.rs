//! Rows of batches from a server.

use std::ops::Range;
use std::path::Path;

use serde_json::json;
use tutelage_data::Batch;
use tutelage_loss::truncate::mass_end;
use tutelage_run::{Hash, Hasher, create_folder, read_json, write_json};

use super::client::{Client, at_once};
use super::identity::Identity;
use super::{RemoteError, ServerConfig};
use crate::CacheError;
use crate::cache::{Kept, Row, Source};

/// A text, and the ids that it has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerProbe {
    /// The text.
    pub text: String,
    /// Its ids, without one that begins documents.
    pub ids: Vec<u32>,
}

/// Asks a server for what is kept of its distributions.
#[derive(Debug)]
pub struct RemoteSource {
    client: Client,
    top_p: f64,
    top_k: usize,
    vocab_size: usize,
    identity: Identity,
}

impl RemoteSource {
    /// Compares tokenizers, and asks for as many log-probabilities as are wanted.
    ///
    /// # Errors
    /// When the server cannot be reached, makes other ids of the text, or gives less than is asked for.
    pub fn open(
        config: ServerConfig,
        kept: &Kept,
        vocab_size: usize,
        probe: &TokenizerProbe,
    ) -> Result<Self, RemoteError> {
        let mut client = Client::open(config)?;
        let &Kept::TopPK { top_p, top_k } = kept else {
            return Err(client
                .answer("servers give the most likely entries, and draw no samples; set top_k in place of samples"));
        };
        let theirs = client.ids_of(&probe.text)?;
        if theirs != probe.ids && theirs.get(1..) != Some(&probe.ids) {
            let ours = &probe.ids;
            let at = (0..).find(|&i| theirs.get(i) != ours.get(i)).unwrap_or_default();
            let found = format!(
                "its tokenizer is another: of {:?} it makes {} ids, here there are {}, and they differ from place {at} on",
                probe.text,
                theirs.len(),
                ours.len()
            );
            return Err(client.answer(found));
        }
        let mut source = Self {
            identity: Identity { model: client.model.clone(), ids: theirs, rows: Vec::new() },
            client,
            top_p,
            top_k,
            vocab_size,
        };
        source.identity.rows = source.ask(std::slice::from_ref(&source.identity.ids))?.swap_remove(0);
        let fewest = source.identity.rows.iter().map(Vec::len).min().unwrap_or(0);
        if fewest < top_k.min(vocab_size) {
            let found = format!(
                "asked for top_k = {top_k} log-probabilities of each token it gives {fewest}; lower top_k, or let the server give more \
                 (vLLM: --max-logprobs)"
            );
            return Err(source.client.answer(found));
        }
        Ok(source)
    }

    /// Name of the model there.
    pub fn model(&self) -> &str {
        &self.client.model
    }

    /// Stands for the weights, which are not known here: a hash of a name, that of the model or of the server. What the server
    /// says of a prompt is compared beside it, see [`Self::remember`].
    pub fn hash(name: &str) -> Hash {
        Hasher::default().part(b"server").part(name.as_bytes()).finish()
    }

    /// Compares the server with the one that a cache in `folder` was begun with, or notes it there.
    ///
    /// # Errors
    /// When it is another, or the note cannot be read or written.
    pub fn remember(&self, folder: &Path) -> Result<(), CacheError> {
        create_folder(folder)?;
        let path = folder.join("server.json");
        if path.exists() {
            let before: Identity = read_json(&path)?;
            return Ok(self.compare(&before, &self.identity)?);
        }
        Ok(write_json(&path, &self.identity)?)
    }

    fn compare(&self, before: &Identity, now: &Identity) -> Result<(), RemoteError> {
        match before.difference(now) {
            None => Ok(()),
            Some(found) => Err(RemoteError::Changed { url: self.client.config.url.clone(), found }),
        }
    }

    /// What follows each token but the last of several prompts.
    fn ask(&self, prompts: &[Vec<u32>]) -> Result<Vec<Vec<Row>>, RemoteError> {
        let found = self.client.prompts(&json!(prompts), prompts.len(), self.top_k)?;
        let rows =
            found.into_iter().zip(prompts).map(|(found, prompt)| found.rows(prompt, self.top_k, self.vocab_size));
        rows.map(|rows| rows.map_err(|found| self.client.answer(found))).collect()
    }

    /// Rows of a batch, cut to the mass that is kept.
    pub(super) fn rows_of(&self, batch: Asked<'_>) -> Result<Vec<Row>, RemoteError> {
        let prompts: Vec<(Range<usize>, Vec<u32>)> =
            batch.documents.iter().filter_map(|rows| batch.prompt(rows)).collect();
        let mut requests: Vec<&[(Range<usize>, Vec<u32>)]> = Vec::new();
        let mut rest = &prompts[..];
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = rest.iter().take_while(|(_, prompt)| {
                tokens += prompt.len();
                tokens <= self.client.config.request_tokens
            });
            let (request, others) = rest.split_at(fits.count().max(1));
            requests.push(request);
            rest = others;
        }
        let answers = at_once(&requests, self.client.config.connections, |request| {
            self.ask(&request.iter().map(|(_, prompt)| prompt.clone()).collect::<Vec<_>>())
        })?;
        let mut rows: Vec<Row> = vec![Row::new(); batch.ids.len()];
        for ((range, _), found) in prompts.iter().zip(answers.into_iter().flatten()) {
            for (row, mut entries) in range.clone().zip(found) {
                entries.truncate(mass_end(entries.iter().map(|entry| entry.1), self.top_p as f32));
                rows[row] = entries;
            }
        }
        // Whoever answered all this: is it who it was?
        let now = self.ask(std::slice::from_ref(&self.identity.ids))?.swap_remove(0);
        self.compare(&self.identity, &Identity { rows: now, ..self.identity.clone() })?;
        Ok(rows)
    }
}

/// What of a batch is asked.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) ids: &'a [i32],
    pub(super) documents: &'a [Range<usize>],
    /// The token after each row, negative where it is not learned from.
    pub(super) labels: &'a [i32],
}

impl Asked<'_> {
    /// A document's rows and the prompt for them. A row is answered by what the server says of the token after it, so a document that
    /// goes on beyond its last row has that token with it; the last row of one that ends is not learned from.
    fn prompt(&self, rows: &Range<usize>) -> Option<(Range<usize>, Vec<u32>)> {
        let mut prompt: Vec<u32> = self.ids[rows.clone()].iter().map(|&id| id as u32).collect();
        prompt.extend(u32::try_from(self.labels[rows.end - 1]).ok());
        (prompt.len() > 1).then(|| (rows.clone(), prompt))
    }
}

impl Source for RemoteSource {
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError> {
        let asked = Asked { ids: &batch.ids, documents: &batch.documents, labels: &batch.labels };
        Ok(self.rows_of(asked)?)
    }
}
