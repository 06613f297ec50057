//! Comparisons inside of student and teacher.

use crate::support::{Bench, lasting_files};

fn prepare(bench: &Bench) {
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let head = &recipe[..recipe.find("[caches.pd]").unwrap()];
    let head = head.replace("d_model = 16\nn_layers = 1\nn_heads = 2", "d_model = 16\nn_layers = 1\nn_heads = 4");
    let runs = r#"
[caches.few]
run = "teacher"
top_k = 4
[[runs]]
name = "teacher"
model = "large"
training = "all"
[[runs]]
name = "cached"
model = "small"
training = "all"
teacher = { cache = "few", alpha = 0.5 }
[[runs]]
name = "inside"
model = "small"
training = "all"
[runs.teacher]
run = "teacher"
alpha = 0.5
[runs.teacher.features]
hidden_mse = { weight = 0.1 }
hidden_cosine = { weight = 0.2, layers = [[0, 0], [1, 1]] }
channels = { weight = { shape = "step_decay", peak = 6, factor = 0.9, every = 0.25 } }
attention_kl = { weight = 1 }
"#;
    std::fs::write(bench.path("tiny.toml"), head + runs).unwrap();
}

#[test]
fn what_is_inside_is_compared_and_said() {
    let bench = Bench::new("features");
    prepare(&bench);
    let plan = bench.succeed(&["plan", "tiny.toml"]);
    assert!(plan.contains("hidden_mse 0.1, hidden_cosine 0.2, channels steps from 6 by 0.9, attention_kl 1"), "{plan}");
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let lines = bench.metrics("out", "inside");
    let last = &lines.last().unwrap()["features"];
    for name in ["hidden_mse", "hidden_cosine", "channels", "attention_kl"] {
        assert!(last[name]["value"].as_f64().unwrap() > 0.0, "{name}: {last}");
    }
    // The last step of twelve is in the last of four quarters.
    assert!((last["channels"]["weight"].as_f64().unwrap() - 6.0 * 0.9f64.powi(3)).abs() < 1e-9, "{last}");
    let report = bench.succeed(&["report", "out"]);
    assert!(report.contains("inside"), "{report}");
    assert!(std::fs::read_to_string(bench.path("out/report.html")).unwrap().contains("attention_kl"));
    // Projections are no part of the model, and going on from the middle changes no bit.
    bench.succeed(&["inspect", "out/models/inside/model"]);
    let whole = lasting_files(&bench.path("out/models/inside"));
    std::fs::remove_dir_all(bench.path("out/models/inside/model")).unwrap();
    std::fs::remove_dir_all(bench.path("out/models/inside/checkpoints/step-0000012")).unwrap();
    std::fs::remove_file(bench.path("out/models/inside/stage.json")).unwrap();
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    assert!(whole == lasting_files(&bench.path("out/models/inside")));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let bench = Bench::new("wrong-features");
    prepare(&bench);
    let changes = [
        ("[[0, 0], [1, 1]]", "[[0, 3]]", "the teacher has no layer 3; it has 0 to 2"),
        ("[[0, 0], [1, 1]]", "[[2, 1]]", "the student has no layer 2; it has 0 to 1"),
        ("[[0, 0], [1, 1]]", "[[1, 1], [1, 1]]", "names a pair twice"),
        ("[[0, 0], [1, 1]]", "[[1]]", "layers"),
        (
            "attention_kl = { weight = 1 }",
            "attention_kl = { weight = 1, layers = [[0, 1]] }",
            "no layer 0; it has 1 to 1",
        ),
        ("attention_kl = { weight = 1 }", "attention_kl = { weight = 1, projection = true }", "projection"),
        ("hidden_mse = { weight = 0.1 }", "hidden_mse = { weight = 0.1, projection = false }", "widths of 16 and 32"),
        ("hidden_mse = { weight = 0.1 }", "hidden_mse = { weight = -1 }", "hidden_mse.weight: peak = -1"),
        ("hidden_mse = {", "hidden_rmse = {", "hidden_rmse"),
        (
            "d_model = 16\nn_layers = 1\nn_heads = 4",
            "d_model = 16\nn_layers = 1\nn_heads = 2",
            "the student has 2 heads",
        ),
        ("run = \"teacher\"\nalpha", "cache = \"few\"\nalpha", "only one live teacher can be seen from inside"),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}
