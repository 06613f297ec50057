//! Every token is what a forward pass over the whole text so far says.

use tutelage_generate::Engine;
use tutelage_model::{DecoderConfig, Input};
use tutelage_tensor::{Tape, Weights};
use tutelage_testkit::assert_close;

use crate::support::{VOCAB, config, dynamic, generator, greedy, limits, prompt, windowed, write};

/// Logits of all rows by the training forward pass.
pub(crate) fn whole(generator: &tutelage_generate::Generator, ids: &[u32]) -> Vec<Vec<f64>> {
    let model = generator.model();
    let logits = model.logits(whole_hidden(generator, ids)).to_vec();
    logits.chunks(model.config().vocab_size).map(|row| row[..VOCAB].iter().map(|&x| f64::from(x)).collect()).collect()
}

/// Last hidden states of all rows by the training forward pass.
fn whole_hidden(generator: &tutelage_generate::Generator, ids: &[u32]) -> tutelage_tensor::Tensor {
    let model = generator.model();
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let (mut tape, document) = (Tape::inference(model.params()), 0..ids.len());
    let input = Input { ids: &ids, positions: &positions, documents: std::slice::from_ref(&document) };
    model.hidden(&mut tape, input).value().clone()
}

pub(crate) fn log_softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    row.iter().map(|x| x - max - sum.ln()).collect()
}

fn check(name: &str, config: DecoderConfig, (n_prompt, n): (usize, usize)) {
    let generator = generator(config, 2, Weights::F32);
    let request =
        tutelage_generate::Request { logprobs: Some(3), prompt_logprobs: Some(2), ..greedy(prompt(n_prompt, 5), n) };
    let mut engine = Engine::new(generator.clone(), limits());
    let text = write(&mut engine, std::slice::from_ref(&request)).remove(0).remove(0);
    assert_eq!(text.ids.len(), n, "{name}");
    let all = [&request.prompt[..], &text.ids].concat();
    let rows: Vec<Vec<f64>> = whole(&generator, &all).iter().map(|row| log_softmax(row)).collect();
    assert_eq!((text.prompt.len(), text.logprobs.len()), (n_prompt - 1, n));
    for (t, found) in text.prompt.iter().chain(&text.logprobs).enumerate() {
        let row = &rows[t];
        assert_eq!(found.id, all[t + 1]);
        assert_close(&format!("{name}: token {t}"), &[found.logprob], &[row[found.id as usize]], 2e-3, 1e-4);
        let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert_close(&format!("{name}: best {t}"), &[found.top[0].1], &[best], 2e-3, 1e-4);
        if t + 1 >= n_prompt {
            assert_close(&format!("{name}: greedy {t}"), &[row[found.id as usize]], &[best], 2e-3, 0.0);
        }
    }
}

#[test]
fn greedy_texts_and_logprobs_agree_with_whole_passes() {
    check("plain", config(), (100, 90));
    check("short prompt", config(), (1, 70));
    check("window", windowed(40, Vec::new()), (150, 120));
    check("window in a layer", windowed(40, vec![1]), (150, 60));
}

/// Angles go by the length of the text: what was stored earlier keeps those of its time, as in transformers, so that only
/// the prompt can be compared with a pass over all of it.
#[test]
fn long_prompts_rotate_by_their_whole_length() {
    let generator = generator(dynamic(), 2, Weights::F32);
    let request = tutelage_generate::Request { prompt_logprobs: Some(0), ..greedy(prompt(200, 5), 0) };
    for prompt_tokens in [64, 512] {
        let mut engine = Engine::new(generator.clone(), tutelage_generate::EngineLimits { prompt_tokens, ..limits() });
        let text = write(&mut engine, std::slice::from_ref(&request)).remove(0).remove(0);
        let rows = whole(&generator, &request.prompt);
        let expected: Vec<f64> = (0..199).map(|t| log_softmax(&rows[t])[request.prompt[t + 1] as usize]).collect();
        let found: Vec<f64> = text.prompt.iter().map(|token| token.logprob).collect();
        assert_close(&format!("in parts of {prompt_tokens}"), &found, &expected, 2e-3, 1e-4);
    }
}

#[test]
fn embeddings_are_means_of_whole_passes() {
    let generator = generator(config(), 2, Weights::F32);
    for prompt_tokens in [64, 512] {
        let mut engine = Engine::new(generator.clone(), tutelage_generate::EngineLimits { prompt_tokens, ..limits() });
        // The second begins with pages that the first has left.
        for n in [150, 200] {
            let request = tutelage_generate::Request { embeds: true, ..greedy(prompt(n, 5), 0) };
            let found = write(&mut engine, std::slice::from_ref(&request)).remove(0).remove(0).mean_d;
            let rows = whole_hidden(&generator, &request.prompt).to_vec();
            let mean = |d: usize| rows.iter().skip(d).step_by(32).map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            let expected: Vec<f64> = (0..32).map(mean).collect();
            let found: Vec<f64> = found.iter().map(|&x| f64::from(x)).collect();
            assert_close(&format!("{n} tokens in parts of {prompt_tokens}"), &found, &expected, 1e-4, 1e-5);
        }
    }
}
