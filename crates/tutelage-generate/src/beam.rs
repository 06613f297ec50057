//! Beam search: the texts that are likeliest as a whole, as far as a few beams see.
//!
//! As transformers has it (`num_beams`, `early_stopping=False`): of `width * max(2, 1 + ends)` candidates the ones that end
//! compete if they are among the first `width`, by the sum of their log-probabilities over `n^length_penalty`, `n` counting the
//! token that ends a text; the search is over when the best open beam, so scored, is no better than the worst of `width` texts
//! that ended.

use tutelage_model::Part;
use tutelage_run::StopFlag;
use tutelage_tensor::kernels::attention::{KvPool, PAGE};

use crate::logits::Logits;
use crate::pages::PageTable;
use crate::sampling::token_logprobs;
use crate::{GenerateError, Generator, StopReason};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamSearch {
    /// Texts that are followed together.
    pub width: usize,
    /// Most tokens of a text.
    pub max_tokens: usize,
    /// Exponent of the length that sums are divided by: above 0 for longer texts, 0 for the likeliest.
    pub length_penalty: f64,
}

/// A text that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its tokens, without the one that ends it.
    pub ids: Vec<u32>,
    /// The sum of its tokens' log-probabilities, in nats.
    pub logprob: f64,
    /// The same over its length, as texts were compared.
    pub score: f64,
    /// Why it ended.
    pub reason: StopReason,
}

/// A text that goes on.
#[derive(Debug, Clone)]
struct Beam {
    ids: Vec<u32>,
    logprob: f64,
    pages: Vec<u32>,
}

/// The `width` best texts after a prompt, best first; those that had not ended when it was asked to stop are as far as they came.
///
/// # Errors
/// When the prompt or the settings cannot be.
pub fn beam_search(
    generator: &Generator,
    prompt: &[u32],
    search: &BeamSearch,
    stop: &StopFlag,
) -> Result<Vec<Found>, GenerateError> {
    let BeamSearch { width, max_tokens, length_penalty } = *search;
    generator.check_prompt(prompt, max_tokens)?;
    if width == 0 || max_tokens == 0 || !length_penalty.is_finite() {
        let found = "beam search needs a beam, a token to write and a finite length penalty";
        let found = format!("{found}; found {width} beams, {max_tokens} tokens, {length_penalty}");
        return Err(GenerateError::Request(found));
    }
    let max_tokens = max_tokens.min(generator.n_positions() - prompt.len());
    let device = generator.model().params().device().clone();
    device.enter(|| Ok(Search::new(generator, prompt, width, max_tokens).run(length_penalty, stop)))
}

struct Search<'g> {
    generator: &'g Generator,
    prompt: &'g [u32],
    width: usize,
    max_tokens: usize,
    pool: KvPool,
    table: PageTable,
}

impl<'g> Search<'g> {
    fn new(generator: &'g Generator, prompt: &'g [u32], width: usize, max_tokens: usize) -> Self {
        // The prompt's pages are shared; each beam and each of its successors has those of what it wrote.
        let own = max_tokens.div_ceil(PAGE) + 1;
        let n_pages = prompt.len().div_ceil(PAGE) + 2 * width * own;
        let (pool, table) = (generator.model().new_pool(n_pages), PageTable::new(n_pages));
        Self { generator, prompt, width, max_tokens, pool, table }
    }

    fn run(mut self, length_penalty: f64, stop: &StopFlag) -> Vec<Found> {
        let pages = (0..self.prompt.len().div_ceil(PAGE)).map(|_| self.page()).collect();
        let mut beams = vec![Beam { ids: Vec::new(), logprob: 0.0, pages }];
        let mut next = self.read_prompt(&beams[0]);
        let mut ended: Vec<Found> = Vec::new();
        // So many that as many as are followed go on, whatever ends.
        let n_candidates = self.width * (1 + self.generator.n_ends()).max(2);
        for n in 1..=self.max_tokens {
            let score = |logprob: f64| logprob / (n as f64).powf(length_penalty);
            let mut candidates: Vec<(f64, usize, u32)> = Vec::new();
            for (at, beam) in beams.iter().enumerate() {
                let top = token_logprobs(next.row(at), 0, n_candidates).top;
                candidates.extend(top.into_iter().map(|(id, logprob)| (beam.logprob + logprob, at, id)));
            }
            candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            candidates.truncate(n_candidates);
            let mut open = Vec::new();
            for (rank, &(logprob, at, id)) in candidates.iter().enumerate() {
                let ends = self.generator.ends(id);
                if !ends && n < self.max_tokens {
                    open.push((logprob, at, id));
                } else if rank < self.width {
                    let mut ids = beams[at].ids.clone();
                    let is_full = self.prompt.len() + n == self.generator.n_positions();
                    let reason = match (ends, is_full) {
                        (true, _) => StopReason::EndOfDocument,
                        (false, true) => StopReason::ContextFull,
                        (false, false) => StopReason::MaxTokens,
                    };
                    ids.extend((!ends).then_some(id));
                    ended.push(Found { ids, logprob, score: score(logprob), reason });
                }
            }
            ended.sort_by(|a, b| b.score.total_cmp(&a.score));
            ended.truncate(self.width);
            open.truncate(self.width);
            // The worst of those that ended, once there are enough of them.
            let worst = ended.get(self.width - 1);
            let improves = |&(logprob, ..): &(f64, usize, u32)| worst.is_none_or(|worst| score(logprob) > worst.score);
            if !open.first().is_some_and(improves) {
                break;
            }
            beams = self.successors(beams, &open);
            if stop.is_raised() {
                let found = |beam: &Beam| {
                    let (ids, logprob, reason) = (beam.ids.clone(), beam.logprob, StopReason::Stopped);
                    Found { ids, logprob, score: score(logprob), reason }
                };
                ended.extend(beams.iter().map(found));
                ended.truncate(self.width);
                break;
            }
            next = self.advance(&mut beams);
        }
        ended
    }

    /// A page that nobody uses.
    fn page(&mut self) -> u32 {
        let Some(page) = self.table.take() else { unreachable!("pages suffice for all beams") };
        page
    }

    /// Logits after the prompt, which is read in parts that begin at pages.
    fn read_prompt(&mut self, beam: &Beam) -> Logits {
        const ROWS: usize = 8 * PAGE;
        let ids: Vec<i32> = self.prompt.iter().map(|&id| id as i32).collect();
        let n_parts = ids.len().div_ceil(ROWS);
        let mut read = |at: usize| {
            let own = &ids[at * ROWS..ids.len().min((at + 1) * ROWS)];
            let part = Part { ids: own, first: at * ROWS, len: ids.len(), pages: &beam.pages, is_prompt: true };
            self.generator.model().batch_hidden(&[part], &mut self.pool)
        };
        (0..n_parts - 1).for_each(|at| drop(read(at)));
        let hidden = read(n_parts - 1);
        self.generator.logits(&hidden, &[hidden.dims2().0 - 1])
    }

    /// Logits after each beam's last token.
    fn advance(&mut self, beams: &mut [Beam]) -> Logits {
        let first = self.prompt.len() + beams[0].ids.len() - 1;
        for beam in beams.iter_mut() {
            if first / PAGE == beam.pages.len() {
                beam.pages.push(self.page());
            }
        }
        let last: Vec<i32> = beams.iter().map(|beam| beam.ids.last().map_or(0, |&id| id as i32)).collect();
        let part = |(beam, id)| {
            let (ids, len, beam): (_, _, &Beam) = (std::slice::from_ref(id), first + 1, beam);
            Part { ids, first, len, pages: &beam.pages, is_prompt: false }
        };
        let parts: Vec<Part<'_>> = beams.iter().zip(&last).map(part).collect();
        let hidden = self.generator.model().batch_hidden(&parts, &mut self.pool);
        self.generator.logits(&hidden, &(0..beams.len()).collect::<Vec<_>>())
    }

    /// The beams that follow: whole pages are shared, one that is written to is each one's own.
    fn successors(&mut self, beams: Vec<Beam>, open: &[(f64, usize, u32)]) -> Vec<Beam> {
        let n_stored = self.prompt.len() + beams[0].ids.len();
        let whole = n_stored / PAGE;
        let mut out = Vec::new();
        for &(logprob, at, id) in open {
            let from = &beams[at];
            let mut pages = from.pages[..whole].to_vec();
            pages.iter().for_each(|&page| self.table.share(page));
            if let Some(&partial) = from.pages.get(whole) {
                let own = self.page();
                self.pool.copy(partial, own);
                pages.push(own);
            }
            out.push(Beam { ids: [&from.ids[..], &[id]].concat(), logprob, pages });
        }
        beams.iter().flat_map(|beam| &beam.pages).for_each(|&page| self.table.release(page));
        out
    }
}
