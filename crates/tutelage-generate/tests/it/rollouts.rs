//! Texts of a model that is borrowed.

use tutelage_generate::{Engine, EngineLimits, Request, RolloutPrompt, Sampling, rollouts};
use tutelage_model::Decoder;
use tutelage_tensor::{Device, Isa, Params, Precision, Weights};

use crate::support::{VOCAB, config, dynamic, generator, limits, prompt, windowed, write};

fn prompts(lengths: &[usize], max_tokens: usize) -> Vec<RolloutPrompt> {
    let one = |(i, &n): (usize, &usize)| RolloutPrompt {
        ids: prompt(n, i as u32).iter().map(|&id| id as i32).collect(),
        max_tokens: max_tokens + i,
        sampling: Sampling { temperature: 1.0, top_p: 1.0, seed: i as u64, ..Sampling::default() },
    };
    lengths.iter().enumerate().map(one).collect()
}

#[test]
fn an_engine_writes_the_same() {
    // The prompts are more than go through the model together.
    let lengths = [30, 400, 65, 400, 1, 400, 400, 400, 128];
    for config in [config(), windowed(40, vec![1]), dynamic()] {
        let lengths: Vec<usize> = lengths.iter().map(|&n| n.min(config.n_positions() - 60)).collect();
        for weights in [Weights::F32, Weights::Bf16] {
            let generator = generator(config.clone(), 2, weights);
            let prompts = prompts(&lengths, 20);
            let found = rollouts(generator.model(), &prompts, VOCAB, &[2]);
            let request = |prompt: &RolloutPrompt| Request {
                sampling: prompt.sampling.clone(),
                ..Request::new(prompt.ids.iter().map(|&id| id as u32).collect(), prompt.max_tokens)
            };
            let requests: Vec<Request> = prompts.iter().map(request).collect();
            let limits = EngineLimits { cache_tokens: 8192, ..limits() };
            let expected = write(&mut Engine::new(generator.clone(), limits), &requests);
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                // An end that was drawn is the last token here, and none there.
                let texts = found.strip_suffix(&[2]).unwrap_or(found);
                let expected: Vec<i32> = expected[0].ids.iter().map(|&id| id as i32).collect();
                assert_eq!(texts, expected, "text {i} of {weights:?}");
            }
        }
    }
}

#[test]
fn texts_end_where_they_should_and_threads_change_nothing() {
    let write = |n_threads: usize, ends: &[u32], vocabulary: usize| {
        let device = Device::cpu(n_threads, Isa::detect()).unwrap();
        // As in training: weights that change.
        let model = Decoder::random_in(config(), Params::new(&device, Precision::Bf16), 3).unwrap();
        rollouts(&model, &prompts(&[3, 70, 9], 40), vocabulary, ends)
    };
    let texts = write(1, &[], VOCAB);
    assert_eq!(texts.iter().map(Vec::len).collect::<Vec<_>>(), [40, 41, 42]);
    assert_eq!(texts, write(2, &[], VOCAB));
    let end = texts[1][7];
    let ended = write(1, &[end as u32], VOCAB);
    let at = texts[1].iter().position(|&id| id == end).unwrap();
    assert_eq!(ended[1], texts[1][..=at]);
    assert!(write(1, &[], 50).iter().flatten().all(|&id| id < 50));
    let none = RolloutPrompt { ids: vec![5], max_tokens: 0, sampling: Sampling::default() };
    let device = Device::cpu(1, Isa::detect()).unwrap();
    let model = Decoder::random_in(config(), Params::new(&device, Precision::F32), 3).unwrap();
    assert_eq!(rollouts(&model, &[none], VOCAB, &[]), [Vec::<i32>::new()]);
    assert!(rollouts(&model, &[], VOCAB, &[]).is_empty());
}
