//! Who teaches a training: models, caches, servers, opened as the plan says.

use std::path::PathBuf;

use tutelage_data::PackedSet;
use tutelage_loss::Teacher;
use tutelage_model::{Decoder, StoredModel};
use tutelage_run::{Event, Hash};
use tutelage_teacher::remote::RemoteTeacher;
use tutelage_teacher::selection::{Choice, Policy};
use tutelage_teacher::{CachedTeacher, LiveTeacher, Member, OffloadedTeacher, SeveralTeachers};
use tutelage_tensor::Params;

use super::cache::{covered, find, header, open_server};
use super::session::Session;
use super::tokenizer::RunTokenizer;
use super::training::snapshot_folder;
use crate::RecipeError;
use crate::plan::{OTHERS, TeacherModel, TeacherSource, Teaches, TrainPlan, taught_by};
use crate::spec::{ChoiceSpec, SelectionSpec};

impl Session<'_> {
    /// A teacher with adapters that will learn, if the plan has one.
    pub(super) fn online_teacher(&self, plan: &TrainPlan) -> Result<Option<Decoder>, RecipeError> {
        let (Some(online), Some(TeacherSource::Live { teacher })) = (&plan.online, &plan.teacher) else {
            return Ok(None);
        };
        let (device, precision) = (&self.device, self.plan.precision);
        Ok(Some(StoredModel::open(&self.teacher_path(teacher))?.adapted(
            device,
            precision,
            online.lora.clone(),
            plan.seed,
        )?))
    }

    /// Where a model that teaches lies.
    fn teacher_path(&self, teacher: &TeacherModel) -> PathBuf {
        match (&teacher.stored, teacher.snapshot) {
            (None, None) => self.stage_folder(&teacher.name).join("model"),
            (None, Some(_)) => self.snapshot(teacher),
            (Some(path), _) => path.clone(),
        }
    }

    /// A model that teaches.
    pub(super) fn load_teacher(&self, teacher: &TeacherModel) -> Result<Decoder, RecipeError> {
        let params = Params::frozen(&self.device, self.plan.precision);
        Ok(StoredModel::open(&self.teacher_path(teacher))?.decoder(params)?)
    }

    /// Hash of a teacher's weights.
    pub(super) fn teacher_hash(&mut self, teacher: &TeacherModel) -> Result<Hash, RecipeError> {
        match (&teacher.stored, teacher.snapshot) {
            (None, None) => Ok(self.record(&format!("train/{}", teacher.name))?.output.clone()),
            (None, Some(_)) => self.stored_hash(&self.snapshot(teacher)),
            (Some(path), _) => self.stored_hash(path),
        }
    }

    /// Where a teacher lies that is not as it was in the end.
    fn snapshot(&self, teacher: &TeacherModel) -> PathBuf {
        snapshot_folder(&self.stage_folder(&teacher.name), teacher.snapshot.unwrap_or_default()).join("model")
    }

    pub(super) fn open_teacher(
        &mut self,
        plan: &TrainPlan,
        source: &TeacherSource,
        tokenizer: &RunTokenizer,
        set: &PackedSet,
    ) -> Result<Box<dyn Teacher>, RecipeError> {
        Ok(match source {
            TeacherSource::Live { teacher } => {
                let (rows, entries) = (teacher.config.vocab_size, tokenizer.tokenizer.vocab_size());
                if rows > entries {
                    let name = &teacher.name;
                    let note = format!(
                        "teacher '{name}' has {rows} rows for the {entries} tokens that it shares with its student, by their texts: \
                         the last {} get no mass",
                        rows - entries
                    );
                    self.observer.event(&Event::Note(&note));
                }
                let rows = plan.teacher_batch * set.seq_len();
                match plan.offload {
                    false => Box::new(LiveTeacher::new(self.load_teacher(teacher)?, entries).in_batches(rows)),
                    true => {
                        let stored = StoredModel::open(&self.teacher_path(teacher))?;
                        let precision = self.plan.precision;
                        Box::new(OffloadedTeacher::new(stored, &self.device, precision, (entries, rows))?)
                    }
                }
            }
            TeacherSource::Server { server, kept } => {
                let source = open_server(server, kept, tokenizer)?;
                // Before a step is taken: going on from a checkpoint, it has to be the server that it was.
                source.remember(&self.stage_folder(&plan.name))?;
                Box::new(RemoteTeacher::new(source))
            }
            TeacherSource::Cache { cache, teacher, .. } => {
                let weights = self.teaches_hash(teacher)?;
                let cache_plan = find(self.plan, cache)?;
                let sequences = covered(cache_plan, set);
                let expected = header(cache_plan, set, &weights, &sequences);
                Box::new(CachedTeacher::open(&self.folder.join("caches").join(cache), &expected)?)
            }
            TeacherSource::Several(members) => {
                let routes = &set.shard().manifest().routes;
                let by_route = match routes.is_empty() {
                    true => vec![taught_by(members, OTHERS)],
                    false => routes.iter().map(|route| taught_by(members, route)).collect(),
                };
                let mut opened = Vec::new();
                for member in members {
                    opened.push(Member {
                        teacher: self.open_teacher(plan, &member.source, tokenizer, set)?,
                        whole_sequences: matches!(member.source, TeacherSource::Cache { .. }),
                        weight: member.weight as f32,
                        name: member.source.name(),
                    });
                }
                let n_members = opened.len();
                let several = SeveralTeachers::new(opened, by_route);
                Box::new(match &plan.selection {
                    None => several,
                    Some(SelectionSpec { choice, lr }) => {
                        let choice = match choice {
                            ChoiceSpec::Each => Choice::Each,
                            ChoiceSpec::Weights => Choice::Weights,
                        };
                        several.selected_by(Policy::new(choice, *lr, plan.seed, n_members))
                    }
                })
            }
        })
    }

    /// Whose weights or targets a training depends on.
    pub(super) fn teacher_fingerprint(
        &mut self,
        source: Option<&TeacherSource>,
        set: &PackedSet,
    ) -> Result<String, RecipeError> {
        Ok(match source {
            None => "none".to_owned(),
            Some(TeacherSource::Live { teacher }) => format!("live {}", self.teacher_hash(teacher)?),
            Some(TeacherSource::Server { server, kept }) => {
                let teacher = self.teaches_hash(&Teaches::Server(server.clone()))?;
                format!("server {teacher} {kept}")
            }
            Some(TeacherSource::Cache { cache, .. }) => {
                format!("cached {}", self.record(&format!("cache/{cache}"))?.fingerprint)
            }
            Some(TeacherSource::Several(members)) => {
                let manifest = set.shard().manifest();
                let mut out = format!("several, routes {:?} {:?}", manifest.routes, manifest.route);
                for member in members {
                    let teacher = self.teacher_fingerprint(Some(&member.source), set)?;
                    out += &format!(", {teacher} {:?} {}", member.routes, member.weight);
                }
                out
            }
        })
    }
}

/// Makes live teachers of models, with so many tokens and so many rows at a time.
pub(super) fn as_teacher(vocabulary: usize, rows: usize) -> impl for<'m> Fn(&'m Decoder) -> Box<dyn Teacher + 'm> {
    move |model| Box::new(LiveTeacher::new(model, vocabulary).in_batches(rows))
}
