//! A recipe of stages: each reads what the one before wrote.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use tutelage_corpus::{CorpusError, Manifest, Outcome, ShardOf};
use tutelage_mix::MixError;
use tutelage_run::{FileError, Observer, RunLock, StopFlag, create_folder, read_text, write_atomic, write_json};

use super::stage::{StageName, StageRequest, carry_out};
use crate::load::apply;
use crate::{EngineChoice, RecipeError};

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PipelineSpec {
    /// Name of the recipe, and of its run folder.
    name: String,
    /// Files and folders that the first stage reads, relative to the recipe's folder.
    #[serde(default)]
    inputs: Vec<PathBuf>,
    /// The stages, in order.
    stages: Vec<StageSpec>,
}

/// `[[stages]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StageSpec {
    /// Its name, and that of its folder.
    name: String,
    /// What it does; what its name says if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// The stage whose documents it reads, or several; the one before if neither this nor `inputs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Names>,
    /// Files and folders that it reads in place of a stage's documents, relative to the recipe's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<PathBuf>,
    /// The stage's settings.
    #[serde(flatten)]
    settings: Table,
}

/// A name, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

impl Names {
    fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// What a stage reads.
#[derive(Debug, Clone)]
enum Reads {
    /// Files and folders.
    Inputs(Vec<PathBuf>),
    /// What stages before it have written, by their numbers.
    Stages(Vec<usize>),
}

/// A recipe of stages, checked.
#[derive(Debug, Clone)]
pub struct Pipeline {
    spec: PipelineSpec,
    /// What each stage does, and what it reads.
    stages: Vec<(StageName, Reads)>,
}

/// What a stage did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageResult {
    /// Its name.
    pub name: String,
    /// Documents it read.
    pub read: u64,
    /// Documents it kept.
    pub kept: u64,
    /// Bytes it wrote.
    pub bytes: u64,
    /// Documents dropped, by reason.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// Its warnings.
    pub warnings: Vec<String>,
}

/// How a pipeline ended.
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineOutcome {
    /// Every stage is done.
    Done(PathBuf, Vec<StageResult>),
    /// It was asked to stop; what is done is kept.
    Stopped(PathBuf),
}

/// Reads a recipe of stages and applies overrides; nothing if the file is a recipe of another kind.
///
/// # Errors
/// When the file cannot be read, or a stage or an override does not fit.
pub fn pipeline(path: &Path, set: &[String]) -> Result<Option<Pipeline>, RecipeError> {
    let wrong = |error: toml::de::Error| FileError::content(path, format!("not a recipe\n{error}"));
    let mut table: Table = read_text(path)?.parse().map_err(wrong)?;
    if !table.contains_key("stages") {
        return Ok(None);
    }
    set.iter().try_for_each(|item| apply(&mut table, item))?;
    let spec: PipelineSpec = Value::Table(table).try_into().map_err(wrong)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let inside = |inputs: &[PathBuf]| inputs.iter().map(|input| folder.join(input)).collect();
    let mut stages: Vec<(StageName, Reads)> = Vec::new();
    for (number, stage) in spec.stages.iter().enumerate() {
        let fault = |found: String| RecipeError::request(format!("stage '{}': {found}", stage.name));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stage.name.is_empty() || !stage.name.chars().all(is_plain) {
            return Err(fault("its name is that of a folder: letters, digits, - and _".to_owned()));
        }
        if spec.stages[..number].iter().any(|before| before.name == stage.name) {
            return Err(fault(
                "there are two of this name; give one another name, and what it does as 'stage'".to_owned(),
            ));
        }
        let kind = StageName::parse(stage.stage.as_deref().unwrap_or(&stage.name))?;
        let before = |name: &String| {
            let found = spec.stages[..number].iter().position(|before| before.name == *name);
            found.ok_or_else(|| fault(format!("reads '{name}', which is no stage before it")))
        };
        let reads = match (&stage.from, &stage.inputs[..]) {
            (Some(_), [_, ..]) => {
                return Err(fault("reads either inputs or, with from, what a stage wrote".to_owned()));
            }
            (None, [_, ..]) => Reads::Inputs(inside(&stage.inputs)),
            (Some(names), []) if names.all().is_empty() => return Err(fault("from is an empty list".to_owned())),
            (Some(names), []) => Reads::Stages(names.all().iter().map(before).collect::<Result<_, _>>()?),
            (None, []) => match number.checked_sub(1) {
                Some(before) => Reads::Stages(vec![before]),
                None if spec.inputs.is_empty() => return Err(fault("has no inputs".to_owned())),
                None => Reads::Inputs(inside(&spec.inputs)),
            },
        };
        stages.push((kind, reads));
    }
    if stages.is_empty() {
        return Err(RecipeError::request(format!("{}: there is no stage", path.display())));
    }
    Ok(Some(Pipeline { spec, stages }))
}

impl Pipeline {
    /// The stages: name, what it reads, settings.
    pub fn rows(&self) -> impl Iterator<Item = (&str, String, String)> {
        self.spec.stages.iter().zip(&self.stages).map(|(stage, (_, reads))| {
            let from = match reads {
                Reads::Inputs(paths) => paths.iter().map(|path| path.display().to_string()).collect(),
                Reads::Stages(numbers) => {
                    numbers.iter().map(|&number| self.spec.stages[number].name.clone()).collect::<Vec<_>>()
                }
            };
            let from = from.join(", ");
            let settings = stage.settings.iter().map(|(name, value)| format!("{name} = {value}"));
            (&stage.name[..], from, settings.collect::<Vec<_>>().join(", "))
        })
    }

    /// Carries out every stage in `out` (`runs/NAME` if not given), from where an earlier run stopped.
    ///
    /// # Errors
    /// When the folder is in use or holds a stage with other settings, or a stage fails; what is done is kept.
    pub fn run(
        &self,
        out: Option<&Path>,
        engine: &EngineChoice,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<PipelineOutcome, RecipeError> {
        let folder = out.map_or_else(|| Path::new("runs").join(&self.spec.name), Path::to_path_buf);
        create_folder(&folder)?;
        let _lock = RunLock::acquire(&folder)?;
        let mut results = Vec::new();
        for (stage, (kind, reads)) in self.spec.stages.iter().zip(&self.stages) {
            let inputs: Vec<PathBuf> = match reads {
                Reads::Inputs(inputs) => inputs.clone(),
                Reads::Stages(numbers) => {
                    numbers.iter().map(|&number| folder.join("data").join(&self.spec.stages[number].name)).collect()
                }
            };
            let out = folder.join("data").join(&stage.name);
            let request = StageRequest { stage: *kind, inputs: &inputs, out: &out, set: &[], shard: ShardOf::ALL };
            let outcome = carry_out(&request, stage.settings.clone(), engine, observer, stop);
            let outcome = outcome.map_err(|error| match error {
                RecipeError::Request(found)
                | RecipeError::Corpus(CorpusError::Request(found))
                | RecipeError::Mix(MixError::Request(found) | MixError::Corpus(CorpusError::Request(found))) => {
                    RecipeError::request(format!("stage '{}': {found}", stage.name))
                }
                other => other,
            });
            match outcome? {
                Outcome::Stopped => return Ok(PipelineOutcome::Stopped(folder)),
                Outcome::Done(manifest) => results.push(result(&stage.name, *manifest)),
            }
        }
        // No stage was refused, so the recipe is this one.
        let resolved = toml::to_string_pretty(&self.spec)
            .map_err(|error| RecipeError::request(format!("recipe as TOML: {error}")))?;
        write_atomic(&folder.join("recipe.resolved.toml"), resolved.as_bytes())?;
        write_json(&folder.join("data.json"), &results)?;
        Ok(PipelineOutcome::Done(folder, results))
    }
}

fn result(name: &str, manifest: Manifest) -> StageResult {
    let Manifest { read, kept, dropped, warnings, outputs, .. } = manifest;
    let bytes = outputs.iter().map(|output| output.bytes).sum();
    StageResult { name: name.to_owned(), read, kept, bytes, dropped, warnings }
}

#[cfg(test)]
mod tests {
    use tutelage_run::Silent;
    use tutelage_testkit::Scratch;

    use super::*;

    const RECIPE: &str = "name = \"tiny\"\ninputs = [\"texts\"]\n[[stages]]\nname = \"read\"\n\
        [[stages]]\nname = \"short\"\nstage = \"rules\"\npreset = \"slimpajama\"\nslimpajama.min_chars = 3\n\
        [[stages]]\nname = \"dedup\"\nkeep = \"first\"\nn_gram = 2\n";

    #[test]
    fn stages_follow_each_other() {
        let folder = Scratch::new("pipeline");
        std::fs::create_dir(folder.join("texts")).unwrap();
        for (name, text) in [("a", "one two three"), ("b", "One, two, three!"), ("c", "x"), ("d", "other words")] {
            std::fs::write(folder.join("texts").join(format!("{name}.txt")), text).unwrap();
        }
        let path = folder.join("tiny.toml");
        std::fs::write(&path, RECIPE).unwrap();
        let run = |set: &[String]| {
            let pipeline = pipeline(&path, set)?.unwrap();
            pipeline.run(Some(&folder.join("run")), &EngineChoice::default(), &mut Silent, &StopFlag::default())
        };
        let PipelineOutcome::Done(out, results) = run(&[]).unwrap() else { panic!("nobody asked to stop") };
        let counts: Vec<(u64, u64)> = results.iter().map(|result| (result.read, result.kept)).collect();
        assert_eq!(counts, [(4, 4), (4, 3), (3, 2)]);
        assert!(out.join("data/dedup/manifest.json").exists() && out.join("data.json").exists());
        assert_eq!(run(&[]).unwrap(), PipelineOutcome::Done(out, results));
        let error = run(&["stages.short.slimpajama.min_chars=5".to_owned()]).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("other settings"), "{error}");
        let error = run(&["stages.dedup.threshold=3".to_owned()]).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("stage 'dedup': threshold = 3"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let folder = Scratch::new("pipeline-refused");
        let path = folder.join("wrong.toml");
        let say = |stages: &str| {
            std::fs::write(&path, format!("name = \"x\"\ninputs = []\n{stages}")).unwrap();
            pipeline(&path, &[]).unwrap_err().to_string()
        };
        assert!(say("stages = []").contains("no stage"));
        assert!(say("[[stages]]\nname = \"read\"").contains("has no inputs"));
        let read = "[[stages]]\nname = \"read\"\ninputs = [\"a.txt\"]\n";
        assert!(
            say(&format!("{read}[[stages]]\nname = \"rules\"\nfrom = [\"read\", \"x\"]")).contains("'x', which is no")
        );
        assert!(say(&format!("{read}from = \"x\"")).contains("either inputs"));
        assert!(say("[[stages]]\nname = \"wash\"").contains("no stage 'wash'; there are read"));
        assert!(say(&format!("{read}[[stages]]\nname = \"read\"")).contains("two of this name"));
        assert!(say("[[stages]]\nname = \"read\"\nfrom = \"rules\"").contains("no stage before it"));
        assert!(say("[[stages]]\nname = \"../x\"\nstage = \"read\"").contains("folder"));
        std::fs::write(&path, "name = \"x\"").unwrap();
        assert!(pipeline(&path, &[]).unwrap().is_none());
    }
}
