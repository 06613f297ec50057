//! Shards beside the bytes that the programs of other trainers write (`tests/fixtures/shards/make.py`).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tutelage_data::{Shard, ShardWriter, export};
use tutelage_run::hash_bytes;
use tutelage_testkit::Scratch;

#[derive(Deserialize)]
struct Documents {
    vocab_size: usize,
    documents: Vec<Vec<u32>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shards").join(name)
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(name: &str, scratch: &Scratch) -> Shard {
    let documents: Documents = serde_json::from_slice(&read(fixture(name).join("documents.json"))).unwrap();
    let stem = scratch.join("ours");
    let mut writer = ShardWriter::create(&stem, hash_bytes(b"t"), documents.vocab_size).unwrap();
    documents.documents.iter().for_each(|ids| writer.push(ids, 1).unwrap());
    writer.finish().unwrap();
    Shard::open(&stem).unwrap()
}

#[test]
fn bytes_are_those_of_megatron_and_datatrove() {
    for name in ["narrow", "wide"] {
        let scratch = Scratch::new(&format!("shards-{name}"));
        let shard = write(name, &scratch);
        export::nanotron(&scratch.join("ours"), &shard, &scratch.join("ours"), "made/up").unwrap();
        for (ours, theirs) in [
            ("ours.bin", "megatron.bin"),
            ("ours.idx", "megatron.idx"),
            ("ours.ds", "datatrove.ds"),
            ("ours.ds.index", "datatrove.ds.index"),
            ("ours.ds.metadata", "datatrove.ds.metadata"),
        ] {
            assert_eq!(read(scratch.join(ours)), read(fixture(name).join(theirs)), "{name}: {theirs}");
        }
    }
}

#[test]
fn chunks_are_litdatas() {
    for name in ["narrow", "wide"] {
        let scratch = Scratch::new(&format!("litdata-{name}"));
        let shard = write(name, &scratch);
        let folder = fixture(name).join("litdata");
        let n = export::litdata(&shard, &scratch, 48).unwrap();
        for chunk in 0..n {
            let file = format!("chunk-0-{chunk}.bin");
            assert_eq!(read(scratch.join(&file)), read(folder.join(&file)), "{name}: {file}");
        }
        let index = |path: PathBuf| -> serde_json::Value { serde_json::from_slice(&read(path)).unwrap() };
        assert_eq!(index(scratch.join("index.json")), index(folder.join("index.json")));
    }
}

#[test]
fn files_of_llmc_hold_the_stream() {
    let scratch = Scratch::new("llmc");
    let shard = write("narrow", &scratch);
    assert_eq!(export::llmc(&shard, &scratch, "train", 20).unwrap(), 2);
    let files = ["train_000000.bin", "train_000001.bin"].map(|name| read(scratch.join(name)));
    let number = |file: &[u8], at: usize| u32::from_le_bytes(file[4 * at..4 * at + 4].try_into().unwrap());
    let heads = files.each_ref().map(|file| [0, 1, 2, 3].map(|at| number(file, at)));
    assert_eq!(heads, [[20_240_520, 1, 20, 0], [20_240_520, 1, 15, 0]]);
    let ids = [&files[0][1024..], &files[1][1024..]].concat();
    assert_eq!(ids, read(scratch.join("ours.bin")));
}
