//! Caches written, read, resumed, and refused.

#![allow(clippy::unwrap_used)]

mod across;
mod remote;
mod selection;
mod several;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tutelage_data::{Batch, PackedSet, Shard, ShardWriter, Tail};
use tutelage_loss::{Targets, Teacher, TeacherInput};
use tutelage_model::{Decoder, DecoderConfig, Family, Options, RopeScaling};
use tutelage_run::{StopFlag, create_folder, hash_bytes, remove_folder};
use tutelage_teacher::cache::{self, CacheHeader, CacheReader, Kept, ModelSource, Outcome, Row, Source};
use tutelage_teacher::{CacheError, CachedTeacher, LiveTeacher};
use tutelage_tensor::{Device, Isa, Precision, Tape};
use tutelage_testkit::assert_close;

struct Bench {
    folder: PathBuf,
    set: PackedSet,
    header: CacheHeader,
    sequences: Vec<usize>,
}

const VOCAB: usize = 50;

fn teacher() -> Decoder {
    teacher_of(1)
}

fn teacher_of(seed: u64) -> Decoder {
    let config = DecoderConfig {
        family: Family::InternLm2,
        vocab_size: VOCAB,
        d_model: 16,
        n_layers: 1,
        n_heads: 2,
        n_kv_heads: 1,
        d_head: 8,
        d_ff: 24,
        tied_embeddings: false,
        options: Options::default(),
        max_positions: 8,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::None,
        norm_eps: 1e-5,
        init_std: 0.7,
        bos: Some(1),
        eos: 2,
        more_eos: Vec::new(),
    };
    Decoder::random(config, &Device::cpu(2, Isa::detect()).unwrap(), Precision::F32, seed).unwrap()
}

fn bench(name: &str, kept: Kept) -> Bench {
    bench_of(name, kept, 20)
}

fn bench_of(name: &str, kept: Kept, documents: u32) -> Bench {
    let folder = std::env::temp_dir().join(format!("tutelage-cache-{name}-{}", std::process::id()));
    remove_folder(&folder).unwrap();
    create_folder(&folder).unwrap();
    let mut writer = ShardWriter::create(&folder.join("train"), hash_bytes(b"tokenizer"), VOCAB).unwrap();
    for document in 0..documents {
        let ids: Vec<u32> = (0..10 + document % 7).map(|i| 3 + (i * 7 + document * 5) % 40).collect();
        writer.push(&ids, 1).unwrap();
    }
    writer.finish().unwrap();
    let shard = Arc::new(Shard::open(&folder.join("train")).unwrap());
    let set = PackedSet::new(shard, 8, Some(3), Tail::Drop).unwrap();
    let sequences: Vec<usize> = (0..set.n_sequences()).step_by(2).collect();
    let header = CacheHeader {
        format: CacheHeader::format(),
        teacher: hash_bytes(b"teacher"),
        tokenizer: hash_bytes(b"tokenizer"),
        corpus: set.shard().manifest().bin.clone(),
        packing: set.hash().clone(),
        vocab_size: VOCAB,
        seq_len: 8,
        kept,
        n_sequences: sequences.len(),
        sequences: hash_bytes(b"every second"),
    };
    Bench { folder, set, header, sequences }
}

impl Bench {
    fn path(&self) -> PathBuf {
        self.folder.join("cache")
    }

    fn write(&self, stop: &StopFlag) -> Outcome {
        let teacher = teacher();
        let mut source = ModelSource { teacher: &teacher, kept: self.header.kept.clone(), vocabulary: VOCAB };
        cache::write(&self.path(), &self.header, &mut source, &self.set, &self.sequences, stop, &mut |_| {}).unwrap()
    }

    fn batch(&self, sequences: &[usize]) -> Batch {
        Batch::new(&self.set, sequences)
    }

    fn part(&self) -> PathBuf {
        self.path().join("part-00000.ttc")
    }

    fn refusal(&self, header: &CacheHeader) -> String {
        let error = CachedTeacher::open(&self.path(), header).unwrap_err();
        assert!(error.is_request());
        error.to_string()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = remove_folder(&self.folder);
    }
}

fn input(batch: &Batch) -> TeacherInput<'_> {
    TeacherInput {
        ids: &batch.ids,
        labels: &batch.labels,
        positions: &batch.positions,
        documents: &batch.documents,
        routes: &batch.routes,
        sequences: &batch.sequences,
    }
}

fn top(top_p: f64, top_k: usize) -> Kept {
    Kept::TopPK { top_p, top_k }
}

/// Log-probabilities of the live teacher, `[row][vocab]`.
fn live_log_probs(batch: &Batch) -> Vec<Vec<f64>> {
    let live = LiveTeacher::new(teacher(), VOCAB);
    let Targets::Soft(logits) = live.targets(input(batch)).unwrap() else { panic!("a live teacher is soft") };
    let member = logits.alone(batch.ids.len()).unwrap();
    let mut tape = Tape::inference(member.params);
    let hidden = tape.leaf(member.hidden.clone());
    let logits = tape.linear_f32(&hidden, member.head).to_vec();
    let normalised = |row: &[f32]| {
        let sum: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
        row.iter().map(|&z| f64::from(z) - sum.ln()).collect()
    };
    logits.chunks(VOCAB).map(normalised).collect()
}

#[test]
fn a_cache_says_what_the_live_teacher_says() {
    let bench = bench("agree", top(1.0, VOCAB));
    assert!(matches!(bench.write(&StopFlag::default()), Outcome::Done(_)));
    let batch = bench.batch(&[4, 0, 8]);
    let cached = CachedTeacher::open(&bench.path(), &bench.header).unwrap();
    let Targets::TopPK(found) = cached.targets(input(&batch)).unwrap() else { panic!("a cache is sparse") };
    let expected = live_log_probs(&batch);
    assert_eq!(found.n_rows(), batch.ids.len());
    for (row, expected) in expected.iter().enumerate() {
        let (ids, values) = found.row(row);
        let expected: Vec<f64> = ids.iter().map(|&id| expected[id as usize]).collect();
        assert!(expected.iter().map(|x| x.exp()).sum::<f64>() > 0.99);
        // In steps of 1/1024 of the root, or 1/16 of the logarithm.
        let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        assert_close("log-probabilities", &values, &expected, 1.0 / 31.0, 0.0);
        let roots = |log_probs: &[f64]| -> Vec<f64> { log_probs.iter().map(|x| (x / 2.0).exp()).collect() };
        assert_close("roots of probabilities", &roots(&values), &roots(&expected), 1.0 / 2000.0, 0.0);
    }
}

#[test]
fn truncation_keeps_the_mass_asked_for() {
    let bench = bench("mass", top(0.6, 5));
    bench.write(&StopFlag::default());
    let reader = CacheReader::open(&bench.path(), Some(&bench.header)).unwrap();
    reader.verify(&mut |_| {}).unwrap();
    let stats = reader.stats();
    assert_eq!(stats.n_tokens, bench.sequences.len() as u64 * 8);
    assert!(stats.n_entries >= stats.n_tokens && stats.n_entries <= 5 * stats.n_tokens);
}

#[test]
fn samples_are_counts() {
    let bench = bench("samples", Kept::Samples { n: 12, seed: 9 });
    bench.write(&StopFlag::default());
    let batch = bench.batch(&[2]);
    let cached = CachedTeacher::open(&bench.path(), &bench.header).unwrap();
    let Targets::Samples(found) = cached.targets(input(&batch)).unwrap() else { panic!("counts") };
    assert!((0..8).all(|row| found.row(row).1.iter().sum::<f32>() == 12.0));
}

#[test]
fn writing_goes_on_and_ends_with_the_same_bytes() {
    let bench = bench("resume", top(0.95, 10));
    let stop = StopFlag::default();
    stop.raise();
    assert!(matches!(bench.write(&stop), Outcome::Stopped));
    assert!(CacheReader::open(&bench.path(), None).is_err(), "an unfinished cache is not used");
    bench.write(&StopFlag::default());
    let first = std::fs::read(bench.part()).unwrap();
    std::fs::write(bench.part(), &first[..first.len() / 2]).unwrap();
    bench.write(&StopFlag::default());
    assert_eq!(std::fs::read(bench.part()).unwrap(), first, "a damaged part is made anew");
}

#[test]
fn a_cache_of_something_else_is_refused_by_name() {
    let bench = bench("refuse", top(0.95, 10));
    bench.write(&StopFlag::default());
    let header = || bench.header.clone();
    let other = || hash_bytes(b"other");
    for (what, header) in [
        ("teacher", CacheHeader { teacher: other(), ..header() }),
        ("tokenizer", CacheHeader { tokenizer: other(), ..header() }),
        ("corpus", CacheHeader { corpus: other(), ..header() }),
        ("packing", CacheHeader { packing: other(), ..header() }),
        ("truncation", CacheHeader { kept: top(0.9, 10), ..header() }),
        ("sequence length", CacheHeader { seq_len: 16, ..header() }),
    ] {
        assert!(bench.refusal(&header).contains(&format!("made for another {what}")), "{what}");
    }
}

#[test]
fn another_text_or_sequence_is_refused_on_use() {
    let bench = bench("text", top(0.95, 10));
    bench.write(&StopFlag::default());
    let cached = CachedTeacher::open(&bench.path(), &bench.header).unwrap();
    let mut batch = bench.batch(&[2]);
    batch.ids[3] += 1;
    let error = cached.targets(input(&batch)).err().unwrap();
    assert!(error.is_request && error.to_string().contains("another text"), "{error}");
    let batch = bench.batch(&[1]);
    assert!(cached.targets(input(&batch)).err().unwrap().to_string().contains("does not cover sequence 1"));
}

#[test]
fn every_flipped_byte_is_found() {
    let bench = bench("flip", top(0.95, 4));
    bench.write(&StopFlag::default());
    let good = std::fs::read(bench.part()).unwrap();
    let damaged = |path: &Path| match CacheReader::open(path, Some(&bench.header)) {
        Err(error) => Some(error.to_string()),
        Ok(reader) => reader.verify(&mut |_| {}).err().map(|error| error.to_string()),
    };
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(bench.part(), bad).unwrap();
        assert!(damaged(&bench.path()).is_some_and(|m| m.contains("damaged")), "byte {at} of {}", good.len());
    }
    for len in [0, 5, 20, good.len() / 3, good.len() - 1] {
        std::fs::write(bench.part(), &good[..len]).unwrap();
        assert!(damaged(&bench.path()).is_some(), "cut at {len}");
    }
    std::fs::remove_file(bench.part()).unwrap();
    assert!(damaged(&bench.path()).is_some_and(|m| m.contains("part-00000")));
}

/// Counts what it is asked.
struct Counting<'a>(ModelSource<'a>, &'a std::sync::atomic::AtomicUsize);

impl Source for Counting<'_> {
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError> {
        self.1.fetch_add(batch.ids.len(), std::sync::atomic::Ordering::Relaxed);
        std::thread::sleep(std::time::Duration::from_millis(5));
        self.0.rows(batch)
    }
}

#[test]
fn several_writers_share_the_work_and_leave_the_same_bytes() {
    // Parts of 8,192 sequences: four of them.
    let long = bench_of("writers", top(0.95, 10), 30_000);
    let parts = long.sequences.len().div_ceil(8192);
    assert!(parts >= 3, "{parts}");
    let teacher = teacher();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut source = Counting(
                    ModelSource { teacher: &teacher, kept: long.header.kept.clone(), vocabulary: VOCAB },
                    &asked,
                );
                let stop = StopFlag::default();
                let outcome = cache::write(
                    &long.path(),
                    &long.header,
                    &mut source,
                    &long.set,
                    &long.sequences,
                    &stop,
                    &mut |_| {},
                );
                assert!(matches!(outcome.unwrap(), Outcome::Done(_)));
            });
        }
    });
    // Each part once, and the few sequences that the order of ids was learned from.
    let tokens = 8 * long.sequences.len();
    let asked = asked.into_inner();
    assert!(asked >= tokens && asked <= tokens + 8192, "{asked} of {tokens}");
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(long.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert!(!names().iter().any(|name| name.ends_with(".claim")), "{:?}", names());
    let bytes = |name: &String| std::fs::read(long.path().join(name)).unwrap();
    let together: Vec<_> = names().iter().map(bytes).collect();
    remove_folder(&long.path()).unwrap();
    // What a writer that died has left behind is taken over.
    create_folder(&long.path()).unwrap();
    std::fs::write(long.path().join("part-00001.claim"), "1").unwrap();
    long.write(&StopFlag::default());
    assert!(names().iter().map(bytes).collect::<Vec<_>>() == together);
}

#[test]
fn an_order_of_ids_that_is_gone_or_damaged_is_named() {
    let bench = bench("order", top(0.95, 10));
    bench.write(&StopFlag::default());
    let path = bench.path().join("order.ttc");
    let good = std::fs::read(&path).unwrap();
    for at in [0, 9, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        assert!(bench.refusal(&bench.header).contains("order.ttc"), "{at}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(bench.refusal(&bench.header).contains("order.ttc"));
}

#[test]
fn padding_of_a_vocabulary_is_neither_cached_nor_taught() {
    const SHARED: usize = VOCAB - 9;
    let bench = bench("padding", top(1.0, VOCAB));
    let header = CacheHeader { vocab_size: SHARED, kept: top(1.0, SHARED), ..bench.header.clone() };
    let model = teacher();
    let mut source = ModelSource { teacher: &model, kept: header.kept.clone(), vocabulary: SHARED };
    let stop = StopFlag::default();
    cache::write(&bench.path(), &header, &mut source, &bench.set, &bench.sequences, &stop, &mut |_| {}).unwrap();
    let batch = bench.batch(&[4, 0]);
    let cached = CachedTeacher::open(&bench.path(), &header).unwrap();
    let Targets::TopPK(found) = cached.targets(input(&batch)).unwrap() else { panic!("a cache is sparse") };
    for row in 0..found.n_rows() {
        let (ids, values) = found.row(row);
        assert!(ids.iter().all(|&id| (id as usize) < SHARED));
        assert!((values.iter().map(|x| x.exp()).sum::<f32>() - 1.0).abs() < 0.02, "renormalised over what is shared");
    }
    let live = LiveTeacher::new(teacher(), SHARED);
    let Targets::Soft(logits) = live.targets(input(&batch)).unwrap() else { panic!("a live teacher is soft") };
    assert_eq!(logits.alone(batch.ids.len()).unwrap().vocabulary, SHARED);
}

#[test]
fn a_live_teacher_in_small_batches_says_the_same() {
    let bench = bench("small-batches", top(1.0, VOCAB));
    let batch = bench.batch(&[4, 0, 8, 2]);
    let hidden = |teacher: &LiveTeacher| {
        let Targets::Soft(logits) = teacher.targets(input(&batch)).unwrap() else { panic!("a live teacher is soft") };
        let hidden = logits.alone(batch.ids.len()).unwrap().hidden.to_vec();
        hidden.into_iter().map(f64::from).collect::<Vec<_>>()
    };
    let expected = hidden(&LiveTeacher::new(teacher(), VOCAB));
    for rows in [1, 5, 8, 20, 1000] {
        let found = hidden(&LiveTeacher::new(teacher(), VOCAB).in_batches(rows));
        assert_close(&format!("{rows} rows"), &found, &expected, 1e-5, 1e-5);
    }
}
