//! Parts that were made on their own become one: the shards of a job, or what one stage made of several sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tutelage_run::{FileError, create_folder, link_or_copy, read_json, write_json};

use crate::CorpusError;
use crate::job::ShardOf;
use crate::manifest::{Manifest, add_counts};

/// A manifest and its folder.
#[derive(Debug)]
struct Part {
    folder: PathBuf,
    manifest: Manifest,
}

/// Brings parts together in `out`, which may be their own folder; files are linked where that can be, and copied elsewhere.
///
/// Shards of one job come out in the order of its inputs, as if one process had done all; other parts follow each other.
///
/// # Errors
/// When a shard is missing, is there twice or belongs to another job, or the system refuses.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Manifest, CorpusError> {
    let mut parts = Vec::new();
    for folder in folders {
        parts.extend(parts_of(folder)?);
    }
    let Some(first) = parts.first() else {
        return Err(CorpusError::request("nothing to merge: name the folders of a stage's parts"));
    };
    for part in &parts[1..] {
        let (one, other) = (&first.manifest, &part.manifest);
        if (&one.stage, &one.settings) != (&other.stage, &other.settings) {
            let found = format!(
                "holds the stage '{}', {} the stage '{}', or their settings are not the same: parts of one stage are merged",
                other.stage,
                first.folder.display(),
                one.stage
            );
            return Err(FileError::content(&part.folder, found).into());
        }
    }
    let order = in_order(&parts)?;
    create_folder(out)?;
    let is_one_job = parts.iter().all(|part| part.manifest.shard.is_some());
    let Manifest { stage, version, settings, .. } = first.manifest.clone();
    let mut all = Manifest { stage, version, settings, ..Manifest::default() };
    parts.iter().for_each(|part| add_part(&mut all, &part.manifest));
    for (part, at) in order {
        let Part { folder, manifest } = &parts[part];
        let mut output = manifest.outputs[at].clone();
        let (from, aside) = (folder.join(&output.file), folder.join("dropped").join(&output.file));
        if !is_one_job {
            let stem = output.file.split_once('-').map_or(&output.file[..], |(_, stem)| stem);
            output.file = format!("{:05}-{stem}", all.outputs.len());
        }
        bring(&from, &out.join(&output.file), Some(output.bytes))?;
        if aside.exists() {
            create_folder(&out.join("dropped"))?;
            bring(&aside, &out.join("dropped").join(&output.file), None)?;
        }
        all.inputs.push(manifest.inputs[at].clone());
        all.outputs.push(output);
    }
    all.warnings.extend(all.never_fired());
    let known: u64 = all.outputs.iter().map(|output| output.documents).sum();
    if known != all.kept {
        return Err(CorpusError::request(format!(
            "the parts' files hold {known} documents, their counts say {}",
            all.kept
        )));
    }
    write_json(&out.join(Manifest::NAME), &all)?;
    Ok(all)
}

fn add_part(all: &mut Manifest, part: &Manifest) {
    all.read += part.read;
    all.kept += part.kept;
    add_counts(&mut all.dropped, &part.dropped);
    add_counts(&mut all.counts, &part.counts);
    all.damaged.extend(part.damaged.iter().cloned());
    add_counts(&mut all.filters, &part.filters);
    // Filters may have fired in another part.
    let of_part = part.never_fired();
    all.warnings.extend(part.warnings.iter().filter(|warning| of_part.as_ref() != Some(*warning)).cloned());
}

/// The manifests of a folder: those of shards, or else the one.
fn parts_of(folder: &Path) -> Result<Vec<Part>, CorpusError> {
    let io = |error| FileError::io("read", folder)(error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        if name.starts_with("manifest-") && name.ends_with(".json") {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() {
        names.push(Manifest::NAME.to_owned());
    }
    let read = |name: String| Ok(Part { folder: folder.to_path_buf(), manifest: read_json(&folder.join(name))? });
    names.into_iter().map(read).collect()
}

/// Every file, as its part and its place there, in the order of the whole.
fn in_order(parts: &[Part]) -> Result<Vec<(usize, usize)>, CorpusError> {
    let files = |part: usize| (0..parts[part].manifest.outputs.len()).map(move |at| (part, at));
    if parts.iter().all(|part| part.manifest.shard.is_none()) {
        return Ok((0..parts.len()).flat_map(files).collect());
    }
    let mut by_index: BTreeMap<u32, usize> = BTreeMap::new();
    let mut of = None;
    for (number, part) in parts.iter().enumerate() {
        let shard = part.manifest.shard.unwrap_or(ShardOf::ALL);
        let place = part.folder.display();
        if *of.get_or_insert(shard.n_parts()) != shard.n_parts() {
            let found = format!("{place}: part {shard} is of another division into parts than the others");
            return Err(CorpusError::request(found));
        }
        if by_index.insert(shard.index(), number).is_some() {
            return Err(CorpusError::request(format!("{place}: part {shard} is there twice")));
        }
    }
    let of = of.unwrap_or(1);
    let missing = (1..=of).filter(|index| !by_index.contains_key(index)).map(|index| format!("{index}/{of}"));
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        return Err(CorpusError::request(format!("not done yet, or not named: part {}", missing.join(", "))));
    }
    // Files were dealt out one after the other.
    let most = parts.iter().map(|part| part.manifest.outputs.len()).max().unwrap_or(0);
    let places = (0..most).flat_map(|at| by_index.values().map(move |&part| (part, at)));
    Ok(places.filter(|&(part, at)| at < parts[part].manifest.outputs.len()).collect())
}

/// A file under its name in the merged folder.
fn bring(from: &Path, to: &Path, bytes: Option<u64>) -> Result<(), CorpusError> {
    let found = std::fs::metadata(from).map_err(FileError::io("read", from))?.len();
    if let Some(bytes) = bytes.filter(|&bytes| bytes != found) {
        let found = format!("has {found} bytes where its manifest says {bytes}: it was cut or changed; make it again");
        return Err(FileError::content(from, found).into());
    }
    if from != to {
        link_or_copy(from, to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tutelage_run::{Silent, StopFlag};
    use tutelage_testkit::Scratch;

    use super::*;
    use crate::job::{Job, JobSettings, Outcome};
    use crate::{Compression, Read};

    fn read(inputs: &[PathBuf], out: &Path, shard: &str, settings: &JobSettings) -> Manifest {
        let shard = shard.parse().unwrap();
        let job = Job { inputs, out, shard, settings, threads: 1, commit_every: Duration::ZERO };
        match job.run(&Read, &mut Silent, &StopFlag::default()).unwrap() {
            Outcome::Done(manifest) => *manifest,
            Outcome::Stopped => panic!("nobody asked to stop"),
        }
    }

    fn inputs(folder: &Path) -> Vec<PathBuf> {
        let write = |i: usize| {
            let path = folder.join(format!("{i}.jsonl"));
            let lines: String = (0..=i).map(|n| format!("{{\"id\":\"{i}-{n}\",\"text\":\"t\"}}\n")).collect();
            std::fs::write(&path, format!("{lines}damaged\n")).unwrap();
            path
        };
        (0..5).map(write).collect()
    }

    #[test]
    fn shards_become_the_whole() {
        let scratch = Scratch::new("merge-shards");
        let inputs = inputs(&scratch);
        let settings = JobSettings { keep_dropped: true, ..JobSettings::default() };
        let (whole, one) = (scratch.join("whole"), scratch.join("one"));
        let expected = read(&inputs, &whole, "1/1", &settings);
        // In one folder, and in one folder each.
        let folders = [scratch.join("a"), scratch.join("b"), scratch.join("c")];
        for (i, folder) in folders.iter().enumerate() {
            read(&inputs, &one, &format!("{}/3", i + 1), &settings);
            if i < 2 {
                read(&inputs, folder, &format!("{}/3", i + 1), &settings);
            }
        }
        let error = merge(&folders[..2], &scratch.join("missing")).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("part 3/3"), "{error}");
        read(&inputs, &folders[2], "3/3", &settings);
        let mut merged = merge(std::slice::from_ref(&one), &one).unwrap();
        for each in [&mut merged, &mut merge(&folders, &scratch.join("all")).unwrap()] {
            // Warnings are the parts' own.
            each.warnings.clone_from(&expected.warnings);
            each.damaged.sort_by(|a, b| a.file.cmp(&b.file));
            assert_eq!(*each, expected);
        }
        for folder in [one, scratch.join("all")] {
            for output in &expected.outputs {
                for file in [output.file.clone(), format!("dropped/{}", output.file)] {
                    assert_eq!(std::fs::read(folder.join(&file)).unwrap(), std::fs::read(whole.join(&file)).unwrap());
                }
            }
            // What follows reads it as it reads the whole.
            assert_eq!(
                read(std::slice::from_ref(&folder), &scratch.join("next"), "1/1", &settings).kept,
                expected.kept
            );
            std::fs::remove_dir_all(scratch.join("next")).unwrap();
        }
    }

    #[test]
    fn what_fired_in_one_part_has_fired() {
        let scratch = Scratch::new("merge-filters");
        let inputs = [scratch.join("a.jsonl"), scratch.join("b.jsonl")];
        let lines = |n: usize| -> String { (0..n).map(|i| format!("{{\"text\":\"long enough {i}\"}}\n")).collect() };
        let settings = serde_json::json!({"preset": "slimpajama", "slimpajama": {"min_chars": 8}});
        let rules = crate::Rules::new(serde_json::from_value(settings).unwrap()).unwrap();
        let warnings = |out: &str, more: &str| {
            std::fs::write(&inputs[0], lines(120)).unwrap();
            std::fs::write(&inputs[1], lines(130) + more).unwrap();
            let out = scratch.join(out);
            for shard in ["1/2", "2/2"] {
                let job = Job {
                    inputs: &inputs,
                    out: &out,
                    shard: shard.parse().unwrap(),
                    settings: &JobSettings::default(),
                    threads: 1,
                    commit_every: Duration::ZERO,
                };
                job.run(&rules, &mut Silent, &StopFlag::default()).unwrap();
            }
            let merged = merge(std::slice::from_ref(&out), &out).unwrap();
            (merged.filters["slimpajama"], merged.warnings)
        };
        assert_eq!(warnings("fires", "{\"text\":\"short\"}\n"), (1, Vec::new()));
        let (fired, said) = warnings("silent", "");
        assert!(fired == 0 && said.len() == 1 && said[0].contains("among 250 documents: slimpajama"), "{said:?}");
    }

    #[test]
    fn sources_follow_each_other() {
        let scratch = Scratch::new("merge-sources");
        let inputs = inputs(&scratch);
        let settings = JobSettings::default();
        let [a, b] = ["a", "b"].map(|name| scratch.join(name));
        read(&inputs[..2], &a, "1/1", &settings);
        read(&inputs[2..], &b, "1/1", &settings);
        let merged = merge(&[b.clone(), a.clone()], &scratch.join("out")).unwrap();
        assert_eq!((merged.kept, merged.dropped["not_json"]), (15, 5));
        assert_eq!(merged.outputs[3].file, "00003-0.jsonl");
        let other = JobSettings { compression: Compression::Gz, ..settings };
        let c = scratch.join("c");
        read(&inputs, &c, "1/1", &other);
        let error = merge(&[a, c], &scratch.join("wrong")).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("settings"), "{error}");
    }
}
