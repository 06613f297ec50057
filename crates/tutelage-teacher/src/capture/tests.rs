//! Captures that DistillKit wrote (`fixtures/capture/make.py`), beside what it reads of them itself.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tutelage_data::{Batch, PackedSet, Shard, ShardWriter, Tail};
use tutelage_run::{StopFlag, hash_bytes};
use tutelage_testkit::Scratch;

use super::{Capture, CaptureSource, Context, Coverage, Document};
use crate::CacheError;
use crate::cache::{CacheHeader, Kept, Row, Source};

const VOCAB: usize = 300;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/capture").join(name)
}

/// All rows of all documents, `(ids, rows)`.
fn documents(name: &str) -> Vec<(Vec<i32>, Vec<Row>)> {
    let mut out = Vec::new();
    let each = &mut |_, document: &Document<'_>| {
        out.push((document.ids.to_vec(), document.rows().collect()));
        true
    };
    Capture::open(&fixture(name)).unwrap().documents(each).unwrap();
    out
}

#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<i32>,
    ids: Vec<Vec<u32>>,
    log_p: Vec<Vec<f64>>,
}

#[test]
fn rows_are_what_distillkit_reads() {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: std::collections::BTreeMap<String, Vec<Expected>> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), 6);
    for (name, expected) in expected {
        for (expected, (ids, rows)) in expected.iter().zip(documents(&name)) {
            assert_eq!(expected.input_ids, ids[..expected.input_ids.len()], "{name}");
            for ((ids, log_p), row) in expected.ids.iter().zip(&expected.log_p).zip(rows) {
                assert_eq!(*ids, row.iter().map(|entry| entry.0).collect::<Vec<_>>(), "{name}");
                for (expected, (_, found)) in log_p.iter().zip(row) {
                    assert!((expected - f64::from(found)).abs() < 2e-5, "{name}: {found}, and DistillKit {expected}");
                }
            }
        }
    }
}

#[test]
fn packed_documents_are_those_that_were_packed() {
    let (alone, packed) = (documents("recommended"), documents("packed"));
    assert_eq!(packed.len(), 6);
    for (ids, rows) in packed {
        assert_eq!(rows.len(), ids.len());
        let (whole, all) = alone.iter().find(|(whole, _)| whole.starts_with(&ids)).unwrap();
        assert!(whole.len() > ids.len());
        assert_eq!(rows, all[..rows.len()]);
    }
}

/// A shard of these documents, packed in their order.
fn packed(scratch: &Path, documents: &[Vec<i32>], seq_len: usize) -> PackedSet {
    let mut writer = ShardWriter::create(&scratch.join("text"), hash_bytes(b"tokenizer"), VOCAB).unwrap();
    for ids in documents {
        writer.push(&ids.iter().map(|&id| id as u32).collect::<Vec<_>>(), 1).unwrap();
    }
    writer.finish().unwrap();
    let shard = Arc::new(Shard::open(&scratch.join("text")).unwrap());
    PackedSet::new(shard, seq_len, None, Tail::Keep).unwrap()
}

fn rows(capture: &Capture, set: &PackedSet, scratch: &Path) -> Result<(Vec<Row>, Batch, Coverage), CacheError> {
    rows_in(Context::Same, capture, set, scratch)
}

fn header(capture: &Capture, context: Context, set: &PackedSet, sequences: &[usize]) -> CacheHeader {
    CacheHeader::new(set, sequences, &capture.hash(context), VOCAB, Kept::TopPK { top_p: 1.0, top_k: 16 })
}

fn rows_in(
    context: Context,
    capture: &Capture,
    set: &PackedSet,
    scratch: &Path,
) -> Result<(Vec<Row>, Batch, Coverage), CacheError> {
    let sequences: Vec<usize> = (0..set.n_sequences()).collect();
    let stop = StopFlag::default();
    let header = header(capture, context, set, &sequences);
    let source = CaptureSource::open((capture, context), &header, (set, &sequences), scratch, &stop, &mut |_| {})?;
    let mut source = source.unwrap();
    let batch = Batch::new(set, &sequences);
    let rows = source.rows(&batch)?;
    let coverage = source.coverage;
    source.remove()?;
    Ok((rows, batch, coverage))
}

#[test]
fn a_row_teaches_where_the_same_ids_were_read() {
    let scratch = Scratch::new("capture-rows");
    let captured = documents("recommended");
    // Documents of the capture, one that ends otherwise, and one that it does not know.
    let mut texts: Vec<Vec<i32>> = captured[..4].iter().map(|document| document.0.clone()).collect();
    texts[1].truncate(30);
    texts[1].extend([5, 6, 7, 8, 1]);
    texts[2] = (0..50).map(|i| 3 + i * 7 % 200).collect();
    let set = packed(&scratch, &texts, 48);
    let capture = Capture::open(&fixture("recommended")).unwrap();
    let (rows, batch, coverage) = rows(&capture, &set, &scratch).unwrap();
    let mut taught = 0;
    for part in &batch.documents {
        let ids = &batch.ids[part.clone()];
        // By hand: the document with the longest beginning in common, if it begins as one does.
        let common = |document: &(Vec<i32>, Vec<Row>)| document.0.iter().zip(ids).take_while(|(a, b)| a == b).count();
        let best = captured.iter().max_by_key(|document| common(document)).unwrap();
        let covered = if common(best) >= 4 { common(best).min(best.1.len()) } else { 0 };
        for (i, at) in part.clone().enumerate() {
            if i >= covered || batch.labels[at] < 0 {
                assert!(rows[at].is_empty());
                continue;
            }
            taught += 1;
            let sum = |row: &Row| row.iter().map(|entry| f64::from(entry.1).exp()).sum::<f64>();
            let shift = sum(&best.1[i]).max(1.0).ln() as f32;
            assert!(rows[at].is_sorted_by(|a, b| a.1 >= b.1) && sum(&rows[at]) < 1.0 + 1e-5);
            for (id, log_p) in &best.1[i] {
                let found = rows[at].iter().find(|entry| entry.0 == *id).unwrap().1;
                assert!((found - (log_p - shift)).abs() < 1e-5, "{found} {log_p} {shift}");
            }
        }
    }
    assert_eq!((coverage.found, coverage.rows), (taught, batch.n_targets() as u64));
    // The first, the beginning of the second, the fourth; each as far as its sequence goes.
    assert!(taught > 100 && taught < 200, "{taught}");
    assert_eq!((coverage.broken, coverage.beyond), (0, 0));
    assert!(!scratch.join("capture-00000.spool").exists());
}

#[test]
fn a_longer_context_teaches_the_parts_that_go_on() {
    let scratch = Scratch::new("capture-longer");
    let captured = documents("recommended");
    let texts: Vec<Vec<i32>> = captured[..5].iter().map(|document| document.0.clone()).collect();
    let capture = Capture::open(&fixture("recommended")).unwrap();
    // Whatever the length of sequences, each token is taught what it is taught in one that holds everything.
    let mut all = Vec::new();
    for seq_len in [1000, 100, 17] {
        let set = packed(&scratch, &texts, seq_len);
        let (rows, batch, coverage) = rows_in(Context::Longer, &capture, &set, &scratch).unwrap();
        assert_eq!(coverage.found, coverage.rows);
        assert_eq!(coverage.rows as usize, texts.iter().map(|text| text.len() - 1).sum::<usize>());
        all.push((batch.ids, rows));
    }
    assert!(all[0] == all[1] && all[1] == all[2]);
}

#[test]
fn what_is_laid_out_is_laid_out_once_and_checked() {
    let scratch = Scratch::new("capture-spool");
    let texts: Vec<Vec<i32>> = documents("recommended").into_iter().map(|document| document.0).collect();
    let set = packed(&scratch, &texts, 64);
    let capture = Capture::open(&fixture("recommended")).unwrap();
    let sequences: Vec<usize> = (0..set.n_sequences()).collect();
    let header = header(&capture, Context::Same, &set, &sequences);
    let (from, over) = ((&capture, Context::Same), (&set, &sequences[..]));
    let open = |stop: &StopFlag| CaptureSource::open(from, &header, over, &scratch, stop, &mut |_| {});
    let stop = StopFlag::default();
    stop.raise();
    assert!(open(&stop).unwrap().is_none());
    assert!(!scratch.join("capture-00000.spool").exists());
    let stop = StopFlag::default();
    drop(open(&stop).unwrap().unwrap());
    let path = scratch.join("capture-00001.spool");
    let bytes = std::fs::read(&path).unwrap();
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    drop(open(&stop).unwrap().unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
    let begins = 8 + 64;
    for at in (begins..bytes.len()).step_by(bytes.len() / 23).chain([bytes.len() - 1, bytes.len() - 10]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 16;
        std::fs::write(&path, &damaged).unwrap();
        let error = open(&stop).map(drop).unwrap_err().to_string();
        assert!(error.contains("capture-00001.spool is truncated or damaged"), "byte {at}: {error}");
    }
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(open(&stop).map(drop).unwrap_err().to_string().contains("not whole"));
    // Of another hash, as if for other texts: made anew.
    let mut other = bytes.clone();
    other[20] ^= 1;
    std::fs::write(&path, &other).unwrap();
    drop(open(&stop).unwrap().unwrap());
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn captures_that_do_not_fit_are_refused() {
    let scratch = Scratch::new("capture-wrong");
    let texts: Vec<Vec<i32>> = documents("residual").into_iter().map(|document| document.0).collect();
    let set = packed(&scratch, &texts, 32);
    let copy = scratch.join("copy");
    let config = copy.join("compression_config.yaml");
    let fresh = |name: &str| {
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(fixture(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    };
    let refused = |change: &dyn Fn()| {
        fresh("residual");
        change();
        let _ = std::fs::remove_file(scratch.join("capture-00000.spool"));
        let error = Capture::open(&copy).and_then(|capture| rows(&capture, &set, &scratch).map(drop)).unwrap_err();
        assert!(error.is_request());
        error.to_string()
    };
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&config, text.replace(from, to)).unwrap();
    };
    assert!(refused(&|| edit("exact_k: 4", "exact_k: 5")).contains("of each are expected"));
    assert!(refused(&|| edit("k: 16", "k: 3")).contains("exact_k at most k"));
    assert!(refused(&|| edit("d: 300", "d: 100")).contains("a vocabulary of 100, and the tokenizer has 300"));
    assert!(refused(&|| edit("float64", "float8")).contains("unknown variant `float8`"));
    assert!(refused(&|| edit("normalize_t", "normalise_t")).contains("unknown field `normalise_t`"));
    assert!(refused(&|| edit("element_bits: 12", "element_bits: 0")).contains("must be from 1 to 64"));
    assert!(refused(&|| std::fs::write(&config, "{").unwrap()).contains("is not YAML"));
    assert!(refused(&|| edit("exact_dtype: float32", "exact_dtype: float16")).contains("of each are expected"));
    assert!(refused(&|| std::fs::remove_file(&config).unwrap()).contains("logprob_compressor, or of legacy"));
    let legacy = std::fs::read(fixture("legacy").join("compression_config.yaml")).unwrap();
    assert!(
        refused(&|| std::fs::write(&config, &legacy).unwrap())
            .contains("another kind than the files, which have the columns of logprob_compressor")
    );
    let parquet = copy.join("data_0.parquet");
    assert!(refused(&|| std::fs::remove_file(&parquet).unwrap()).contains("holds no Parquet file"));
    assert!(
        refused(&|| std::fs::rename(&parquet, parquet.with_extension("arrow")).unwrap()).contains("Dataset.to_parquet")
    );
    let bytes = std::fs::read(fixture("residual").join("data_0.parquet")).unwrap();
    assert!(
        refused(&|| std::fs::write(&parquet, &bytes[..bytes.len() - 9]).unwrap()).contains("not a whole Parquet file")
    );
    assert!(refused(&|| std::fs::write(&parquet, b"PAR1").unwrap()).contains("not a whole Parquet file"));
    // Of texts that are not there.
    let other = packed(&scratch, &[(3..200).collect()], 32);
    fresh("residual");
    let error = rows(&Capture::open(&copy).unwrap(), &other, &scratch).unwrap_err().to_string();
    assert!(error.contains("none of the documents") && error.contains("[3, 4, 5"), "{error}");
    let error = Capture::open(&copy).unwrap().check(17, VOCAB).unwrap_err().to_string();
    assert!(error.contains("16 entries of each token, and top_k = 17"), "{error}");
    assert!(Capture::open(&scratch.join("nowhere")).unwrap_err().to_string().contains("cannot read the folder"));
}

#[test]
fn a_file_that_contradicts_itself_is_refused() {
    // An input that fuzzing found: a column that begins before its file.
    let scratch = Scratch::new("capture-contradiction");
    let bytes = std::fs::read(fixture("contradiction.parquet")).unwrap();
    std::fs::write(scratch.join("data.parquet"), bytes).unwrap();
    std::fs::copy(fixture("residual").join("compression_config.yaml"), scratch.join("compression_config.yaml"))
        .unwrap();
    let error = Capture::open(&scratch).and_then(|capture| capture.documents(&mut |_, _| true)).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("a column begins or extends at -"), "{error}");
}

#[test]
fn flipped_bits_of_a_file_are_no_panic() {
    let scratch = Scratch::new("capture-flips");
    let texts: Vec<Vec<i32>> = documents("residual").into_iter().map(|document| document.0).collect();
    let set = packed(&scratch, &texts, 32);
    let copy = scratch.join("copy");
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(fixture("residual").join("compression_config.yaml"), copy.join("compression_config.yaml")).unwrap();
    let bytes = std::fs::read(fixture("residual").join("data_0.parquet")).unwrap();
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(copy.join("data_0.parquet"), damaged).unwrap();
        let _ = std::fs::remove_file(scratch.join("capture-00000.spool"));
        // Parquet's checksums are optional: what is read may differ, but it is an answer or a request that is refused.
        if let Err(error) = Capture::open(&copy).and_then(|capture| rows(&capture, &set, &scratch).map(drop)) {
            assert!(error.is_request(), "byte {at}: {error}");
        }
    }
}
