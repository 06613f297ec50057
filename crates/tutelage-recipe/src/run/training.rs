//! A model's training, with the teacher the plan names.

use std::path::{Path, PathBuf};

use tutelage_data::PackedSet;
use tutelage_eval::heldout_loss;
use tutelage_loss::Teacher;
use tutelage_model::Decoder;
use tutelage_run::{AtomicFolder, Hash, read_bytes, write_atomic};
use tutelage_teacher::{CachedTeacher, LiveTeacher};
use tutelage_train::{Job, Outcome, train};

use super::cache::{covered, find, header};
use super::session::{Flow, Made, Session};
use super::shards::Packed;
use super::tokenizer::TrainedTokenizer;
use crate::RecipeError;
use crate::plan::{TeacherSource, TrainPlan};

impl Session<'_> {
    pub(super) fn training(
        &mut self,
        plan: &TrainPlan,
        tokenizer: &TrainedTokenizer,
        packed: &Packed,
    ) -> Result<Flow<()>, RecipeError> {
        let stage = format!("train/{}", plan.name);
        let folder = self.stage_folder(&plan.name);
        let settings = format!(
            "{:?} {:?} {} {} {:?}",
            plan.model, plan.config, plan.seed, plan.eval_sequences, self.plan.precision
        );
        let (train_set, heldout_set) = (packed.train.hash().to_string(), packed.heldout.hash().to_string());
        let taught = self.teacher_fingerprint(plan)?;
        let fingerprint = self.fingerprint(&stage, &[&settings, &train_set, &heldout_set, &taught]);
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
        tokenizer: &TrainedTokenizer,
        packed: &Packed,
        stage: &str,
        folder: &Path,
        fingerprint: &Hash,
    ) -> Result<Flow<Made>, RecipeError> {
        let mut model = Decoder::random(plan.model.clone(), &self.device, self.plan.precision, plan.seed)?;
        model.set_recompute(plan.recompute);
        let mut teacher = self.open_teacher(plan, &packed.train)?;
        let job = Job {
            set: &packed.train,
            config: &plan.config,
            teacher: teacher.as_mut().map(|t| &mut **t as &mut dyn Teacher),
            folder,
            fingerprint,
            evaluate: &mut |model| heldout_loss(model, &packed.heldout, plan.eval_sequences),
            stage,
            detail: &plan.objective,
        };
        let (model, stats) = match train(model, job, self.observer, self.stop)? {
            Outcome::Done(model, stats) => (model, stats),
            Outcome::Stopped { .. } => return Ok(Flow::Stopped),
        };
        let output = save_model(&model, tokenizer, &folder.join("model"))?;
        let result = format!("{} weights, {} tokens", model.params().n_weights(), stats.tokens);
        Ok(Flow::Done(Made { output, result, seconds: Some(stats.seconds) }))
    }

    pub(super) fn stage_folder(&self, model: &str) -> PathBuf {
        self.folder.join("models").join(model)
    }

    /// A trained model of this run.
    pub(super) fn load_model(&self, name: &str) -> Result<Decoder, RecipeError> {
        Ok(Decoder::load(&self.stage_folder(name).join("model"), &self.device, self.plan.precision)?)
    }

    /// The same for a teacher, which is only asked.
    pub(super) fn load_teacher(&self, name: &str) -> Result<Decoder, RecipeError> {
        Ok(Decoder::load_frozen(&self.stage_folder(name).join("model"), &self.device, self.plan.precision)?)
    }

    fn open_teacher(&self, plan: &TrainPlan, set: &PackedSet) -> Result<Option<Box<dyn Teacher>>, RecipeError> {
        Ok(match &plan.teacher {
            None => None,
            Some(TeacherSource::Live { run, .. }) => Some(Box::new(LiveTeacher::new(self.load_teacher(run)?))),
            Some(TeacherSource::Cache { cache, run }) => {
                let weights = &self.record(&format!("train/{run}"))?.output;
                let cache_plan = find(self.plan, cache)?;
                let sequences = covered(cache_plan, set);
                let expected = header(cache_plan, set, weights, &sequences);
                Some(Box::new(CachedTeacher::open(&self.folder.join("caches").join(cache), &expected)?))
            }
        })
    }

    fn teacher_fingerprint(&self, plan: &TrainPlan) -> Result<String, RecipeError> {
        Ok(match &plan.teacher {
            None => "none".to_owned(),
            Some(TeacherSource::Live { run, .. }) => format!("live {}", self.record(&format!("train/{run}"))?.output),
            Some(TeacherSource::Cache { cache, .. }) => {
                format!("cached {}", self.record(&format!("cache/{cache}"))?.fingerprint)
            }
        })
    }
}

/// Writes a Hugging Face folder with its tokenizer; returns the weights' hash.
fn save_model(model: &Decoder, tokenizer: &TrainedTokenizer, folder: &Path) -> Result<Hash, RecipeError> {
    let new = AtomicFolder::create(folder)?;
    let weights = model.save(new.inside(), &tokenizer.hash)?;
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        write_atomic(&new.inside().join(name), &read_bytes(&tokenizer.folder.join(name))?)?;
    }
    new.commit()?;
    Ok(weights)
}
