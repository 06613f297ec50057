//! Students that learn from what they write.

use crate::support::{Bench, lasting_files};

fn prepare(bench: &Bench) {
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let head = &recipe[..recipe.find("[caches.pd]").unwrap()];
    let run = |name: &str, settings: &str| {
        format!(
            "[[runs]]\nname = \"{name}\"\nmodel = \"small\"\ntraining = \"all\"\n[runs.teacher]\nrun = \"teacher\"\n{settings}\n"
        )
    };
    let runs = "[caches.few]\nrun = \"teacher\"\ntop_k = 4\n\
                [[runs]]\nname = \"teacher\"\nmodel = \"large\"\ntraining = \"all\"\n\
                [[runs]]\nname = \"cached\"\nmodel = \"small\"\ntraining = \"all\"\n\
                teacher = { cache = \"few\", alpha = 0.5 }\n"
        .to_owned()
        + &run(
            "half",
            "alpha = 0.9\ndivergence = \"jsd\"\nbeta = 0.5\non_policy = { fraction = 0.5, prompt_tokens = 4, temperature = 0.9 }",
        )
        + &run(
            "own",
            "alpha = 1\ndivergence = \"sampled_reverse_kl\"\non_policy = { fraction = 1, prompt_tokens = 4 }",
        );
    std::fs::write(bench.path("tiny.toml"), head.to_owned() + &runs).unwrap();
}

#[test]
fn students_learn_from_their_own_texts() {
    let bench = Bench::new("on-policy");
    prepare(&bench);
    let plan = bench.succeed(&["plan", "tiny.toml"]);
    assert!(plan.contains("JSD 0.5, alpha 0.9, own texts 0.5 after 4 tokens at 0.9"), "{plan}");
    assert!(plan.contains("reverse KL by the student's own tokens, alpha 1, own texts 1 after 4 tokens"), "{plan}");
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let lines = bench.metrics("out", "half");
    let own: Vec<f64> = lines.iter().map(|line| line["own"].as_f64().unwrap()).collect();
    assert!(own.iter().any(|share| *share > 0.1) && own.iter().all(|share| *share < 0.9), "{own:?}");
    for line in &lines {
        assert!(line["lm_loss"].as_f64().unwrap() > 1.0 && line["kl"].as_f64().unwrap() > 0.0, "{line}");
    }
    for line in bench.metrics("out", "own") {
        // There was no text to be at a distance from.
        assert!(line["own"] == 1.0 && line.get("lm_loss").is_none(), "{line}");
        assert!(line["heldout_loss"].is_f64() || line["step"] == 4 || line["step"] == 8, "{line}");
    }
    assert!(bench.succeed(&["report", "out"]).contains("half"));
    bench.succeed(&["inspect", "out"]);
}

#[test]
fn what_was_written_is_written_again_after_an_interruption() {
    let bench = Bench::new("on-policy-killed");
    prepare(&bench);
    bench.succeed(&["run", "tiny.toml", "--out", "whole"]);
    bench.run_killed("parts");
    for model in ["half", "own"] {
        let [whole, parts] = ["whole", "parts"].map(|run| lasting_files(&bench.path(&format!("{run}/models/{model}"))));
        assert!(whole == parts, "{model}");
    }
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let bench = Bench::new("wrong-on-policy");
    prepare(&bench);
    let changes = [
        ("fraction = 0.5,", "fraction = 1.5,", "fraction: peak = 1.5"),
        ("fraction = 0.5,", "", "fraction"),
        ("prompt_tokens = 4, temperature", "prompt_tokens = 32, temperature", "less than data.seq_len = 32"),
        ("prompt_tokens = 4, temperature", "prompt_tokens = 0, temperature", "prompt_tokens = 0: must be at least 1"),
        ("temperature = 0.9", "temperature = 0", "temperature = 0: must be from"),
        ("\non_policy = { fraction = 1, prompt_tokens = 4 }", "", "must be given for sampled_reverse_kl"),
        ("fraction = 1, prompt", "temperature = 2, fraction = 1, prompt", "temperature must be 1"),
        ("alpha = 0.9\n", "alpha = 0.9\nguided = true\n", "leave one out"),
        ("alpha = 1\n", "alpha = 1\ntemperature = 2\n", "at temperature 1"),
        (
            "cache = \"few\", alpha = 0.5",
            "cache = \"few\", alpha = 0.5, on_policy = { fraction = 0.5 }",
            "cache 'few' knows nothing",
        ),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
    let error = bench.refuse(&["bench", "step", "--teacher", "live", "--divergence", "sampled_reverse_kl"]);
    assert!(error.contains("needs tokens that the student drew"), "{error}");
}
