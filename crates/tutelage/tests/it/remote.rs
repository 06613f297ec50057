//! A teacher on a server: tutelage's own.

use serde_json::Value;

use crate::serve::Server;
use crate::support::Bench;

/// Students of one stored teacher: from a cache of it, from a cache of the server that serves it, and from that server live.
fn recipe(bench: &Bench, address: &str) {
    let text = std::fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let runs = text.find("[[runs]]").unwrap();
    let head = text[..runs].replace("vocab_size = 300", "from = \"out/models/teacher/model\"");
    let head = head.replace(
        "[models.large]\nd_model = 32\nn_layers = 2\nn_heads = 4\nn_kv_heads = 2\nd_ff = 48\n",
        "[models.given]\nfrom = \"out/models/teacher/model\"\n",
    );
    let head = head.replace("run = \"teacher\"\ntop_p = 0.95\ntop_k = 20", "model = \"given\"\ntop_k = 20");
    let servers = format!(
        "[servers.own]\nurl = \"http://{address}/v1\"\nmodel = \"teacher\"\napi_key_file = \"key.txt\"\n\
         [caches.far]\nserver = \"own\"\ntop_k = 20\n"
    );
    let run = |name: &str, teacher: &str| {
        format!(
            "[[runs]]\nname = \"{name}\"\nmodel = \"small\"\ntraining = \"all\"\n[runs.teacher]\n{teacher}\nalpha = 0.9\ntail = true\n"
        )
    };
    let asked = "server = \"own\"\ntop_k = 20";
    let runs = run("near", "cache = \"pd\"")
        + &run("far", "cache = \"far\"")
        + &run("asked", asked)
        + &run("writes", &format!("{asked}\non_policy = {{ fraction = 0.5, prompt_tokens = 4 }}"));
    std::fs::write(bench.path("remote.toml"), head + &servers + &runs).unwrap();
    std::fs::write(bench.path("key.txt"), "secret\n").unwrap();
}

#[test]
fn a_server_teaches_as_the_model_that_it_serves() {
    let bench = Bench::new("remote");
    bench.succeed(&[
        "run",
        "tiny.toml",
        "--out",
        "out",
        "--set",
        "runs.live.seeds=[1]",
        "--set",
        "models.large.max_positions=128",
    ]);
    let served = "teacher=out/models/teacher/model";
    let server = Server::start(&bench, &[served, "--dtype", "bf16"], Some("secret"));
    recipe(&bench, &server.address);
    let plan = bench.succeed(&["plan", "remote.toml"]);
    assert!(plan.contains("cache/far") && plan.contains("of own"), "{plan}");
    bench.succeed(&["run", "remote.toml", "--out", "taught"]);
    let lines = |name: &str| bench.metrics("taught", name);
    for other in ["far", "asked"] {
        for (near, far) in lines("near").iter().zip(&lines(other)) {
            let [near, far] = [near, far].map(|line| (line["kl"].as_f64().unwrap(), line["lm_loss"].as_f64().unwrap()));
            assert!((near.0 - far.0).abs() < 0.02 && (near.1 - far.1).abs() < 0.02, "{other}: {near:?} {far:?}");
        }
    }
    // A server is asked about texts that nobody had written before.
    let own = |line: &Value| (line["own"].as_f64().unwrap(), line["kl"].as_f64().unwrap());
    let own: Vec<(f64, f64)> = lines("writes").iter().map(own).collect();
    assert!(own.iter().any(|(share, _)| *share > 0.1) && own.iter().all(|(_, kl)| *kl > 0.0), "{own:?}");
    assert!(bench.path("taught/caches/far/server.json").exists());
    // The cache is whole, so the same command again needs no server; what is asked live does.
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    bench.succeed(&["run", "remote.toml", "--out", "taught"]);
    let more = ["run", "remote.toml", "--out", "more", "--set", "servers.own.retries=0"];
    let output = bench.tutelage(&more);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("gave no whole answer in 1 tries"), "{error}");
    let changes = [
        ("http://", "https://", "has no TLS"),
        ("server = \"own\"\ntop_k = 20\n[[runs]]", "server = \"own\"\nsamples = 3\n[[runs]]", "and no samples"),
        ("cache = \"far\"", "cache = \"far\"\ntop_k = 3", "a cache has its own"),
        ("server = \"own\"\ntop_k = 20\nalpha", "server = \"own\"\nalpha", "top_k must say"),
        ("server = \"own\"\ntop_k = 20\nalpha", "server = \"other\"\ntop_k = 20\nalpha", "there is no [servers.other]"),
        ("key.txt", "no-key.txt", "no-key.txt"),
    ];
    bench.refuse_changes(&["plan"], "remote.toml", &changes);
}
