//! A model's training, with the teacher the plan names.

use std::path::{Path, PathBuf};

use tutelage_data::PackedSet;
use tutelage_eval::heldout_loss;
use tutelage_generate::{RolloutPrompt, Sampling, rollouts};
use tutelage_loss::Teacher;
use tutelage_model::{Decoder, SaveOptions, StoredModel};
use tutelage_run::{AtomicFolder, Event, Hash, create_folder, write_atomic};
use tutelage_teacher::remote::RemoteTeacher;
use tutelage_teacher::{CachedTeacher, LiveTeacher, Member, OffloadedTeacher, SeveralTeachers};
use tutelage_tensor::Params;
use tutelage_train::{Job, Online, Outcome, Prompt, train};

use super::cache::{covered, find, header, open_server};
use super::session::{Flow, Made, Session};
use super::shards::Packed;
use super::tokenizer::RunTokenizer;
use crate::RecipeError;
use crate::plan::{FirstWeights, OTHERS, TeacherModel, TeacherSource, Teaches, TrainPlan, taught_by};

impl Session<'_> {
    pub(super) fn training(
        &mut self,
        plan: &TrainPlan,
        tokenizer: &RunTokenizer,
        packed: &Packed,
    ) -> Result<Flow<()>, RecipeError> {
        let stage = format!("train/{}", plan.name);
        let folder = self.stage_folder(&plan.name);
        let settings = format!(
            "{:?} {:?} {} {} {:?}",
            plan.model, plan.config, plan.seed, plan.eval_sequences, self.plan.precision
        );
        let (train_set, heldout_set) = (packed.train.hash().to_string(), packed.heldout.hash().to_string());
        let taught = self.teacher_fingerprint(plan.teacher.as_ref(), &packed.train)?;
        let first = match &plan.first {
            FirstWeights::Random => "random".to_owned(),
            FirstWeights::Stored { path, lora } => format!("{} {lora:?}", self.stored_hash(path)?),
            FirstWeights::Run(name) => format!("run {}", self.record(&format!("train/{name}"))?.output),
        };
        let settings = match &plan.online {
            None => settings,
            Some(online) => format!("{settings} {online:?}"),
        };
        let settings = match plan.routes.is_empty() {
            true => settings,
            false => format!("{settings} {:?} {:?}", plan.routes, packed.train.shard().manifest().route),
        };
        let fingerprint = self.fingerprint(&stage, &[&settings, &first, &train_set, &heldout_set, &taught]);
        let flow = self.stage(&stage, &folder, fingerprint.clone(), |session, folder| {
            session.train_model(plan, tokenizer, packed, &stage, folder, &fingerprint)
        })?;
        Ok(match flow {
            Flow::Done(_) => Flow::Done(()),
            Flow::Stopped => Flow::Stopped,
        })
    }

    fn train_model(
        &mut self,
        plan: &TrainPlan,
        tokenizer: &RunTokenizer,
        packed: &Packed,
        stage: &str,
        folder: &Path,
        fingerprint: &Hash,
    ) -> Result<Flow<Made>, RecipeError> {
        let mut model = self.first_model(plan)?;
        model.set_recompute(plan.recompute);
        let online = self.online_teacher(plan)?;
        let teacher = match &plan.teacher {
            Some(source) if online.is_none() => Some(self.open_teacher(plan, source, tokenizer, &packed.train)?),
            _ => None,
        };
        let vocabulary = tokenizer.tokenizer.vocab_size();
        let rows = plan.teacher_batch * packed.train.seq_len();
        let as_teacher = as_teacher(vocabulary, rows);
        let ends: Vec<u32> = [plan.model.eos].iter().chain(&plan.model.more_eos).copied().collect();
        let continue_texts = |model: &Decoder, prompts: &[Prompt]| {
            let prompts: Vec<RolloutPrompt> = prompts.iter().map(rollout).collect();
            rollouts(model, &prompts, vocabulary, &ends)
        };
        let known = &packed.train.shard().manifest().routes;
        let number = |route: &String| known.iter().position(|known| known == route).map(|number| number as u16);
        let routes: Vec<u16> = plan.routes.iter().filter_map(number).collect();
        let job = Job {
            set: &packed.train,
            routes: (!plan.routes.is_empty()).then_some(&routes),
            config: &plan.config,
            teacher: teacher.as_deref(),
            online: online.zip(plan.online.as_ref()).map(|(model, online)| Online {
                model,
                config: &online.config,
                as_teacher: &as_teacher,
            }),
            folder,
            fingerprint,
            evaluate: &mut |model| heldout_loss(model, &packed.heldout, plan.eval_sequences),
            snapshot: &mut |model, step| {
                let to = snapshot_folder(folder, step);
                create_folder(&to)?;
                save_model(model, plan, tokenizer, &to)?;
                Ok(())
            },
            continue_texts: Some(&continue_texts),
            stage,
            detail: &plan.objective,
        };
        let (model, teacher, stats) = match train(model, job, self.observer, self.stop)? {
            Outcome::Done { model, teacher, stats } => (model, teacher, stats),
            Outcome::Stopped { .. } => return Ok(Flow::Stopped),
        };
        if let Some(teacher) = teacher {
            let adapters = AtomicFolder::create(&folder.join("teacher-adapters"))?;
            teacher.save_adapters(adapters.inside())?;
            adapters.commit()?;
        }
        let output = save_model(&model, plan, tokenizer, folder)?;
        let result = format!("{} weights, {} tokens", model.params().n_weights(), stats.tokens);
        Ok(Flow::Done(Made { output, result, seconds: Some(stats.seconds) }))
    }

    pub(super) fn stage_folder(&self, model: &str) -> PathBuf {
        self.folder.join("models").join(model)
    }

    /// The model before its first step.
    fn first_model(&self, plan: &TrainPlan) -> Result<Decoder, RecipeError> {
        let (device, precision) = (&self.device, self.plan.precision);
        Ok(match &plan.first {
            FirstWeights::Random => Decoder::random(plan.model.clone(), device, precision, plan.seed)?,
            FirstWeights::Stored { path, lora: None } => {
                StoredModel::open(path)?.decoder(Params::new(device, precision))?
            }
            FirstWeights::Run(name) => Decoder::load(&self.stage_folder(name).join("model"), device, precision)?,
            FirstWeights::Stored { path, lora: Some(lora) } => {
                StoredModel::open(path)?.adapted(device, precision, lora.clone(), plan.seed)?
            }
        })
    }

    /// A teacher with adapters that will learn, if the plan has one.
    fn online_teacher(&self, plan: &TrainPlan) -> Result<Option<Decoder>, RecipeError> {
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

    /// A trained model of this run, which is only asked.
    pub(super) fn load_trained(&self, name: &str) -> Result<Decoder, RecipeError> {
        Ok(Decoder::load_frozen(&self.stage_folder(name).join("model"), &self.device, self.plan.precision)?)
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

    fn open_teacher(
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
                    });
                }
                Box::new(SeveralTeachers::new(opened, by_route))
            }
        })
    }

    /// Whose weights or targets a training depends on.
    fn teacher_fingerprint(&mut self, source: Option<&TeacherSource>, set: &PackedSet) -> Result<String, RecipeError> {
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

/// Of a training's folder.
fn snapshot_folder(folder: &Path, step: u64) -> PathBuf {
    folder.join("snapshots").join(format!("step-{step:07}"))
}

/// Writes the model as a Hugging Face folder with its tokenizer, `model/`; adapters as PEFT's `adapters/`, and merged into
/// the model that they are for. Returns the weights' hash.
fn save_model(model: &Decoder, plan: &TrainPlan, tokenizer: &RunTokenizer, folder: &Path) -> Result<Hash, RecipeError> {
    let new = AtomicFolder::create(&folder.join("model"))?;
    let weights = match &plan.first {
        FirstWeights::Stored { path, lora: Some(_) } => {
            let adapters = AtomicFolder::create(&folder.join("adapters"))?;
            model.save_adapters(adapters.inside())?;
            adapters.commit()?;
            let merged = StoredModel::open(path)?.merged(&folder.join("adapters"))?;
            merged.save_as(&plan.model, new.inside(), &tokenizer.hash, SaveOptions::default())?
        }
        _ => model.save(new.inside(), &tokenizer.hash)?,
    };
    for (name, bytes) in &tokenizer.files {
        write_atomic(&new.inside().join(name), bytes)?;
    }
    new.commit()?;
    Ok(weights)
}

/// Drawn from the whole distribution, at the prompt's temperature.
fn rollout(prompt: &Prompt) -> RolloutPrompt {
    let sampling = Sampling { temperature: prompt.temperature, top_p: 1.0, seed: prompt.seed, ..Sampling::default() };
    RolloutPrompt { ids: prompt.ids.clone(), max_tokens: prompt.max_tokens, sampling }
}

/// Makes live teachers of models, with so many tokens and so many rows at a time.
fn as_teacher(vocabulary: usize, rows: usize) -> impl for<'m> Fn(&'m Decoder) -> Box<dyn Teacher + 'm> {
    move |model| Box::new(LiveTeacher::new(model, vocabulary).in_batches(rows))
}
