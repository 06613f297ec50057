//! Documents that go to teachers by a field.

use crate::support::Bench;

/// A reference and an expert, and students that learn from both: live by route, from caches by route, and from their average.
fn prepare(bench: &Bench) {
    let text = std::fs::read_to_string(bench.path("text.jsonl")).unwrap();
    let lines = text.lines().enumerate().map(|(i, line)| {
        let domain = ["general", "law", "general", "code"][i % 4];
        line.replacen('{', &format!("{{\"domain\": \"{domain}\", "), 1)
    });
    std::fs::write(bench.path("text.jsonl"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let head = &recipe[..recipe.find("[caches.pd]").unwrap()];
    let head = head.replace("heldout_fraction = 0.2", "heldout_fraction = 0.2\nroute_field = \"domain\"");
    let cache = |name: &str, run: &str| format!("[caches.{name}]\nrun = \"{run}\"\ntop_k = 20\n");
    let run =
        |name: &str, model: &str| format!("[[runs]]\nname = \"{name}\"\nmodel = \"{model}\"\ntraining = \"all\"\n");
    let member = |what: &str, more: &str| format!("[[runs.teacher.members]]\n{what}\n{more}\n");
    let routed = |expert: &str, reference: &str| {
        "[runs.teacher]\nalpha = 1.0\n".to_owned()
            + &member(expert, "routes = [\"law\"]")
            + &member(reference, "routes = [\"*\"]")
    };
    let runs = run("expert", "large")
        + &run("reference", "large").replace("training", "seeds = [9]\ntraining")
        + &run("by-route", "small")
        + &routed("run = \"expert\"", "run = \"reference\"")
        + &run("by-cache", "small")
        + &routed("cache = \"law\"", "cache = \"rest\"")
        + &run("given-back", "small")
        + &routed("run = \"expert\"", "run = \"reference\"").replace("alpha = 1.0", "alpha = 1.0\noffload = true")
        + &run("by-both", "small")
        + "[runs.teacher]\nalpha = 0.9\n"
        + &member("run = \"expert\"", "weight = 3")
        + &member("run = \"reference\"", "");
    let samples = "[samples]\nprompts = [\"the king\"]\nmax_tokens = 4\n";
    std::fs::write(
        bench.path("tiny.toml"),
        head + &cache("law", "expert") + &cache("rest", "reference") + &runs + samples,
    )
    .unwrap();
}

#[test]
fn documents_go_to_teachers_by_a_field() {
    let bench = Bench::new("routes");
    prepare(&bench);
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/summary.json")).unwrap()).unwrap();
    let model =
        |name: &str| summary["models"].as_array().unwrap().iter().find(|model| model["name"] == name).unwrap().clone();
    let objective = model("by-route")["objective"].as_str().unwrap().to_owned();
    assert_eq!(objective, "live expert for law and live reference for *, tau 1, KL, alpha 1");
    assert_eq!(model("by-cache")["teacher"], "expert, reference");
    let objective = model("by-both")["objective"].as_str().unwrap().to_owned();
    assert_eq!(objective, "live expert (weight 3) and live reference, tau 1, KL, alpha 0.9");
    let kl = |name: &str| -> Vec<f64> {
        bench.metrics("out", name).iter().map(|line| line["kl"].as_f64().unwrap()).collect()
    };
    // The same teachers, whole and by their twenty most likely entries of 300.
    for (live, cached) in kl("by-route").iter().zip(kl("by-cache")) {
        assert!(*live > 0.0 && cached > 0.0);
    }
    // Whether weights are in memory all the time changes no bit.
    let read = |name: &str| std::fs::read(bench.path(&format!("out/models/{name}/metrics.jsonl"))).unwrap();
    assert!(read("by-route") == read("given-back"));
    let plan = bench.succeed(&["plan", "tiny.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let rows = plan.as_array().or_else(|| plan["stages"].as_array()).unwrap();
    let memory = |stage: &str| rows.iter().find(|row| row["stage"] == stage).unwrap()["memory_bytes"].as_u64().unwrap();
    assert!(memory("train/given-back") < memory("train/by-route"));
    // The same again is the same, and other routes are another run.
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    bench.edit("tiny.toml", "routes = [\"law\"]", "routes = [\"code\"]");
    let error = bench.refuse(&["run", "tiny.toml", "--out", "out"]);
    assert!(error.contains("'train/by-route'") && error.contains("other settings or data"), "{error}");
}

#[test]
fn wrong_routes_are_refused() {
    let bench = Bench::new("wrong-routes");
    prepare(&bench);
    let changes = [
        (
            "routes = [\"law\"]",
            "routes = [\"medicine\"]",
            "no document has the route 'medicine'; there is: code, general, law",
        ),
        ("routes = [\"*\"]", "routes = [\"general\"]", "documents of the route 'code' have no teacher"),
        ("\nroute_field = \"domain\"", "", "set data.route_field"),
        ("route_field = \"domain\"", "route_field = \"topic\"", "no field 'topic', which routes documents"),
        ("weight = 3", "weight = 0", "weight = 0: must be above 0"),
        (
            "alpha = 1.0\n[[runs.teacher.members]]\ncache",
            "alpha = 1.0\noffload = true\n[[runs.teacher.members]]\ncache",
            "teacher.offload is for live teachers",
        ),
        ("cache = \"rest\"", "run = \"reference\"", "some are live and some are caches"),
        ("cache = \"rest\"\nroutes = [\"*\"]", "cache = \"rest\"", "only live teachers are averaged"),
        ("run = \"expert\"\nroutes", "routes", "each needs one of run, model and cache"),
        ("[runs.teacher]\nalpha = 0.9", "[runs.teacher]\nrun = \"expert\"\nalpha = 0.9", "or members"),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}

/// Two seeds of a run that learn from some alone, and two that go on from those with all documents.
fn stages(bench: &Bench) {
    prepare(bench);
    let recipe = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let (head, rest) = recipe.split_at(recipe.find("[[runs]]").unwrap());
    let run = |name: &str, more: &str| {
        format!("[[runs]]\nname = \"{name}\"\nmodel = \"small\"\ntraining = \"all\"\nseeds = [1, 2]\n{more}\n")
    };
    let runs = run("some-first", "routes = [\"general\"]")
        + &run("then-all", "from = \"some-first\"")
        + &run(
            "own-texts",
            "routes = [\"law\", \"code\"]\n[runs.teacher]\nrun = \"expert\"\nalpha = 0.5\non_policy = { fraction = 0.5, prompt_tokens = 4 }",
        );
    let (before, samples) = rest.split_at(rest.find("[samples]").unwrap());
    let claims = "[[claims]]\ntitle = \"Law?\"\n[[claims.rows]]\nrun = \"then-all\"\nagainst = \"some-first\"\npaper = \"none\"\nroute = \"general\"\n\
                  [[claims.rows]]\nrun = \"then-all\"\nagainst = \"some-first\"\npaper = \"none\"\n";
    std::fs::write(bench.path("tiny.toml"), head.to_owned() + before + &runs + claims + samples).unwrap();
}

#[test]
fn runs_learn_from_some_documents_and_go_on_from_others() {
    let bench = Bench::new("stages");
    stages(&bench);
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/summary.json")).unwrap()).unwrap();
    let models = summary["models"].as_array().unwrap();
    let model = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    assert_eq!(model("then-all-seed-2")["begins_from"], "run 'some-first-seed-2'");
    for model in models {
        let by_route: Vec<f64> =
            model["heldout_by_route"].as_object().unwrap().values().map(|loss| loss.as_f64().unwrap()).collect();
        let loss = model["heldout_loss"].as_f64().unwrap();
        let (least, most) = by_route.iter().fold((f64::MAX, 0f64), |(a, b), &x| (a.min(x), b.max(x)));
        assert!(by_route.len() == 2 && least <= loss && loss <= most, "{model}");
    }
    let tokens = |name: &str| bench.metrics("out", name).last().unwrap()["tokens"].as_u64().unwrap();
    // Half of the documents.
    let (some, all) = (tokens("some-first-seed-1"), tokens("then-all-seed-1"));
    assert!(some > all / 4 && some < all * 3 / 4, "{some} of {all}");
    // It goes on from where the other ended.
    let first = |name: &str| bench.metrics("out", name)[0]["lm_loss"].as_f64().unwrap();
    assert!(first("then-all-seed-1") < first("some-first-seed-1") - 0.3);
    let report = bench.succeed(&["report", "out", "--markdown", "out.md"]);
    assert!(report.contains("then-all against some-first, on general:"), "{report}");
    assert!(std::fs::read_to_string(bench.path("out.md")).unwrap().contains("| some-first, on general |"));
    // Other documents are another run.
    bench.edit("tiny.toml", "routes = [\"general\"]\n[[runs]]", "routes = [\"code\"]\n[[runs]]");
    let error = bench.refuse(&["run", "tiny.toml", "--out", "out"]);
    assert!(error.contains("'train/some-first-seed-1'") && error.contains("other settings or data"), "{error}");
}

#[test]
fn what_cannot_be_gone_on_from_is_refused() {
    let bench = Bench::new("wrong-stages");
    stages(&bench);
    let changes = [
        ("routes = [\"general\"]\n[[runs]]", "routes = [\"lore\"]\n[[runs]]", "no document has the route 'lore'"),
        ("from = \"some-first\"", "from = \"law-last\"", "no run of this name comes before it"),
        ("from = \"some-first\"", "from = \"expert\"", "has another model"),
        ("from = \"some-first\"", "from = \"own-texts\"", "no run of this name comes before it"),
        ("route = \"general\"", "route = \"lore\"", "no document has the route 'lore'"),
        (
            "seeds = [1, 2]\nfrom = \"some-first\"",
            "seeds = [1, 3]\nfrom = \"some-first\"",
            "has no seed 3; name one of its seeds, as in 'some-first-seed-1'",
        ),
        (
            "name = \"by-cache\"\nmodel = \"small\"",
            "name = \"by-cache\"\nroutes = [\"law\"]\nmodel = \"small\"",
            "cache 'law' is of whole sequences",
        ),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}
