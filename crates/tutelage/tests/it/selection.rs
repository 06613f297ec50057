//! Teachers that are chosen by what their teaching does.

use crate::support::{Bench, lasting_files};

fn prepare(bench: &Bench) {
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let head = &recipe[..recipe.find("[caches.pd]").unwrap()];
    let run =
        |name: &str, model: &str| format!("[[runs]]\nname = \"{name}\"\nmodel = \"{model}\"\ntraining = \"all\"\n");
    let chosen = |choice: &str| {
        format!(
            "[runs.teacher]\nalpha = 0.5\nselection = {{ choice = \"{choice}\", lr = 0.5 }}\n\
             [[runs.teacher.members]]\nrun = \"one\"\n[[runs.teacher.members]]\nrun = \"two\"\n"
        )
    };
    let runs = run("one", "large")
        + &run("two", "large").replace("training", "seeds = [9]\ntraining")
        + &run("each", "small")
        + &chosen("each")
        + &run("weights", "small")
        + &chosen("weights");
    std::fs::write(bench.path("tiny.toml"), head.to_owned() + &runs).unwrap();
}

#[test]
fn teachers_are_chosen_and_the_choice_is_told() {
    let bench = Bench::new("selection");
    prepare(&bench);
    let output = bench.tutelage(&["run", "tiny.toml", "--out", "out"]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(log.contains("train/each: scores one") && log.contains("train/weights: scores one"), "{log}");
    let taught = |model: &str| -> Vec<f64> {
        bench.metrics("out", model).iter().map(|line| line["taught"].as_f64().unwrap()).collect()
    };
    assert!(taught("each").iter().all(|share| *share > 0.2 && *share < 1.0), "{:?}", taught("each"));
    assert!(taught("weights").iter().all(|share| *share == 1.0));
    assert!(bench.succeed(&["plan", "tiny.toml"]).contains("live one and live two, chosen by what it does"));
}

#[test]
fn a_choice_goes_on_from_an_interruption() {
    let bench = Bench::new("selection-killed");
    prepare(&bench);
    bench.succeed(&["run", "tiny.toml", "--out", "whole"]);
    bench.run_killed("parts");
    for model in ["each", "weights"] {
        let [whole, parts] = ["whole", "parts"].map(|run| lasting_files(&bench.path(&format!("{run}/models/{model}"))));
        assert!(whole == parts, "{model}");
    }
}

#[test]
fn choices_that_are_none_are_refused() {
    let bench = Bench::new("wrong-selection");
    prepare(&bench);
    let changes = [
        ("choice = \"each\"", "choice = \"best\"", "best"),
        ("lr = 0.5", "lr = 0", "selection.lr = 0: must be above 0"),
        ("[[runs.teacher.members]]\nrun = \"two\"\n", "", "that several live members teach"),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}
