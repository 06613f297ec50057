//! `summary.json`: all models side by side.

use std::path::Path;
use std::time::Instant;

use tutelage_model::DecoderConfig;
use tutelage_run::records::{CacheSummary, CorpusSummary, GroupSummary, ModelSummary, Summary};
use tutelage_run::{read_json, write_json};
use tutelage_teacher::cache::CacheReader;

use super::evaluate::Evaluation;
use super::session::Session;
use crate::RecipeError;
use crate::plan::{CachePlan, FirstWeights, Stage, TrainPlan};

impl Session<'_> {
    /// Writes the summary; `begun` is when this process began, for the note of its own time.
    pub(super) fn summarize(&mut self, begun: Instant) -> Result<(), RecipeError> {
        let mut models = Vec::new();
        let mut caches = Vec::new();
        for stage in &self.plan.stages {
            match stage {
                Stage::Train(train) => models.push(self.model_summary(train)?),
                Stage::Cache(cache) => caches.push(self.cache_summary(cache)?),
                Stage::Stored(teacher) => {
                    models.push(self.stored_summary(&teacher.name, &teacher.config, teacher.stored.as_deref())?)
                }
            }
        }
        let summary = Summary {
            recipe: self.plan.recipe.spec.name.clone(),
            corpus: self.corpus_summary()?,
            groups: groups(&models),
            models,
            caches,
            seconds: self.records.iter().map(|record| record.seconds).sum(),
        };
        write_json(&self.folder.join("summary.json"), &summary)?;
        let note = format!("all stages done, {:.0} s in this process", begun.elapsed().as_secs_f64());
        self.observer.event(&tutelage_run::Event::Note(&note));
        Ok(())
    }

    fn model_summary(&self, train: &TrainPlan) -> Result<ModelSummary, RecipeError> {
        let seq_len = self.plan.recipe.spec.data.seq_len;
        Ok(ModelSummary {
            objective: train.objective.clone(),
            teacher: train.teacher.as_ref().map(|t| t.name()),
            begins_from: match &train.first {
                FirstWeights::Random => None,
                FirstWeights::Stored { path, .. } => Some(path.display().to_string()),
            },
            tokens: train.config.steps * (train.config.batch_size * seq_len) as u64,
            seconds: self.record(&format!("train/{}", train.name))?.seconds,
            seed: train.seed,
            group: train.group.clone(),
            path: format!("models/{}/model", train.name),
            stage: format!("models/{}", train.name),
            ..self.stored_summary(&train.name, &train.model, None)?
        })
    }

    /// Of a model that no stage made, and what all models have in common: their sizes and their evaluations.
    fn stored_summary(
        &self,
        name: &str,
        config: &DecoderConfig,
        path: Option<&Path>,
    ) -> Result<ModelSummary, RecipeError> {
        let evaluation: Evaluation = read_json(&self.folder.join("evaluations").join(name).join("result.json"))?;
        let path = path.map(|path| path.display().to_string());
        Ok(ModelSummary {
            name: name.to_owned(),
            objective: "nothing here: as it is stored".to_owned(),
            teacher: None,
            begins_from: path.clone(),
            parameters: config.n_weights(),
            tokens: 0,
            seconds: 0.0,
            heldout_loss: evaluation.heldout_loss,
            heldout_perplexity: evaluation.heldout_perplexity,
            heldout_bits_per_byte: evaluation.heldout_bits_per_byte,
            seed: 0,
            group: name.to_owned(),
            path: path.unwrap_or_default(),
            stage: String::new(),
            samples: evaluation.samples,
        })
    }

    fn cache_summary(&self, cache: &CachePlan) -> Result<CacheSummary, RecipeError> {
        let stats = CacheReader::open(&self.folder.join("caches").join(&cache.name), None)?.stats();
        let tokens = stats.n_tokens.max(1) as f64;
        Ok(CacheSummary {
            name: cache.name.clone(),
            teacher: cache.teacher.name().to_owned(),
            kept: cache.kept.to_string(),
            tokens: stats.n_tokens,
            bytes: stats.n_bytes,
            bytes_per_token: stats.n_bytes as f64 / tokens,
            entries_per_token: stats.n_entries as f64 / tokens,
            seconds: self.record(&format!("cache/{}", cache.name))?.seconds,
            path: format!("caches/{}", cache.name),
        })
    }

    fn corpus_summary(&self) -> Result<CorpusSummary, RecipeError> {
        let manifest = |name: &str| read_json(&self.folder.join("shards").join(name).with_extension("json"));
        let train: tutelage_data::ShardManifest = manifest("train")?;
        let heldout: tutelage_data::ShardManifest = manifest("heldout")?;
        Ok(CorpusSummary {
            train_documents: train.documents,
            train_tokens: train.tokens,
            heldout_documents: heldout.documents,
            heldout_tokens: heldout.tokens,
            heldout_bytes: heldout.text_bytes,
            vocab_size: train.vocab_size,
            seq_len: self.plan.recipe.spec.data.seq_len as u64,
        })
    }
}

fn groups(models: &[ModelSummary]) -> Vec<GroupSummary> {
    let mut names: Vec<&str> = Vec::new();
    for model in models {
        if !names.contains(&model.group.as_str()) {
            names.push(&model.group);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let found: Vec<f64> = models.iter().filter(|m| m.group == name).map(|m| m.heldout_bits_per_byte).collect();
            let n = found.len() as f64;
            let mean = found.iter().sum::<f64>() / n;
            let squares: f64 = found.iter().map(|x| (x - mean).powi(2)).sum();
            GroupSummary {
                name: name.to_owned(),
                n_seeds: found.len(),
                mean_bits_per_byte: mean,
                std_bits_per_byte: (found.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
            }
        })
        .collect()
}
