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
        let text = std::fs::read_to_string(bench.path(&format!("out/models/{name}/metrics.jsonl"))).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["kl"].as_f64().unwrap();
        text.lines().map(line).collect()
    };
    // The same teachers, whole and by their twenty most likely entries of 300.
    for (live, cached) in kl("by-route").iter().zip(kl("by-cache")) {
        assert!(*live > 0.0 && cached > 0.0);
    }
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
    for (from, to, message) in [
        (
            "routes = [\"law\"]",
            "routes = [\"medicine\"]",
            "no document has the route 'medicine'; there is: code, general, law",
        ),
        ("routes = [\"*\"]", "routes = [\"general\"]", "documents of the route 'code' have no teacher"),
        ("\nroute_field = \"domain\"", "", "set data.route_field"),
        ("route_field = \"domain\"", "route_field = \"topic\"", "no field 'topic', which routes documents"),
        ("weight = 3", "weight = 0", "weight = 0: must be above 0"),
        ("cache = \"rest\"", "run = \"reference\"", "some are live and some are caches"),
        ("cache = \"rest\"\nroutes = [\"*\"]", "cache = \"rest\"", "only live teachers are averaged"),
        ("run = \"expert\"\nroutes", "routes", "each needs one of run, model and cache"),
        ("[runs.teacher]\nalpha = 0.9", "[runs.teacher]\nrun = \"expert\"\nalpha = 0.9", "or members"),
    ] {
        let original = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
        bench.edit("tiny.toml", from, to);
        let error = bench.refuse(&["plan", "tiny.toml"]);
        assert!(error.contains(message), "{to}: {error}");
        std::fs::write(bench.path("tiny.toml"), original).unwrap();
    }
}
