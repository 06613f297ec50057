//! What each stage will cost, counted before it runs.

use serde::Serialize;
use tutelage_model::DecoderConfig;
use tutelage_tensor::Precision;
use tutelage_tensor::kernels::linear_loss::chunk_bytes;

use super::{CachePlan, Plan, Stage, TeacherSource, TrainPlan};

/// One stage of the plan. Numbers that do not apply are zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRow {
    /// Name of the stage.
    pub stage: String,
    /// What it does.
    pub what: String,
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens that go through.
    pub tokens: u64,
    /// Weights of the model.
    pub parameters: u64,
    /// Floating-point operations.
    pub flops: f64,
    /// Peak memory in bytes, about.
    pub memory_bytes: u64,
    /// Bytes it leaves on disk, at most.
    pub disk_bytes: u64,
}

/// Memory of the program itself with its tokenizer.
const PROGRAM_BYTES: u64 = 64 << 20;

impl Plan {
    /// Every stage with its cost.
    pub fn rows(&self) -> Vec<PlanRow> {
        let mut rows = vec![self.tokenizer_row(), self.shards_row()];
        rows.extend(self.stages.iter().map(|stage| match stage {
            Stage::Cache(cache) => self.cache_row(cache),
            Stage::Train(train) => self.train_row(train),
        }));
        rows.extend(self.stages.iter().filter_map(|stage| match stage {
            Stage::Train(train) => Some(self.evaluate_row(train)),
            Stage::Cache(_) => None,
        }));
        rows
    }

    /// Tokens of so many bytes of text: byte-level BPE of English makes about a third of a byte per bit of the
    /// vocabulary.
    fn tokens_of(&self, bytes: u64) -> u64 {
        (bytes as f64 / (0.3 * (self.recipe.spec.tokenizer.vocab_size as f64).log2())) as u64
    }

    fn tokenizer_row(&self) -> PlanRow {
        let (vocab_size, bytes) = (self.recipe.spec.tokenizer.vocab_size, self.corpus.text_bytes);
        PlanRow {
            stage: "tokenizer".to_owned(),
            what: format!("byte-level BPE of {vocab_size} entries"),
            memory_bytes: PROGRAM_BYTES + 6 * bytes,
            disk_bytes: 60 * vocab_size as u64,
            ..PlanRow::empty()
        }
    }

    fn shards_row(&self) -> PlanRow {
        let tokens = self.tokens_of(self.corpus.text_bytes);
        PlanRow {
            stage: "shards".to_owned(),
            what: format!("{} documents to tokens", self.corpus.documents),
            tokens,
            memory_bytes: PROGRAM_BYTES,
            disk_bytes: 2 * tokens + 20 * self.corpus.documents,
            ..PlanRow::empty()
        }
    }

    fn cache_row(&self, cache: &CachePlan) -> PlanRow {
        let seq_len = self.recipe.spec.data.seq_len as u64;
        let all = self.tokens_of(self.corpus.text_bytes - self.corpus.heldout_bytes) / seq_len;
        // Readers of one seed draw the same sequences; those of several may cover all.
        let longest = |seed: u64| cache.readers.iter().filter(|r| r.0 == seed).map(|r| r.1).max().unwrap_or(0);
        let seeds: std::collections::BTreeSet<u64> = cache.readers.iter().map(|r| r.0).collect();
        let drawn: u64 = seeds.into_iter().map(longest).sum();
        let tokens = drawn.min(all) * seq_len;
        let id_bits = f64::from(self.recipe.spec.tokenizer.vocab_size as u32).log2().ceil() as u64;
        PlanRow {
            stage: format!("cache/{}", cache.name),
            what: format!("{} of {}", cache.kept, cache.teacher),
            tokens,
            parameters: cache.teacher_config.n_weights(),
            flops: tokens as f64 * cache.teacher_config.forward_flops(seq_len as usize) as f64,
            memory_bytes: PROGRAM_BYTES
                + self.chunk()
                + cache.teacher_config.inference_bytes()
                + self.tape(&cache.teacher_config, 4096, true),
            disk_bytes: tokens * (cache.kept.max_entries() as u64 * (id_bits + 16)).div_ceil(8),
            ..PlanRow::empty()
        }
    }

    /// Memory of one chunk of logits.
    fn chunk(&self) -> u64 {
        chunk_bytes(self.recipe.spec.tokenizer.vocab_size).0 as u64
    }

    /// Bytes of an activation.
    fn width(&self) -> usize {
        if self.precision == Precision::Bf16 { 2 } else { 4 }
    }

    fn tape(&self, config: &DecoderConfig, rows: usize, recompute: bool) -> u64 {
        config.tape_bytes(rows, self.width(), recompute)
    }

    fn train_row(&self, train: &TrainPlan) -> PlanRow {
        let (config, seq_len) = (&train.config, self.recipe.spec.data.seq_len);
        let tokens = config.steps * (config.batch_size * seq_len) as u64;
        let rows = config.micro_batch_size * seq_len;
        let live = match &train.teacher {
            Some(TeacherSource::Live { config, .. }) => {
                (config.inference_bytes() + self.chunk()).saturating_add(self.tape(config, rows, true))
            }
            _ => 0,
        };
        let parameters = train.model.n_weights();
        PlanRow {
            stage: format!("train/{}", train.name),
            what: train.objective.clone(),
            steps: config.steps,
            tokens,
            parameters,
            flops: tokens as f64 * (train.model.training_flops(seq_len) + config.teacher_flops) as f64,
            memory_bytes: (PROGRAM_BYTES + live).saturating_add(train.model.training_bytes(
                rows,
                self.width(),
                train.recompute,
            )),
            disk_bytes: parameters * (4 + 12 * config.keep_checkpoints as u64),
        }
    }

    fn evaluate_row(&self, train: &TrainPlan) -> PlanRow {
        let tokens = self.tokens_of(self.corpus.heldout_bytes);
        let (config, seq_len) = (&train.model, self.recipe.spec.data.seq_len);
        PlanRow {
            stage: format!("evaluate/{}", train.name),
            what: "held-out text, samples".to_owned(),
            tokens,
            parameters: config.n_weights(),
            flops: tokens as f64 * config.forward_flops(seq_len) as f64,
            memory_bytes: PROGRAM_BYTES + self.chunk() + config.inference_bytes() + self.tape(config, 4096, true),
            disk_bytes: 4096,
            ..PlanRow::empty()
        }
    }
}

impl PlanRow {
    fn empty() -> Self {
        Self {
            stage: String::new(),
            what: String::new(),
            steps: 0,
            tokens: 0,
            parameters: 0,
            flops: 0.0,
            memory_bytes: 0,
            disk_bytes: 0,
        }
    }
}
