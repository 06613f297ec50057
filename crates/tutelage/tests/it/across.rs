//! Teachers with a vocabulary of their own.

use crate::support::Bench;

fn prepare(bench: &Bench) {
    bench.succeed(&["run", "tiny.toml", "--out", "first"]);
    let runs = r#"
[models.foreign]
from = "first/models/teacher/model"
own_vocabulary = true
[caches.far]
model = "foreign"
top_k = 20
[[runs]]
name = "text"
model = "small"
training = "all"
[[runs]]
name = "taught"
model = "small"
training = "all"
[runs.teacher]
cache = "far"
tail = true
alpha = 0.5
"#;
    bench.students_alone(&[("vocab_size = 300", "vocab_size = 280")], runs);
}

#[test]
fn a_teacher_with_another_vocabulary_teaches_where_both_read_the_same() {
    let bench = Bench::new("across");
    prepare(&bench);
    let output = bench.tutelage(&["run", "tiny.toml", "--out", "out"]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let found = log.lines().find(|line| line.contains("has another vocabulary")).unwrap_or_else(|| panic!("{log}"));
    assert!(found.contains("of its 300 entries 278 are its students' too, and they write 20 as several"), "{found}");
    bench.succeed(&["teacher", "verify", "out/caches/far"]);
    bench.succeed(&["teacher", "stats", "out/caches/far"]);
    for line in bench.metrics("out", "taught") {
        assert!(line["kl"].as_f64().unwrap() > 0.0 && line["kd_loss"].as_f64().unwrap() > 0.0, "{line}");
    }
    bench.succeed(&["report", "out"]);
    bench.succeed(&["inspect", "out"]);
    // Kept when it is asked for again; of another reading of the texts it would be another cache.
    bench.succeed(&["run", "tiny.toml", "--out", "out"]);
}

#[test]
fn what_cannot_be_taught_across_vocabularies_is_refused() {
    let bench = Bench::new("wrong-across");
    prepare(&bench);
    let changes = [
        ("own_vocabulary = true\n", "", "tokenizer.from"),
        ("top_k = 20", "samples = 20", "set top_k in place of samples"),
        ("cache = \"far\"\ntail = true", "model = \"foreign\"", "it teaches through a cache"),
        (
            "name = \"text\"\nmodel = \"small\"",
            "name = \"text\"\nmodel = \"foreign\"",
            "it teaches, and does not learn",
        ),
        (
            "own_vocabulary = true\n",
            "own_vocabulary = true\nlora = { rank = 2, alpha = 2, targets = [\"wo\"] }\n",
            "leave lora out",
        ),
        ("first/models/teacher/model", "first/models/teacher/none", "none"),
    ];
    bench.refuse_changes(&["plan"], "tiny.toml", &changes);
}
