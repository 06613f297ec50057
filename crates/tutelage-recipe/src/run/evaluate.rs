//! What a trained model makes of held-out text, and what it writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tutelage_eval::evaluate;
use tutelage_generate::{Engine, EngineLimits, Event, Generator, Request, Sampling};
use tutelage_run::records::Sample;
use tutelage_run::{hash_file, write_json};

use super::session::{Flow, Made, Session};
use super::shards::Packed;
use super::tokenizer::RunTokenizer;
use crate::RecipeError;
use crate::generate::{cache_tokens, drive};
use crate::plan::TeacherModel;

/// `evaluations/NAME/result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Evaluation {
    pub(super) heldout_loss: f64,
    pub(super) heldout_perplexity: f64,
    pub(super) heldout_bits_per_byte: f64,
    /// Expected calibration error, from 0 to 1.
    pub(super) heldout_calibration_error: f64,
    /// Nats a token of each route.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) heldout_by_route: BTreeMap<String, f64>,
    pub(super) heldout_tokens: u64,
    pub(super) heldout_bytes: u64,
    pub(super) samples: Vec<Sample>,
}

impl Session<'_> {
    /// Evaluates a trained model, or a stored one that teaches.
    pub(super) fn evaluation(
        &mut self,
        name: &str,
        stored: Option<&TeacherModel>,
        tokenizer: &RunTokenizer,
        packed: &Packed,
    ) -> Result<Flow<()>, RecipeError> {
        let stage = format!("evaluate/{name}");
        let folder = self.folder.join("evaluations").join(name);
        let weights = match stored {
            Some(teacher) => self.teacher_hash(teacher)?.to_string(),
            None => self.record(&format!("train/{name}"))?.output.to_string(),
        };
        let samples = &self.plan.recipe.spec.samples;
        let settings = format!("{samples:?} {} {:?}", self.plan.recipe.spec.seed, self.plan.precision);
        let fingerprint = self.fingerprint(&stage, &[&weights, &packed.heldout.hash().to_string(), &settings]);
        let flow = self.stage(&stage, &folder, fingerprint, |session, folder| {
            session.started(&stage, "held-out text, samples", Some(1 + samples.prompts.len() as u64));
            let model = match stored {
                Some(teacher) => session.load_teacher(teacher)?,
                None => session.load_trained(name)?,
            };
            let found = evaluate(&model, &packed.heldout);
            session.observer.event(&tutelage_run::Event::Progress { done: 1, note: "" });
            let generator = Generator::new(model, tokenizer.tokenizer.clone(), None)?;
            let Flow::Done(samples) = session.samples(generator)? else { return Ok(Flow::Stopped) };
            let evaluation = Evaluation {
                heldout_loss: found.loss(),
                heldout_perplexity: found.perplexity(),
                heldout_bits_per_byte: found.bits_per_byte(),
                heldout_calibration_error: found.calibration_error,
                heldout_by_route: found.by_route.into_iter().map(|(name, loss, _)| (name, loss)).collect(),
                heldout_tokens: found.n_tokens,
                heldout_bytes: found.text_bytes,
                samples,
            };
            let path = folder.join("result.json");
            write_json(&path, &evaluation)?;
            let result =
                format!("{:.4} bits a byte, loss {:.4}", evaluation.heldout_bits_per_byte, evaluation.heldout_loss);
            Ok(Flow::Done(Made { output: hash_file(&path)?, result, seconds: None }))
        })?;
        Ok(match flow {
            Flow::Done(_) => Flow::Done(()),
            Flow::Stopped => Flow::Stopped,
        })
    }

    /// All prompts are continued together, which changes none of the texts.
    fn samples(&mut self, generator: Generator) -> Result<Flow<Vec<Sample>>, RecipeError> {
        let spec = &self.plan.recipe.spec;
        let samples = &spec.samples;
        let generator = Arc::new(generator);
        let sampling =
            Sampling { temperature: samples.temperature, top_p: samples.top_p, seed: spec.seed, ..Sampling::default() };
        let mut requests = Vec::new();
        for prompt in &samples.prompts {
            requests.push(Request {
                sampling: sampling.clone(),
                ..Request::new(generator.prompt(prompt)?, samples.max_tokens)
            });
        }
        let tokens = requests.iter().map(|r| cache_tokens(r.prompt.len(), r.max_tokens, &generator)).sum();
        let mut engine = Engine::new(generator, EngineLimits { cache_tokens: tokens, ..EngineLimits::default() });
        let mut done = 1;
        let observer = &mut *self.observer;
        let texts = drive(&mut engine, requests, self.stop, &mut |event| {
            if matches!(event, Event::Done { .. }) {
                done += 1;
                observer.event(&tutelage_run::Event::Progress { done, note: "" });
            }
        })?;
        let texts = texts.into_iter().flatten().map(|written| written.text);
        let prompts = samples.prompts.iter().cloned();
        let out = prompts.zip(texts).map(|(prompt, text)| Sample { prompt, text }).collect();
        Ok(if self.stop.is_raised() { Flow::Stopped } else { Flow::Done(out) })
    }
}
