//! Texts that a model writes while it learns: ids to ids, many together.
//!
//! An [`crate::Engine`] owns a model that does not change; this borrows one that does, and knows no text. Each prompt has its own stream
//! of random numbers, and all are written together, so that what is written depends on the prompts and the weights alone.

use tutelage_model::{Decoder, Part};
use tutelage_tensor::Tensor;
use tutelage_tensor::kernels::attention::{KvPool, PAGE};

use crate::Sampling;
use crate::sampling::Sampler;

/// Rows of prompts that go through the model together, about.
const PROMPT_ROWS: usize = 2048;
/// Rows whose logits are in memory together.
const LOGIT_ROWS: usize = 64;

/// What is continued, and how far.
#[derive(Debug, Clone)]
pub struct RolloutPrompt {
    /// Its tokens, at least one.
    pub ids: Vec<i32>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// How they are drawn, with a seed of its own.
    pub sampling: Sampling,
}

struct Writing<'p> {
    prompt: &'p RolloutPrompt,
    sampler: Sampler,
    pages: Vec<u32>,
    written: Vec<i32>,
    ended: bool,
}

/// Continues each prompt until it draws an id of `ends`, which is the last then, or has written as much as it may. Of the model's rows of
/// logits only the first `vocabulary` stand for tokens.
///
/// # Panics
/// When a prompt is empty, an id is outside the vocabulary, or a text would be longer than the model's positions.
pub fn rollouts(model: &Decoder, prompts: &[RolloutPrompt], vocabulary: usize, ends: &[u32]) -> Vec<Vec<i32>> {
    let device = model.params().device().clone();
    let mut n_pages = 0;
    let mut texts = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        assert!(!prompt.ids.is_empty(), "a prompt without tokens");
        let own = (prompt.ids.len() + prompt.max_tokens).div_ceil(PAGE) as u32;
        let (pages, sampler) = ((n_pages..n_pages + own).collect(), Sampler::new(prompt.sampling.clone(), 0, &[]));
        texts.push(Writing { prompt, sampler, pages, written: Vec::new(), ended: prompt.max_tokens == 0 });
        n_pages += own;
    }
    let mut pool = model.new_pool(n_pages as usize);
    device.enter(|| {
        let mut rest: Vec<&mut Writing<'_>> = texts.iter_mut().filter(|text| !text.ended).collect();
        while !rest.is_empty() {
            let mut rows = 0;
            let mut fits = |text: &Writing<'_>| {
                rows += text.prompt.ids.len();
                rows <= PROMPT_ROWS
            };
            let n = rest.iter().position(|text| !fits(text)).unwrap_or(rest.len()).max(1);
            let later = rest.split_off(n);
            advance(model, &mut rest, &mut pool, vocabulary, ends);
            rest = later;
        }
        loop {
            let mut running: Vec<&mut Writing<'_>> = texts.iter_mut().filter(|text| !text.ended).collect();
            if running.is_empty() {
                break;
            }
            advance(model, &mut running, &mut pool, vocabulary, ends);
        }
    });
    texts.into_iter().map(|text| text.written).collect()
}

/// A token for each: after its prompt if it has none yet, else after its last one.
fn advance(model: &Decoder, texts: &mut [&mut Writing<'_>], pool: &mut KvPool, vocabulary: usize, ends: &[u32]) {
    let (mut parts, mut last_rows, mut row) = (Vec::new(), Vec::new(), 0);
    for text in texts.iter() {
        let (prompt, n) = (&text.prompt.ids, text.written.len());
        let (ids, first, is_prompt) = match n {
            0 => (&prompt[..], 0, true),
            n => (&text.written[n - 1..], prompt.len() + n - 1, false),
        };
        row += ids.len();
        last_rows.push(row - 1);
        parts.push(Part { ids, first, len: first + ids.len(), pages: &text.pages, is_prompt });
    }
    let hidden = model.batch_hidden(&parts, pool);
    let device = model.params().device();
    for (texts, rows) in texts.chunks_mut(LOGIT_ROWS).zip(last_rows.chunks(LOGIT_ROWS)) {
        let logits_tv = model.logits(hidden.rows(device, rows));
        device.for_each_block(texts, 1, |at, text| draw(&mut *text[0], &logits_tv, at, vocabulary, ends));
    }
}

fn draw(text: &mut Writing<'_>, logits_tv: &Tensor, row: usize, vocabulary: usize, ends: &[u32]) {
    let (_, columns) = logits_tv.dims2();
    let mut logits_v = logits_tv.slice::<f32>()[row * columns..][..vocabulary.min(columns)].to_vec();
    let id = text.sampler.draw(&mut logits_v);
    text.written.push(id as i32);
    text.ended = ends.contains(&id) || text.written.len() == text.prompt.max_tokens;
}
