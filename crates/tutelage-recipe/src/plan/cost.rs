//! What each stage will cost, counted before it runs.

use serde::Serialize;
use tutelage_model::DecoderConfig;
use tutelage_tensor::Isa;
use tutelage_tensor::kernels::attention::PAGE;
use tutelage_tensor::kernels::linear_loss::LossMemory;

use super::features::FeatureBytes;
use super::{CachePlan, FirstWeights, Plan, Stage, TeacherModel, TeacherSource, TokenizerPlan, TrainPlan};

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
    /// Every stage with its cost on a machine with these instructions.
    pub fn rows(&self, isa: Isa) -> Vec<PlanRow> {
        let mut rows = vec![self.tokenizer_row(), self.shards_row()];
        rows.extend(self.stages.iter().filter_map(|stage| match stage {
            Stage::Cache(cache) => Some(self.cache_row(cache)),
            Stage::Train(train) => Some(self.train_row(train, isa)),
            Stage::Stored(_) => None,
        }));
        rows.extend(self.stages.iter().filter_map(|stage| match stage {
            Stage::Train(train) => Some(self.evaluate_row(&train.name, &train.model, isa)),
            Stage::Stored(stored) => Some(self.evaluate_row(&stored.name, &stored.config, isa)),
            Stage::Cache(_) => None,
        }));
        rows
    }

    /// Tokens of so many bytes of text: byte-level BPE of English makes about a third of a byte per bit of the
    /// vocabulary.
    fn tokens_of(&self, bytes: u64) -> u64 {
        (bytes as f64 / (0.3 * (self.tokenizer.vocab_size() as f64).log2())) as u64
    }

    fn train_tokens(&self) -> u64 {
        let text_bytes = self.corpus.text_bytes - self.corpus.heldout_bytes;
        self.corpus.mixed.as_ref().map_or_else(|| self.tokens_of(text_bytes), |mixed| mixed.train_tokens)
    }

    fn heldout_tokens(&self) -> u64 {
        let mixed = self.corpus.mixed.as_ref();
        mixed.map_or_else(|| self.tokens_of(self.corpus.heldout_bytes), |mixed| mixed.heldout_tokens)
    }

    fn tokenizer_row(&self) -> PlanRow {
        let vocab_size = self.tokenizer.vocab_size();
        let (what, bytes) = match &self.tokenizer {
            TokenizerPlan::Learned { .. } => {
                (format!("byte-level BPE of {vocab_size} entries"), self.corpus.text_bytes)
            }
            TokenizerPlan::Given { path, .. } => (format!("{vocab_size} entries, of {}", path.display()), 0),
        };
        PlanRow {
            stage: "tokenizer".to_owned(),
            what,
            memory_bytes: PROGRAM_BYTES + 6 * bytes,
            disk_bytes: 60 * vocab_size as u64,
            ..PlanRow::empty()
        }
    }

    fn shards_row(&self) -> PlanRow {
        let tokens = self.train_tokens() + self.heldout_tokens();
        let what = if self.corpus.mixed.is_some() { "documents, mixed already" } else { "documents to tokens" };
        PlanRow {
            stage: "shards".to_owned(),
            what: format!("{} {what}", self.corpus.documents),
            tokens,
            memory_bytes: PROGRAM_BYTES,
            disk_bytes: 2 * tokens + 20 * self.corpus.documents,
            ..PlanRow::empty()
        }
    }

    fn cache_row(&self, cache: &CachePlan) -> PlanRow {
        let seq_len = self.recipe.spec.data.seq_len as u64;
        let all = self.train_tokens() / seq_len;
        // Readers of one seed draw the same sequences; those of several may cover all.
        let longest = |seed: u64| cache.readers.iter().filter(|r| r.0 == seed).map(|r| r.1).max().unwrap_or(0);
        let seeds: std::collections::BTreeSet<u64> = cache.readers.iter().map(|r| r.0).collect();
        let drawn: u64 = seeds.into_iter().map(longest).sum();
        let tokens = drawn.min(all) * seq_len;
        let id_bits = f64::from(self.tokenizer.vocab_size() as u32).log2().ceil() as u64;
        // What another machine computes costs nothing here.
        let teacher = cache.teacher.model().map(|model| &model.config);
        PlanRow {
            stage: format!("cache/{}", cache.name),
            what: format!("{} of {}", cache.kept, cache.teacher.name()),
            tokens,
            parameters: teacher.map_or(0, DecoderConfig::n_weights),
            flops: tokens as f64 * teacher.map_or(0, |config| config.forward_flops(seq_len as usize)) as f64,
            memory_bytes: teacher.map_or(PROGRAM_BYTES, |config| self.forward(config, 4096, None)),
            disk_bytes: tokens * (cache.kept.max_entries() as u64 * (id_bits + 16)).div_ceil(8),
            ..PlanRow::empty()
        }
    }

    fn tape(&self, config: &DecoderConfig, rows: usize, recompute: bool) -> u64 {
        config.tape_bytes(rows, self.precision.activation().size(), recompute)
    }

    /// Memory of a forward pass over `rows` tokens, of the text's loss on `isa` or of a collector of whole rows.
    fn forward(&self, config: &DecoderConfig, rows: usize, isa: Option<Isa>) -> u64 {
        let loss = config.loss_memory(isa.unwrap_or(Isa::Portable), self.precision.activation(), rows);
        let loss = LossMemory { softmax_form: isa.is_some(), ..loss }.bytes(false);
        PROGRAM_BYTES + loss as u64 + config.inference_bytes() + self.tape(config, rows, true)
    }

    fn train_row(&self, train: &TrainPlan, isa: Isa) -> PlanRow {
        let (config, seq_len) = (&train.config, self.recipe.spec.data.seq_len);
        let tokens = config.steps * (config.batch_size * seq_len) as u64;
        let rows = config.micro_batch_size * seq_len;
        let mut loss = train.model.loss_memory(isa, self.precision.activation(), rows);
        let teachers = train.teacher.as_ref().map(TeacherSource::live).unwrap_or_default();
        loss.taught = !teachers.is_empty();
        let live = self.live_bytes(train, &teachers, loss, rows);
        if let Some(distillation) = &train.config.distillation {
            let whole = loss.taught;
            loss.softmax_form = distillation.objectives(config.steps).all(|o| o.has_softmax_form(whole));
        }
        let (parameters, adapters) = (train.model.n_weights(), train.adapters());
        let (learned, state) = match adapters {
            None => (parameters, train.model.training_state_bytes()),
            Some(n) => (n, train.model.fixed_bytes() + 20 * n),
        };
        let memory = train.model.step_bytes(loss, train.recompute).saturating_add(state);
        let memory = match (&config.distillation, &teachers[..]) {
            (Some(distillation), [teacher]) => {
                let models = (&train.model, &teacher.config);
                let inside = FeatureBytes::of(&distillation.features, models, self.precision.activation(), rows);
                memory.saturating_add(inside.state + inside.step)
            }
            _ => memory,
        };
        // Keys and values of all texts of a step that the student may write itself.
        let written = config.on_policy().map_or(0, |_| config.batch_size * seq_len.next_multiple_of(PAGE) / PAGE);
        let pages = written * train.model.page_bytes(self.precision.activation());
        let memory = memory.saturating_add(pages as u64);
        let mut flops = train.model.training_flops(seq_len, adapters.is_some()) + train.writing_flops(seq_len);
        if train.selection.is_some() {
            // What a step did is seen in one more forward pass.
            flops += train.model.forward_flops(seq_len);
        }
        PlanRow {
            stage: format!("train/{}", train.name),
            what: train.objective.clone(),
            steps: config.steps,
            tokens,
            parameters,
            flops: tokens as f64 * (flops + config.teacher_flops + train.online_flops(seq_len)) as f64,
            memory_bytes: (PROGRAM_BYTES + live).saturating_add(memory),
            disk_bytes: 4 * parameters + learned * 12 * config.keep_checkpoints as u64,
        }
    }

    /// Memory of live teachers, beside that of the loss.
    fn live_bytes(&self, train: &TrainPlan, teachers: &[&TeacherModel], loss: LossMemory, rows: usize) -> u64 {
        let configs = || teachers.iter().map(|teacher| &teacher.config);
        let sum = |bytes: &dyn Fn(&DecoderConfig) -> u64| configs().map(bytes).fold(0, u64::saturating_add);
        let largest = |bytes: &dyn Fn(&DecoderConfig) -> u64| configs().map(bytes).max().unwrap_or(0);
        let width = self.precision.activation().size() as u64;
        let head = |config: &DecoderConfig| width * (config.vocab_size * config.d_model) as u64;
        let weights = match (&train.online, teachers) {
            // One that learns has all its rows on a tape, and the student beside its own output layer.
            (Some(online), [teacher]) => {
                let (config, learned) = (&teacher.config, 20 * online.lora.n_weights(&teacher.config).unwrap_or(0));
                let own = LossMemory { taught: true, softmax_form: false, ..loss };
                let own = LossMemory { d_model: config.d_model, vocabulary: config.vocab_size, ..own };
                (config.fixed_bytes() + learned).saturating_add(config.step_bytes(own, false))
            }
            // Of those that are given back, output layers stay.
            _ if train.offload => sum(&head).saturating_add(largest(&DecoderConfig::inference_bytes)),
            _ => sum(&DecoderConfig::inference_bytes),
        };
        // One forward pass after another.
        let at_once = rows.min(train.teacher_batch * self.recipe.spec.data.seq_len);
        weights.saturating_add(largest(&|config| self.tape(config, at_once, true)))
    }

    fn evaluate_row(&self, name: &str, config: &DecoderConfig, isa: Isa) -> PlanRow {
        let tokens = self.heldout_tokens();
        let seq_len = self.recipe.spec.data.seq_len;
        PlanRow {
            stage: format!("evaluate/{name}"),
            what: "held-out text, samples".to_owned(),
            tokens,
            parameters: config.n_weights(),
            flops: tokens as f64 * config.forward_flops(seq_len) as f64,
            memory_bytes: self.forward(config, 4096, Some(isa)),
            disk_bytes: 4096,
            ..PlanRow::empty()
        }
    }
}

impl TrainPlan {
    /// Floating-point operations of a token for a teacher that learns: its own step, and the student's forward pass for it.
    fn online_flops(&self, seq_len: usize) -> u64 {
        match (&self.online, self.teacher.as_ref().map(TeacherSource::live).as_deref()) {
            (Some(_), Some([teacher])) => {
                teacher.config.training_flops(seq_len, true) + self.model.forward_flops(seq_len)
            }
            _ => 0,
        }
    }

    /// Floating-point operations of a token for what the student writes itself, on average.
    fn writing_flops(&self, seq_len: usize) -> u64 {
        let Some(own) = self.config.on_policy() else { return 0 };
        let fractions = (0..self.config.steps).map(|step| own.fraction.at(step, self.config.steps));
        let fraction = fractions.sum::<f64>() / self.config.steps.max(1) as f64;
        (fraction * self.model.forward_flops(seq_len) as f64) as u64
    }

    /// Weights of the adapters, where those learn.
    fn adapters(&self) -> Option<u64> {
        match &self.first {
            // That they fit the model was found when they were resolved.
            FirstWeights::Stored { lora: Some(lora), .. } => lora.n_weights(&self.model).ok(),
            _ => None,
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
