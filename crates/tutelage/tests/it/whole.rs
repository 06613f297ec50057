//! From text to report.

use crate::support::{Bench, lasting_files};

#[test]
fn a_recipe_runs_from_text_to_report() {
    let bench = Bench::new("whole");
    let plan = bench.succeed(&["plan", "tiny.toml"]);
    for stage in ["tokenizer", "shards", "train/teacher", "cache/pd", "train/live-seed-2", "evaluate/cached"] {
        assert!(plan.contains(stage), "{plan}");
    }
    assert!(!bench.path("runs").exists(), "a plan leaves nothing behind");
    let table = bench.succeed(&["run", "tiny.toml"]);
    assert!(table.contains("cached") && table.contains("bits/byte"), "{table}");

    let summary = std::fs::read_to_string(bench.path("runs/tiny/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let models = summary["models"].as_array().unwrap();
    assert_eq!(models.len(), 5);
    for model in models {
        for key in ["parameters", "tokens", "seconds", "heldout_bits_per_byte", "heldout_loss"] {
            assert!(model[key].as_f64().unwrap() > 0.0, "{key} of {model}");
        }
        let path = bench.path("runs/tiny").join(model["path"].as_str().unwrap());
        for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            assert!(path.join(file).exists(), "{}", path.display());
        }
    }
    assert_eq!(models[1]["tokens"], models[4]["tokens"]);
    assert!(summary["caches"][0]["bytes_per_token"].as_f64().unwrap() > 0.0);
    let html = std::fs::read_to_string(bench.path("runs/tiny/report.html")).unwrap();
    for part in ["Did teaching help?", "<polyline", "Learning rate", "Weight of the teacher", "the king"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("NaN"));

    let kept = bench.tutelage(&["run", "tiny.toml"]);
    let log = String::from_utf8(kept.stderr).unwrap();
    assert!(kept.status.success() && log.matches("done before").count() == 13, "{log}");
    let found = bench.succeed(&["inspect", "runs/tiny"]);
    for kind in ["tokenizer", "token shard", "checkpoint", "model", "teacher cache", "metrics", "recipe", "summary"] {
        assert!(found.contains(&format!(": {kind}: ")), "{kind}: {found}");
    }
    let text = ["generate", "runs/tiny/models/live-seed-1/model", "--prompt", "the king", "--max-tokens", "5"];
    let first = bench.succeed(&text);
    assert!(first.starts_with("the king") && first == bench.succeed(&text));
    // As many tokens as there are positions, however many are asked for.
    bench.succeed(&[&text[..5], &[&u64::MAX.to_string()]].concat());
    let again: serde_json::Value = serde_json::from_str(&bench.succeed(&["report", "runs/tiny", "--json"])).unwrap();
    assert_eq!(again[0], summary);
    // The resolved recipe makes the same run.
    bench.succeed(&["run", "runs/tiny/recipe.resolved.toml", "--out", "again", "--threads", "1"]);
    assert!(lasting_files(&bench.path("again")) == lasting_files(&bench.path("runs/tiny")));
}

#[test]
fn steps_are_measured_with_every_teacher() {
    let bench = Bench::new("bench");
    for teacher in ["none", "live", "cache", "remote"] {
        let shape = ["bench", "step", "--shape", "32,1,2,1,48,60,2,40", "--repeats", "2", "--teacher", teacher];
        let text = bench.succeed(&[&shape[..], &["--json"]].concat());
        let step = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["step"];
        assert!(step["tokens_per_second"].as_f64().unwrap() > 0.0 && step["loss"].as_f64().unwrap() > 0.0, "{text}");
        let names = step["operations"].as_array().unwrap().iter().map(|op| op["name"].as_str().unwrap());
        assert!(names.clone().any(|n| n == "attention backward") && names.clone().any(|n| n == "adamw"), "{text}");
    }
}

#[test]
fn overrides_reach_the_run_and_its_resolved_recipe() {
    let bench = Bench::new("set");
    let set = ["--set", "training.all.steps=2", "--set", "runs.live.seeds=[7]", "--set", "precision=f32"];
    bench.succeed(&[&["run", "tiny.toml", "--out", "short"][..], &set].concat());
    let resolved = std::fs::read_to_string(bench.path("short/recipe.resolved.toml")).unwrap();
    assert!(resolved.contains("steps = 2") && resolved.contains("precision = \"f32\""), "{resolved}");
    assert!(bench.path("short/models/live/model/config.json").exists());
    let refused = bench.refuse(&["run", "tiny.toml", "--out", "short"]);
    assert!(refused.contains("stage 'train/teacher'") && refused.contains("other settings"), "{refused}");
}

#[test]
fn every_setting_of_a_teacher_reaches_its_run() {
    let bench = Bench::new("settings");
    let cached = "tail = true\nguided = true\ndivergence = \"skew_reverse_kl\"\nskew = 0.1\nstudent_temperature = 1.5";
    bench.edit("tiny.toml", "temperature = 2.0", cached);
    let live = "divergence = \"jsd\"\nbeta = 0.3\nstudent_temperature = \"teacher\"\ntemperature_squared = true\n\
                temperature = { per_row = \"entropy\", certain = 3, uncertain = { shape = \"linear\", peak = 1, end = 0.5 } }\n\
                text_weight = { shape = \"period\", peak = 1, every = 0.5 }\nteacher_weight = 2";
    bench.edit("tiny.toml", "alpha = 0.9", live);
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/summary.json")).unwrap()).unwrap();
    let objective = |name: &str| {
        let models = summary["models"].as_array().unwrap();
        let model = models.iter().find(|model| model["name"] == name).unwrap();
        model["objective"].as_str().unwrap().to_owned()
    };
    let expected = "live teacher, whole vocabulary, tau 3 to linear 1 to 0.5 by entropy on both sides times its square, \
                    JSD 0.3, weights 1 and 0 in periods of 0.5 and 2";
    assert_eq!(objective("live-seed-1"), expected);
    let expected = "cached teacher, top-0.95-20 and tail, tau 1, the student's 1.5, skew reverse KL 0.1 where the teacher is \
                    right, alpha WSD 0.9 to 0 (decay 0.1)";
    assert_eq!(objective("cached"), expected);
    for line in bench.metrics("out", "cached") {
        let taught = line["taught"].as_f64().unwrap();
        assert!(taught > 0.0 && taught < 1.0 && line["kl"].as_f64().unwrap() > 0.0, "{line}");
    }
    let resolved = std::fs::read_to_string(bench.path("out/recipe.resolved.toml")).unwrap();
    std::fs::write(bench.path("again.toml"), resolved).unwrap();
    bench.succeed(&["plan", "again.toml"]);
}

#[test]
fn a_cache_is_written_by_hand_looked_at_and_used() {
    let bench = Bench::new("by-hand");
    let path = bench.succeed(&["teacher", "cache", "tiny.toml", "pd", "--out", "out"]);
    assert_eq!(path.trim(), "out/caches/pd");
    assert!(!bench.path("out/models/text").exists(), "only what the cache needs");
    let stats: serde_json::Value =
        serde_json::from_str(&bench.succeed(&["teacher", "stats", "out/caches/pd", "--json"])).unwrap();
    let number = |name: &str| stats["coding"][name].as_f64().unwrap();
    assert!(
        number("id_bits") > 0.0 && number("id_bits") < number("plain_id_bits") && number("kept_mass") > 0.6,
        "{stats}"
    );
    assert!(bench.succeed(&["teacher", "stats", "out/caches/pd"]).contains("bytes a token"));
    assert!(bench.succeed(&["teacher", "verify", "out/caches/pd"]).contains("whole"));
    let part = bench.path("out/caches/pd/part-00000.ttc");
    let written = std::fs::read(&part).unwrap();
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    assert!(std::fs::read(&part).unwrap() == written);
    let mut bad = written.clone();
    let last = bad.len() - 3;
    bad[last] ^= 4;
    std::fs::write(&part, bad).unwrap();
    let refused = bench.refuse(&["teacher", "verify", "out/caches/pd"]);
    assert!(refused.contains("part-00000.ttc is truncated or damaged"), "{refused}");
    for (args, message) in [
        (["teacher", "cache", "tiny.toml", "nothing"], "has no cache 'nothing' that a run reads; it has: pd"),
        (["teacher", "stats", "out/models", "--json"], "cache.json"),
    ] {
        let refused = bench.refuse(&args);
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn claims_are_compared_seed_by_seed() {
    let bench = Bench::new("claims");
    let claims = "[[claims]]\ntitle = \"Does it help?\"\n[[claims.rows]]\nrun = \"live\"\nagainst = \"text\"\npaper = \"yes\"\n[samples]";
    bench.edit("tiny.toml", "[samples]", claims);
    let refused = bench.refuse(&["plan", "tiny.toml"]);
    assert!(refused.contains("need the same seeds"), "{refused}");
    bench.edit(
        "tiny.toml",
        "name = \"text\"\nmodel = \"small\"\ntraining = \"all\"",
        "name = \"text\"\nmodel = \"small\"\ntraining = \"all\"\nseeds = [1, 2]",
    );
    let table = bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    assert!(
        table.contains("Does it help?:\n  live against text: ") && table.contains("of 2 seeds; the paper: yes"),
        "{table}"
    );
    assert!(table.contains("ECE %"), "{table}");
    bench.succeed(&["report", "out", "--markdown", "claims.md"]);
    let text = std::fs::read_to_string(bench.path("claims.md")).unwrap();
    assert!(
        text.contains("| live | 11824 |") && text.contains("**Does it help?**") && text.contains("| live | text |"),
        "{text}"
    );
    let page = std::fs::read_to_string(bench.path("out/report.html")).unwrap();
    assert!(page.contains("<h2>Claims</h2>") && page.contains("live against text"));
    let angles = bench.succeed(&[
        "teacher",
        "angles",
        "out",
        "--student",
        "text-seed-1",
        "--teacher",
        "teacher",
        "--top-k",
        "4,300",
        "--samples",
        "5",
        "--json",
    ]);
    let angles: serde_json::Value = serde_json::from_str(&angles).unwrap();
    let degrees = |target: &str| {
        let found = angles.as_array().unwrap().iter().find(|angle| angle["target"] == target).unwrap();
        found["degrees"].as_f64().unwrap()
    };
    // All of 300 entries are the whole distribution.
    assert!(degrees("top-300") < 0.5 && degrees("top-300 and tail") < 0.5, "{angles}");
    assert!(degrees("top-4") > 1.0 && degrees("5 samples") > 0.5, "{angles}");
    let refused = bench.refuse(&["teacher", "angles", "out", "--student", "nobody", "--teacher", "teacher"]);
    assert!(refused.contains("nobody"), "{refused}");
    bench.edit("tiny.toml", "against = \"text\"", "against = \"texts\"");
    assert!(bench.refuse(&["plan", "tiny.toml"]).contains("there is no run 'texts'"));
}

#[test]
fn a_teacher_teaches_as_it_was_earlier() {
    let bench = Bench::new("snapshots");
    bench.edit("tiny.toml", "checkpoint_every = 4", "checkpoint_every = 4\nsnapshots = [0.25, 0.5]");
    bench.edit("tiny.toml", "top_p = 0.95", "snapshot = 0.25\ntop_p = 0.95");
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let summary = std::fs::read_to_string(bench.path("out/summary.json")).unwrap();
    assert!(summary.contains("cached teacher after 3 steps, top-0.95-20"), "{summary}");
    let weights = |path: &str| std::fs::read(bench.path(path)).unwrap();
    let [early, later, last] = ["snapshots/step-0000003/model", "snapshots/step-0000006/model", "model"]
        .map(|at| weights(&format!("out/models/teacher/{at}/model.safetensors")));
    assert!(early != later && later != last);
    bench.succeed(&[
        "generate",
        "out/models/teacher/snapshots/step-0000003/model",
        "--prompt",
        "the",
        "--max-tokens",
        "2",
    ]);
    bench.succeed(&["run", "tiny.toml", "--out", "again", "--threads", "1"]);
    assert!(lasting_files(&bench.path("again")) == lasting_files(&bench.path("out")));
    let changes = [
        ("snapshot = 0.25", "snapshot = 0.3", "keeps no model of step 4"),
        ("snapshots = [0.25, 0.5]", "snapshots = [0.25, 1.0]", "above 0 and below 1"),
        ("snapshots = [0.25, 0.5]", "snapshots = [0.01]", "above 0 and below 1"),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}

#[test]
fn other_targets_schedules_and_recompute_train_too() {
    let bench = Bench::new("others");
    bench.edit("tiny.toml", "top_p = 0.95\ntop_k = 20", "samples = 12");
    bench.edit("tiny.toml", "temperature = 2.0", "divergence = \"mse\"");
    bench.edit("tiny.toml", "alpha = 0.9", "alpha = { shape = \"step_decay\", peak = 0.9, factor = 0.1, every = 0.3 }");
    let kept = ["run", "tiny.toml", "--out", "kept"];
    bench.succeed(&kept);
    let summary = std::fs::read_to_string(bench.path("kept/summary.json")).unwrap();
    assert!(summary.contains("12 samples"), "{summary}");
    let lines = bench.metrics("kept", "live-seed-1");
    let alphas: Vec<f64> = lines.iter().map(|line| line["teacher_weight"].as_f64().unwrap()).collect();
    // Steps 4, 6, 8 and 12 of 12, a drop after every 4.
    for (found, expected) in alphas.iter().zip([0.9, 0.09, 0.09, 0.009]) {
        assert!((found - expected).abs() < 1e-12, "{alphas:?}");
    }
    let line = &lines[0];
    assert!(line["kl"].as_f64().unwrap() > 0.0 && line["taught"].is_null(), "{line}");
    // Blocks computed again give the same bits.
    bench.succeed(&["run", "tiny.toml", "--out", "again", "--set", "training.all.recompute=true"]);
    let weights = |run: &str| std::fs::read(bench.path(run).join("models/cached/model/model.safetensors")).unwrap();
    assert!(weights("kept") == weights("again"));
}
