//! Tiny models with a tokenizer, and what an engine writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tutelage_generate::{
    Engine, EngineLimits, Event, Generator, Request, RequestId, Sampling, StopReason, TokenLogprobs,
};
use tutelage_model::{Decoder, DecoderConfig, Family, Options, RopeScaling};
use tutelage_run::StopFlag;
use tutelage_tensor::{Device, Isa, Weights};
use tutelage_token::Tokenizer;

pub(crate) const VOCAB: usize = 300;

pub(crate) fn config() -> DecoderConfig {
    DecoderConfig {
        family: Family::Llama,
        vocab_size: VOCAB + 4,
        d_model: 32,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        d_head: 8,
        d_ff: 48,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 512,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        // Large, so that random models have opinions.
        init_std: 0.5,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    }
}

pub(crate) fn windowed(window: usize, full_layers: Vec<usize>) -> DecoderConfig {
    let options = Options { window: Some(window), full_layers, qkv_bias: true, ..Options::default() };
    DecoderConfig { family: Family::Qwen2, options, ..config() }
}

pub(crate) fn dynamic() -> DecoderConfig {
    DecoderConfig {
        max_positions: 64,
        rope_scaling: RopeScaling::Dynamic { factor: 4.0, max_positions: 64 },
        ..config()
    }
}

pub(crate) fn generator(config: DecoderConfig, n_threads: usize, weights: Weights) -> Arc<Generator> {
    of_isa(config, n_threads, weights, Isa::detect())
}

pub(crate) fn of_isa(config: DecoderConfig, n_threads: usize, weights: Weights, isa: Isa) -> Arc<Generator> {
    let words = "the cat sat on the mat and the dog ran to the barn while rain fell on hills of green and grey stones";
    let texts = (0..20).map(|i| format!("{i} {words} {words} {}", i * i));
    let texts: Vec<String> = texts.collect();
    let tokenizer = Tokenizer::train_bpe(texts.iter().map(String::as_str), VOCAB).unwrap();
    let device = Device::cpu(n_threads, isa).unwrap();
    let model = Decoder::random_in(config, weights.params(&device), 11).unwrap();
    Arc::new(Generator::new(model, tokenizer, None).unwrap())
}

pub(crate) fn limits() -> EngineLimits {
    EngineLimits { cache_tokens: 4096, ..EngineLimits::default() }
}

/// A prompt of so many tokens.
pub(crate) fn prompt(n: usize, seed: u32) -> Vec<u32> {
    (0..n as u32).map(|i| 3 + (i * 7919 + seed * 104_729 + i * i * 31) % (VOCAB as u32 - 3)).collect()
}

pub(crate) fn greedy(prompt: Vec<u32>, max_tokens: usize) -> Request {
    Request { sampling: Sampling::greedy(), ignores_end: true, ..Request::new(prompt, max_tokens) }
}

/// One sample as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Text {
    pub(crate) ids: Vec<u32>,
    pub(crate) text: String,
    pub(crate) logprobs: Vec<TokenLogprobs>,
    pub(crate) prompt: Vec<TokenLogprobs>,
    pub(crate) mean_d: Vec<f32>,
    pub(crate) reason: Option<StopReason>,
}

/// What an engine writes of these requests; each request's samples.
pub(crate) fn write(engine: &mut Engine, requests: &[Request]) -> Vec<Vec<Text>> {
    let mut ids: BTreeMap<RequestId, usize> = BTreeMap::new();
    let mut out: Vec<Vec<Text>> = requests.iter().map(|r| vec![Text::default(); r.n_samples]).collect();
    for (i, request) in requests.iter().enumerate() {
        ids.insert(engine.submit(request.clone()).unwrap(), i);
    }
    engine
        .run(&StopFlag::default(), &mut |event| {
            match event {
                Event::Prompt { request, logprobs } => out[ids[&request]][0].prompt = logprobs,
                Event::Embedding { request, mean_d } => out[ids[&request]][0].mean_d = mean_d,
                Event::Token { request, sample, id, logprobs, text } => {
                    let to = &mut out[ids[&request]][sample];
                    to.ids.push(id);
                    to.text.push_str(&text);
                    to.logprobs.extend(logprobs);
                }
                Event::Done { request, sample, reason, text, n_tokens } => {
                    let to = &mut out[ids[&request]][sample];
                    to.text.push_str(&text);
                    assert_eq!((n_tokens, to.reason.take()), (to.ids.len(), None));
                    to.reason = Some(reason);
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(engine.is_idle() && engine.cache_use().0 == 0, "pages are left: {:?}", engine.cache_use());
    out
}
