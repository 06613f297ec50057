//! Ends of texts, several samples, requests that cannot be.

use tutelage_generate::{Engine, EngineLimits, GenerateError, Request, Sampling, StopReason};
use tutelage_run::StopFlag;
use tutelage_tensor::Weights;

use crate::support::{Text, config, generator, greedy, limits, prompt, windowed, write};

fn engine() -> Engine {
    Engine::new(generator(config(), 2, Weights::F32), limits())
}

fn one(engine: &mut Engine, request: &Request) -> Text {
    write(engine, std::slice::from_ref(request)).remove(0).remove(0)
}

#[test]
fn texts_end_where_they_are_told_to() {
    let mut engine = engine();
    let request = greedy(prompt(20, 1), 30);
    let whole = one(&mut engine, &request);
    assert_eq!((whole.ids.len(), whole.reason), (30, Some(StopReason::MaxTokens)));
    let text = engine.generator().tokenizer().decode(&whole.ids).unwrap();
    assert_eq!(whole.text, text);
    // A stop string in the middle, over the borders of tokens.
    let at = text.char_indices().map(|(at, _)| at).filter(|at| *at > text.len() / 2).nth(1).unwrap();
    let end = text.char_indices().map(|(at, _)| at).filter(|end| *end > at).nth(4).unwrap();
    let stop = text[at..end].to_owned();
    let first = text.find(&stop).unwrap();
    let stopped = one(&mut engine, &Request { stop: vec!["never".into(), stop], ..request.clone() });
    assert_eq!((stopped.text.as_str(), stopped.reason), (&text[..first], Some(StopReason::Stop)));
    // A token that ends it is not of the text.
    let id = whole.ids[7];
    let n = whole.ids.iter().position(|&found| found == id).unwrap();
    let stopped = one(&mut engine, &Request { stop_ids: vec![id], ..request.clone() });
    assert_eq!((&stopped.ids[..], stopped.reason), (&whole.ids[..n], Some(StopReason::Stop)));
    // The model's own end, made likely.
    let sampling = Sampling { logit_bias: vec![(2, 1e4)], ..Sampling::greedy() };
    let ended = one(&mut engine, &Request { sampling: sampling.clone(), ignores_end: false, ..request.clone() });
    assert_eq!((ended.ids.len(), ended.reason), (0, Some(StopReason::EndOfDocument)));
    let ignored = one(&mut engine, &Request { sampling, ..request });
    assert_eq!(ignored.ids, [2; 30]);
    // All positions.
    let full = one(&mut engine, &greedy(prompt(500, 1), 100));
    assert_eq!((full.ids.len(), full.reason), (12, Some(StopReason::ContextFull)));
}

#[test]
fn samples_are_several_texts_of_one_prompt() {
    let sampling = Sampling { temperature: 1.0, seed: 3, ..Sampling::default() };
    let request = Request { sampling, n_samples: 5, ignores_end: true, ..Request::new(prompt(130, 1), 12) };
    let samples = write(&mut engine(), std::slice::from_ref(&request)).remove(0);
    let different: std::collections::BTreeSet<&[u32]> = samples.iter().map(|text| &text.ids[..]).collect();
    assert_eq!((samples.len(), different.len()), (5, 5));
    let alone = one(&mut engine(), &Request { n_samples: 1, ..request });
    assert_eq!(alone, samples[0]);
}

#[test]
fn a_window_bounds_what_a_text_takes() {
    // 500 tokens in a cache of 5 pages: the window's, a part of the prompt, and two for borders.
    let generator = generator(windowed(40, Vec::new()), 2, Weights::F32);
    let bounds = EngineLimits { cache_tokens: 320, prompt_tokens: 64, ..limits() };
    let text = one(&mut Engine::new(generator.clone(), bounds), &greedy(prompt(200, 1), 300));
    assert_eq!(text, one(&mut Engine::new(generator, limits()), &greedy(prompt(200, 1), 300)));
    assert_eq!(text.ids.len(), 300);
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let generator = generator(config(), 2, Weights::F32);
    let bounds = EngineLimits { cache_tokens: 128, max_waiting: 2, ..limits() };
    let mut engine = Engine::new(generator, bounds);
    let refused = |engine: &mut Engine, request: Request| engine.submit(request).unwrap_err().to_string();
    assert!(refused(&mut engine, greedy(Vec::new(), 1)).contains("no tokens"));
    assert!(refused(&mut engine, greedy(vec![5000], 1)).contains("token 5000"));
    assert!(refused(&mut engine, greedy(prompt(512, 1), 1)).contains("512 tokens where the model has 512 positions"));
    assert!(
        refused(&mut engine, greedy(prompt(100, 1), 100)).contains("up to 256 tokens of the cache, which holds 128")
    );
    assert!(refused(&mut engine, Request { n_samples: 0, ..greedy(prompt(1, 1), 1) }).contains("n = 0"));
    for (sampling, name) in [
        (Sampling { temperature: -1.0, ..Sampling::default() }, "temperature = -1"),
        (Sampling { top_p: 0.0, ..Sampling::default() }, "top_p = 0"),
        (Sampling { min_p: 1.5, ..Sampling::default() }, "min_p = 1.5"),
        (Sampling { typical_p: f64::NAN, ..Sampling::default() }, "typical_p = NaN"),
        (Sampling { repetition_penalty: 0.0, ..Sampling::default() }, "repetition_penalty = 0"),
        (Sampling { presence_penalty: f64::INFINITY, ..Sampling::default() }, "presence_penalty = inf"),
        (Sampling { logit_bias: vec![(1, f64::NAN)], ..Sampling::default() }, "logit_bias of 1"),
    ] {
        let message = refused(&mut engine, Request { sampling, ..greedy(prompt(1, 1), 1) });
        assert!(message.contains(name), "{message}");
    }
    engine.submit(greedy(prompt(9, 1), 5)).unwrap();
    let id = engine.submit(greedy(prompt(9, 2), 5)).unwrap();
    assert!(matches!(engine.submit(greedy(prompt(9, 3), 5)), Err(GenerateError::Busy { waiting: 2 })));
    // One that is cancelled frees what it had, running or waiting.
    engine.step().unwrap();
    assert_eq!(engine.load(), (0, 2));
    engine.cancel(id);
    assert_eq!((engine.load(), engine.cache_use()), ((0, 1), (64, 128)));
    // Asked to stop, everything ends as stopped.
    let (stop, mut reasons) = (StopFlag::default(), Vec::new());
    stop.raise();
    let mut take = |event| {
        reasons.push(event);
        Ok(())
    };
    engine.run(&stop, &mut take).unwrap();
    assert!(matches!(&reasons[..], [tutelage_generate::Event::Done { reason: StopReason::Stopped, .. }]));
    assert_eq!((engine.load(), engine.cache_use().0), ((0, 0), 0));
}

/// A prompt that is looked at and not continued.
#[test]
fn a_prompt_alone_has_logprobs() {
    let request = Request { prompt_logprobs: Some(1), ..greedy(prompt(70, 1), 0) };
    let text = one(&mut engine(), &request);
    assert_eq!((text.prompt.len(), text.ids.len(), text.reason), (69, 0, Some(StopReason::MaxTokens)));
    let all = one(&mut engine(), &greedy(prompt(512, 1), 0));
    assert_eq!(all.reason, Some(StopReason::MaxTokens), "a prompt may take all positions");
}
