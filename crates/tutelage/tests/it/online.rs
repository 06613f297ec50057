//! Teachers that learn beside their students.

use crate::support::{Bench, lasting_files};

fn prepare(bench: &Bench) {
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let head = &recipe[..recipe.find("[caches.pd]").unwrap()];
    let run = |name: &str, settings: &str| {
        format!(
            "[[runs]]\nname = \"{name}\"\nmodel = \"small\"\ntraining = \"all\"\n\
             [runs.teacher]\nrun = \"teacher\"\nalpha = 1\n{settings}\n"
        )
    };
    let online = "[runs.teacher.online]\nstudent_weight = 20\ntext_weight = 0.5\nlr = 0.02\n\
                  lora = { rank = 4, alpha = 8, targets = [\"wqkv\", \"wo\", \"w2\"] }";
    let runs = "[caches.few]\nrun = \"teacher\"\ntop_k = 4\n\
                [[runs]]\nname = \"teacher\"\nmodel = \"large\"\ntraining = \"all\"\n\
                [[runs]]\nname = \"cached\"\nmodel = \"small\"\ntraining = \"all\"\n\
                teacher = { cache = \"few\", alpha = 0.5 }\n"
        .to_owned()
        + &run("fixed", "")
        + &run("learns", online);
    std::fs::write(bench.path("tiny.toml"), head.to_owned() + &runs).unwrap();
}

#[test]
fn a_teacher_bends_towards_its_student() {
    let bench = Bench::new("online");
    prepare(&bench);
    let plan = bench.succeed(&["plan", "tiny.toml"]);
    assert!(plan.contains("alpha 1, the teacher learns at rank 4, weights 0.5 and 20"), "{plan}");
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let last = |model: &str| bench.metrics("out", model).pop().unwrap();
    let (fixed, learns) = (last("fixed"), last("learns"));
    assert!(fixed.get("teacher_lm_loss").is_none());
    let of = |line: &serde_json::Value, key: &str| line[key].as_f64().unwrap();
    assert!(of(&learns, "kd_loss") < 0.9 * of(&fixed, "kd_loss"), "{learns} {fixed}");
    assert!(of(&learns, "teacher_kd_loss") > 0.0 && of(&learns, "teacher_lm_loss") > 0.0);
    bench.succeed(&["inspect", "out/models/learns/teacher-adapters"]);
    // The teacher itself is as it was.
    bench.succeed(&["inspect", "out"]);
}

#[test]
fn both_go_on_from_an_interruption() {
    let bench = Bench::new("online-killed");
    prepare(&bench);
    bench.succeed(&["run", "tiny.toml", "--out", "whole"]);
    bench.run_killed("parts");
    let [whole, parts] = ["whole", "parts"].map(|run| lasting_files(&bench.path(&format!("{run}/models/learns"))));
    assert!(whole == parts);
    // A checkpoint vouches for the teacher too.
    let damaged = bench.path("parts/models/learns/checkpoints/step-0000012/teacher-model.safetensors");
    let mut bytes = std::fs::read(&damaged).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let error = bench.refuse(&["inspect", "parts/models/learns/checkpoints/step-0000012"]);
    assert!(error.contains("1 of 1 things here are not whole"), "{error}");
}

#[test]
fn what_cannot_learn_is_refused() {
    let bench = Bench::new("wrong-online");
    prepare(&bench);
    let changes = [
        ("\"w2\"]", "\"w9\"]", "have no module of this name"),
        ("rank = 4", "rank = 0", "rank"),
        ("student_weight = 20", "student_weight = -1", "online.student_weight: peak = -1"),
        ("student_weight = 20\n", "", "student_weight"),
        ("lr = 0.02", "lr = 2", "online.lr: peak = 2"),
        (
            "cache = \"few\", alpha = 0.5",
            "cache = \"few\", alpha = 0.5, online = { student_weight = 1, lora = { rank = 2, alpha = 2, targets = [\"wo\"] } }",
            "only one live teacher can learn",
        ),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}
