//! A model's training, with the teacher the plan names.

use std::path::{Path, PathBuf};

use tutelage_eval::heldout_loss;
use tutelage_generate::{RolloutPrompt, Sampling, rollouts};
use tutelage_model::{Decoder, SaveOptions, StoredModel};
use tutelage_run::{AtomicFolder, Hash, create_folder, write_atomic};
use tutelage_tensor::Params;
use tutelage_train::{Job, Online, Outcome, Prompt, train};

use super::session::{Flow, Made, Session};
use super::shards::Packed;
use super::teachers::as_teacher;
use super::tokenizer::RunTokenizer;
use crate::RecipeError;
use crate::plan::{FirstWeights, TrainPlan};

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
        let settings = match &plan.selection {
            None => settings,
            Some(selection) => format!("{settings} {selection:?}"),
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
        if routes.len() < plan.routes.len() {
            let found = "some have no document that is not held out; choose others, or a smaller data.heldout_fraction";
            return Err(RecipeError::request(format!("run '{}': routes: {found}", plan.name)));
        }
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
            continue_texts: &continue_texts,
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

    /// A trained model of this run, which is only asked.
    pub(super) fn load_trained(&self, name: &str) -> Result<Decoder, RecipeError> {
        Ok(Decoder::load_frozen(&self.stage_folder(name).join("model"), &self.device, self.plan.precision)?)
    }
}

/// Of a training's folder.
pub(super) fn snapshot_folder(folder: &Path, step: u64) -> PathBuf {
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
