//! Beams against the best of all texts, and against greedy ones.

use tutelage_generate::{BeamSearch, Engine, Found, StopReason, beam_search};
use tutelage_run::StopFlag;
use tutelage_tensor::Weights;

use crate::oracle::{log_softmax, whole};
use crate::support::{VOCAB, config, generator, greedy, limits, prompt, write};

fn search(prompt: &[u32], width: usize, max_tokens: usize, length_penalty: f64) -> Vec<Found> {
    let generator = generator(config(), 2, Weights::F32);
    let search = BeamSearch { width, max_tokens, length_penalty };
    beam_search(&generator, prompt, &search, &StopFlag::default()).unwrap()
}

#[test]
fn as_many_beams_as_tokens_find_the_best_pair() {
    let (generator, prompt) = (generator(config(), 2, Weights::F32), prompt(70, 3));
    let last = |ids: &[u32]| log_softmax(whole(&generator, ids).last().unwrap());
    let first = last(&prompt);
    let mut best = (f64::NEG_INFINITY, Vec::new());
    for a in 0..VOCAB as u32 {
        if a == 2 {
            best = best.max_by_sum(first[2], Vec::new());
            continue;
        }
        let second = last(&[&prompt[..], &[a]].concat());
        for b in 0..VOCAB as u32 {
            let ids = if b == 2 { vec![a] } else { vec![a, b] };
            best = best.max_by_sum(first[a as usize] + second[b as usize], ids);
        }
    }
    let found = &search(&prompt, VOCAB, 2, 0.0)[0];
    assert_eq!(found.ids, best.1);
    assert!((found.logprob - best.0).abs() < 1e-3 && found.score == found.logprob, "{found:?} {best:?}");
}

trait Best {
    fn max_by_sum(self, sum: f64, ids: Vec<u32>) -> Self;
}

impl Best for (f64, Vec<u32>) {
    fn max_by_sum(self, sum: f64, ids: Vec<u32>) -> Self {
        if sum > self.0 { (sum, ids) } else { self }
    }
}

#[test]
fn beams_sum_what_the_model_says_and_one_is_greedy() {
    let prompt = prompt(60, 1);
    // Across the borders of pages, with the sums of whole passes.
    let generator = generator(config(), 2, Weights::F32);
    let all = search(&prompt, 4, 80, 1.0);
    assert_eq!(all.len(), 4);
    assert!(all.windows(2).all(|pair| pair[0].score >= pair[1].score && pair[0].ids != pair[1].ids));
    for found in &all {
        let ends = found.reason == StopReason::EndOfDocument;
        let ids = [&prompt[..], &found.ids, if ends { &[2] } else { &[] }].concat();
        let rows: Vec<Vec<f64>> = whole(&generator, &ids).iter().map(|row| log_softmax(row)).collect();
        let sum: f64 = (prompt.len()..ids.len()).map(|t| rows[t - 1][ids[t] as usize]).sum();
        let n = (ids.len() - prompt.len()) as f64;
        assert!(
            (found.logprob - sum).abs() < 2e-2 && (found.score - found.logprob / n).abs() < 1e-9,
            "{found:?} {sum}"
        );
    }
    let one = search(&prompt, 1, 30, 1.0).remove(0);
    let request = tutelage_generate::Request { ignores_end: false, ..greedy(prompt.clone(), 30) };
    let text = write(&mut Engine::new(generator, limits()), &[request]).remove(0).remove(0);
    assert_eq!(one.ids, text.ids);
}

#[test]
fn searches_that_cannot_be_are_refused() {
    let generator = generator(config(), 1, Weights::F32);
    let ask = |prompt: &[u32], width, max_tokens| {
        let search = BeamSearch { width, max_tokens, length_penalty: 1.0 };
        beam_search(&generator, prompt, &search, &StopFlag::default()).map(|found| found.len())
    };
    assert!(ask(&[], 2, 5).is_err() && ask(&[1], 0, 5).is_err() && ask(&[1], 2, 0).is_err());
    assert!(ask(&[9999], 2, 5).is_err() && ask(&[1; 512], 2, 5).is_err());
    assert_eq!(ask(&[1; 511], 2, 5).unwrap(), 2);
    // Asked to stop, it has what it came to.
    let stop = StopFlag::default();
    stop.raise();
    let search = BeamSearch { width: 3, max_tokens: 9, length_penalty: 1.0 };
    let found = beam_search(&generator, &[5, 6], &search, &stop).unwrap();
    assert!(found.len() == 3 && found.iter().any(|found| found.reason == StopReason::Stopped), "{found:?}");
}
