//! A text depends on its request alone.

use tutelage_generate::{Engine, EngineLimits, Request, Sampling};
use tutelage_tensor::{Device, Isa, Weights};

use crate::support::{config, dynamic, greedy, limits, of_isa, prompt, windowed, write};

fn requests() -> Vec<Request> {
    let drawn = |n, seed: u32| Request {
        sampling: Sampling { seed: seed.into(), temperature: 1.3, ..Sampling::default() },
        ignores_end: true,
        logprobs: Some(2),
        n_samples: 1 + seed as usize % 3,
        ..Request::new(prompt(n, seed), 20)
    };
    // The last two begin as the first, for more than a page.
    let mut requests =
        vec![drawn(150, 1), greedy(prompt(3, 2), 40), drawn(64, 3), drawn(1, 4), greedy(prompt(250, 5), 9)];
    let first = requests[0].prompt.clone();
    requests.push(Request { prompt: first.clone(), ..drawn(1, 2) });
    requests.push(Request { prompt: [&first[..128], &[9, 9, 9]].concat(), ..drawn(1, 6) });
    requests
}

#[test]
fn texts_do_not_depend_on_what_is_beside_them() {
    for isa in Isa::ALL.into_iter().filter(|&isa| Device::cpu(1, isa).is_ok()) {
        for weights in [Weights::F32, Weights::Bf16, Weights::Int8, Weights::Int4] {
            for (name, config) in [("plain", config()), ("window", windowed(50, Vec::new())), ("dynamic", dynamic())] {
                let requests: Vec<Request> =
                    requests().into_iter().filter(|r| name != "dynamic" || r.prompt.len() < 240).collect();
                let generator = of_isa(config.clone(), 1, weights, isa);
                let mut alone = Vec::new();
                for request in &requests {
                    let mut engine = Engine::new(generator.clone(), limits());
                    alone.extend(write(&mut engine, std::slice::from_ref(request)));
                }
                let bounds = [
                    (2, limits()),
                    // Little room: sequences wait, prompts come page by page, pages are taken from what is idle.
                    (3, EngineLimits { cache_tokens: 320, max_running: 3, prompt_tokens: 64, ..limits() }),
                ];
                for (n_threads, bounds) in bounds {
                    let generator = of_isa(config.clone(), n_threads, weights, isa);
                    let mut engine = Engine::new(generator, bounds);
                    for again in ["at first", "with prompts that were read"] {
                        let together = write(&mut engine, &requests);
                        for (i, (found, expected)) in together.iter().zip(&alone).enumerate() {
                            assert_eq!(found, expected, "{isa} {weights:?} {name}: request {i}, {again}");
                        }
                    }
                }
            }
        }
    }
}
