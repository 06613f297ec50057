//! A draft model changes the number of passes, and not a bit of any text.

use tutelage_generate::{Engine, EngineLimits, Grammar, Request, Sampling};
use tutelage_model::DecoderConfig;
use tutelage_tensor::Weights;
use tutelage_token::Tokenizer;

use crate::support::{config, dynamic, generator, greedy, limits, prompt, windowed, write};

fn requests(grammar: &tutelage_generate::Constraint) -> Vec<Request> {
    let sampled = |n, seed: u64| Request {
        sampling: Sampling {
            seed,
            temperature: 0.9,
            repetition_penalty: 1.1,
            frequency_penalty: 0.2,
            ..Sampling::default()
        },
        ignores_end: true,
        logprobs: Some(1),
        n_samples: 2,
        ..Request::new(prompt(n, seed as u32), 50)
    };
    let text = Request { stop: vec!["e".to_owned()], ..sampled(20, 5) };
    let formed = Request { constraint: Some(grammar.clone()), ignores_end: false, ..sampled(9, 6) };
    let short = Request { prompt_logprobs: Some(0), ..greedy(prompt(100, 7), 1) };
    vec![greedy(prompt(70, 1), 60), sampled(130, 2), sampled(1, 3), greedy(prompt(130, 2), 90), text, formed, short]
}

fn check(name: &str, config: DecoderConfig, weights: Weights) {
    let model = generator(config.clone(), 2, weights);
    let grammar = Grammar::JsonSchema(serde_json::json!({ "type": "array", "items": { "type": "integer" } }));
    let requests: Vec<Request> = requests(&model.constraint(&grammar).unwrap())
        .into_iter()
        .filter(|r| name != "dynamic" || r.prompt.len() + r.max_tokens < 250)
        .collect();
    let expected = write(&mut Engine::new(model.clone(), limits()), &requests);
    let other = generator(DecoderConfig { n_layers: 1, d_ff: 32, rope_theta: 5_000.0, ..config }, 1, weights);
    for draft in [model.clone(), other] {
        for (n_ahead, limits) in [(1, limits()), (4, limits()), (7, EngineLimits { max_running: 2, ..limits() })] {
            let mut engine = Engine::new(model.clone(), limits).with_draft(draft.clone(), n_ahead).unwrap();
            let found = write(&mut engine, &requests);
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found, expected, "{name} {weights:?}: request {i}, {n_ahead} ahead");
            }
            let stats = engine.speculation().unwrap();
            assert!(stats.n_proposed > 100, "{name}: {stats:?}");
        }
    }
}

#[test]
fn texts_are_those_without_a_draft() {
    for weights in [Weights::F32, Weights::Bf16, Weights::Int8] {
        check("plain", config(), weights);
    }
    check("window", windowed(50, Vec::new()), Weights::Bf16);
    check("dynamic", dynamic(), Weights::Bf16);
}

#[test]
fn a_model_foretells_its_own_greedy_text() {
    let model = generator(config(), 1, Weights::Bf16);
    let mut engine = Engine::new(model.clone(), limits()).with_draft(model, 4).unwrap();
    write(&mut engine, &[greedy(prompt(20, 1), 100)]);
    let stats = engine.speculation().unwrap();
    // 100 tokens in passes of five.
    assert!(stats.n_proposed == stats.n_accepted && stats.n_accepted >= 79, "{stats:?}");
}

#[test]
fn drafts_of_other_vocabularies_are_refused() {
    let model = generator(config(), 1, Weights::F32);
    let words = ["something else entirely, with other words and other merges in it"; 30];
    let tokenizer = Tokenizer::train_bpe(words.into_iter(), 270).unwrap();
    let device = tutelage_tensor::Device::cpu(1, tutelage_tensor::Isa::Portable).unwrap();
    let decoder = tutelage_model::Decoder::random_in(config(), Weights::F32.params(&device), 3).unwrap();
    let other = std::sync::Arc::new(tutelage_generate::Generator::new(decoder, tokenizer, None).unwrap());
    let error = Engine::new(model, limits()).with_draft(other, 4).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("270 entries"), "{error}");
}
