//! `summary.json`: all models side by side.

use std::path::Path;
use std::time::Instant;

use tutelage_model::DecoderConfig;
use tutelage_run::records::{
    CacheSummary, ClaimRow, ClaimSummary, CorpusSummary, GroupSummary, MetricsRecord, ModelSummary, Summary,
};
use tutelage_run::{read_json, read_lines, write_json};
use tutelage_teacher::cache::CacheReader;

use super::evaluate::Evaluation;
use super::session::Session;
use crate::RecipeError;
use crate::plan::{CachePlan, FirstWeights, Stage, TrainPlan};
use crate::spec::{ClaimRowSpec, ClaimSpec};

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
            claims: self.claims(&models),
            models,
            caches,
            seconds: self.records.iter().map(|record| record.seconds).sum(),
        };
        write_json(&self.folder.join("summary.json"), &summary)?;
        let note = format!("all stages done, {:.0} s in this process", begun.elapsed().as_secs_f64());
        self.observer.event(&tutelage_run::Event::Note(&note));
        Ok(())
    }

    fn claims(&self, models: &[ModelSummary]) -> Vec<ClaimSummary> {
        let loss = |group: &str, seed: u64, route: Option<&String>| {
            let model = models.iter().find(|model| model.group == group && model.seed == seed)?;
            route.map_or(Some(model.heldout_loss), |route| model.heldout_by_route.get(route).copied())
        };
        let row = |spec: &ClaimRowSpec| {
            let seeds = models.iter().filter(|model| model.group == spec.run).map(|model| model.seed);
            let route = spec.route.as_ref();
            let difference = |seed| Some(loss(&spec.run, seed, route)? - loss(&spec.against, seed, route)?);
            ClaimRow {
                group: spec.run.clone(),
                against: spec.against.clone(),
                route: spec.route.clone(),
                paper: spec.paper.clone(),
                differences: seeds.filter_map(difference).collect(),
            }
        };
        let claim =
            |spec: &ClaimSpec| ClaimSummary { title: spec.title.clone(), rows: spec.rows.iter().map(row).collect() };
        self.plan.recipe.spec.claims.iter().map(claim).collect()
    }

    fn model_summary(&self, train: &TrainPlan) -> Result<ModelSummary, RecipeError> {
        Ok(ModelSummary {
            objective: train.objective.clone(),
            teacher: train.teacher.as_ref().map(|t| t.name()),
            begins_from: match &train.first {
                FirstWeights::Random => None,
                FirstWeights::Stored { path, .. } => Some(path.display().to_string()),
                FirstWeights::Run(name) => Some(format!("run '{name}'")),
            },
            tokens: self.tokens(train)?,
            seconds: self.record(&format!("train/{}", train.name))?.seconds,
            seed: train.seed,
            group: train.group.clone(),
            training: train.training.clone(),
            path: format!("models/{}/model", train.name),
            stage: format!("models/{}", train.name),
            ..self.stored_summary(&train.name, &train.model, None)?
        })
    }

    /// Tokens that went through a model in its training: fewer than its steps hold where documents are left out, or end early.
    fn tokens(&self, train: &TrainPlan) -> Result<u64, RecipeError> {
        let lines: Vec<MetricsRecord> = read_lines(&self.stage_folder(&train.name).join("metrics.jsonl"))?;
        Ok(lines.last().map_or(0, |line| line.tokens))
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
            heldout_calibration_error: Some(evaluation.heldout_calibration_error),
            heldout_by_route: evaluation.heldout_by_route,
            seed: 0,
            group: name.to_owned(),
            training: String::new(),
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
            teacher: cache.teacher.name(),
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
    let group = |name: &str| {
        let of = |value: fn(&ModelSummary) -> Option<f64>| -> Vec<f64> {
            models.iter().filter(|m| m.group == name).filter_map(value).collect()
        };
        let bits = of(|m| Some(m.heldout_bits_per_byte));
        let (losses, errors) = (of(|m| Some(m.heldout_loss)), of(|m| m.heldout_calibration_error));
        GroupSummary {
            name: name.to_owned(),
            n_seeds: bits.len(),
            mean_bits_per_byte: mean(&bits),
            std_bits_per_byte: deviation(&bits),
            mean_loss: Some(mean(&losses)),
            std_loss: deviation(&losses),
            mean_calibration_error: Some(mean(&errors)),
            std_calibration_error: deviation(&errors),
        }
    };
    names.into_iter().map(group).collect()
}

fn mean(xs: &[f64]) -> f64 {
    xs.iter().sum::<f64>() / xs.len() as f64
}

/// Sample standard deviation, where there are two or more.
fn deviation(xs: &[f64]) -> Option<f64> {
    let mean = mean(xs);
    let squares: f64 = xs.iter().map(|x| (x - mean).powi(2)).sum();
    (xs.len() > 1).then(|| (squares / (xs.len() - 1) as f64).sqrt())
}
