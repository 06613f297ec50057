//! Batches of which some are the student's own texts.

use tutelage_data::{Batch, IGNORED, PackedSet};
use tutelage_model::Decoder;
use tutelage_run::RandomStream;

use crate::{OnPolicy, TrainConfig};

/// The batches of a step.
#[derive(Debug, Clone, Default)]
pub struct StepBatches {
    /// Of the corpus.
    pub text: Vec<Batch>,
    /// What the student wrote: labels are the tokens that it drew.
    pub own: Vec<Batch>,
}

/// A text to be continued.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Its first tokens.
    pub ids: Vec<i32>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// Temperature of the draws.
    pub temperature: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// Continues prompts; an end that was drawn is a text's last token.
pub type Continue<'a> = dyn Fn(&Decoder, &[Prompt]) -> Vec<Vec<i32>> + Sync + 'a;

/// Where batches are read from.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'a> {
    pub(crate) set: &'a PackedSet,
    /// Numbers of the routes whose documents are read, if not all are.
    pub(crate) routes: Option<&'a [u16]>,
}

impl Texts<'_> {
    fn batch(&self, indices: &[usize]) -> Batch {
        let batch = Batch::new(self.set, indices);
        match self.routes {
            Some(routes) => batch.of_routes(routes),
            None => batch,
        }
    }
}

impl StepBatches {
    /// Sequences of a set, so many at a time.
    pub(crate) fn of_text(texts: Texts<'_>, indices: &[usize], at_once: usize) -> Self {
        let batches = indices.chunks(at_once).map(|indices| texts.batch(indices));
        Self { text: batches.filter(|batch| !batch.ids.is_empty()).collect(), own: Vec::new() }
    }

    /// The same, some of them continued by the student from their first tokens. Which, and how it draws, is a function of (data seed,
    /// step).
    pub(crate) fn partly_own(
        texts: Texts<'_>,
        indices: &[usize],
        (config, own): (&TrainConfig, &OnPolicy),
        step: u64,
        continue_texts: impl FnOnce(&[Prompt]) -> Vec<Vec<i32>>,
    ) -> Self {
        let mut stream = RandomStream::new(config.data_seed, &format!("on policy, step {step}"));
        let fraction = own.fraction.at(step, config.steps);
        let (mut text, mut chosen) = (Vec::new(), Vec::new());
        for &index in indices {
            if stream.uniform() < fraction { chosen.push(index) } else { text.push(index) }
        }
        let (mut prompts, mut places) = (Vec::new(), Vec::new());
        for (number, &index) in chosen.iter().enumerate() {
            for (prompt, route) in of_sequence(&texts.batch(&[index]), own, &mut stream) {
                prompts.push(prompt);
                places.push((number / config.micro_batch_size, route));
            }
        }
        let mut batches = vec![Batch::default(); chosen.len().div_ceil(config.micro_batch_size)];
        for ((prompt, text), (batch, route)) in prompts.iter().zip(continue_texts(&prompts)).zip(places) {
            push(&mut batches[batch], &prompt.ids, &text, route);
        }
        batches.retain(|batch| !batch.ids.is_empty());
        Self { own: batches, ..Self::of_text(texts, &text, config.micro_batch_size) }
    }
}

/// The first tokens of each document of a sequence that has more than those, and its route.
fn of_sequence(sequence: &Batch, own: &OnPolicy, stream: &mut RandomStream) -> Vec<(Prompt, Option<u16>)> {
    let mut out = Vec::new();
    for (i, rows) in sequence.documents.iter().enumerate().filter(|(_, rows)| rows.len() > own.prompt_tokens) {
        let prompt = Prompt {
            ids: sequence.ids[rows.start..rows.start + own.prompt_tokens].to_vec(),
            max_tokens: rows.len() - own.prompt_tokens,
            temperature: own.temperature,
            seed: stream.below(u64::MAX),
        };
        out.push((prompt, sequence.routes.get(i).copied()));
    }
    out
}

/// Adds a document: each token that was drawn is the label of the row before it.
fn push(batch: &mut Batch, prompt: &[i32], text: &[i32], route: Option<u16>) {
    let Some((_, read)) = text.split_last() else { return };
    let start = batch.ids.len();
    batch.ids.extend(prompt.iter().chain(read));
    batch.labels.resize(start + prompt.len() - 1, IGNORED);
    batch.labels.extend(text);
    let rows = start..batch.ids.len();
    batch.positions.extend(0..rows.len() as i32);
    batch.documents.push(rows);
    batch.routes.extend(route);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_learned_in_the_row_before() {
        let mut batch = Batch::default();
        push(&mut batch, &[5, 6], &[7, 8, 2], Some(1));
        push(&mut batch, &[9], &[4], Some(0));
        push(&mut batch, &[3], &[], Some(3));
        assert_eq!(batch.ids, [5, 6, 7, 8, 9]);
        assert_eq!(batch.labels, [IGNORED, 7, 8, 2, 4]);
        assert_eq!((batch.documents, batch.positions), (vec![0..4, 4..5], vec![0, 1, 2, 3, 0]));
        assert_eq!(batch.routes, [1, 0]);
    }
}
