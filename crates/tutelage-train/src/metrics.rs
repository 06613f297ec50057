//! The numbers of a run, in lines and for TensorBoard.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tutelage_run::records::{FeatureRecord, MetricsRecord, ThroughputRecord};
use tutelage_run::{EventFile, FileError, Journal, peak_memory_bytes};

use crate::Losses;

/// Running means since the last line; part of a checkpoint, so that lines do not depend on interruptions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    steps: u64,
    sums: Losses,
    #[serde(default)]
    balance: Option<f64>,
    /// Of a teacher that learns.
    #[serde(default)]
    tutor: Option<Losses>,
    /// Steps without a token of text.
    #[serde(default)]
    without_text: u64,
    /// Steps in which no token was taught.
    #[serde(default)]
    untaught: u64,
}

impl Interval {
    pub(crate) fn add(&mut self, losses: Losses, balance: Option<f64>, tutor: Option<Losses>) {
        self.steps += 1;
        self.without_text += u64::from(losses.text == 0.0);
        self.untaught += u64::from(losses.taught == 0.0);
        self.sums = self.sums.zip(losses, |sum, x| sum + x);
        if let Some(tutor) = tutor {
            self.tutor = Some(self.tutor.unwrap_or_default().zip(tutor, |sum, x| sum + x));
        }
        if let Some(balance) = balance {
            *self.balance.get_or_insert(0.0) += balance;
        }
    }

    /// Mean balance loss, where there are experts.
    pub(crate) fn balance(&self) -> Option<f64> {
        self.balance.map(|sum| sum / self.steps.max(1) as f64)
    }

    /// Mean cross-entropy with the text over the steps that had any.
    pub(crate) fn lm(&self) -> Option<f64> {
        let with_text = self.steps - self.without_text;
        (with_text > 0).then(|| self.sums.lm / with_text as f64)
    }

    /// Mean distance to the teacher over the steps in which it taught.
    pub(crate) fn kd(&self) -> Option<f64> {
        let taught = self.steps - self.untaught;
        (taught > 0).then(|| self.sums.kd / taught as f64)
    }

    /// Means of a teacher that learns, over the steps.
    pub(crate) fn tutor(&self) -> Option<Losses> {
        let steps = self.steps.max(1) as f64;
        self.tutor.map(|sums| sums.zip(Losses::default(), |sum, _| sum / steps))
    }

    /// Means over the steps.
    pub(crate) fn means(&self) -> Losses {
        let steps = self.steps.max(1) as f64;
        self.sums.zip(Losses::default(), |sum, _| sum / steps)
    }
}

/// Lengths of the two journals that a checkpoint vouches for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    metrics: u64,
    throughput: u64,
}

/// Writes both journals and the event file.
#[derive(Debug)]
pub(crate) struct Recorder {
    metrics: Journal,
    throughput: Journal,
    events: EventFile,
    seconds_before: f64,
    start: Instant,
    last: (f64, u64),
}

impl Recorder {
    /// Opens the files in `folder` at what a checkpoint vouches for.
    pub(crate) fn open(
        folder: &Path,
        lengths: Lengths,
        (step, tokens, seconds): (u64, u64, f64),
    ) -> Result<Self, FileError> {
        Ok(Self {
            metrics: Journal::open_at(&folder.join("metrics.jsonl"), lengths.metrics)?,
            throughput: Journal::open_at(&folder.join("throughput.jsonl"), lengths.throughput)?,
            events: EventFile::create(&folder.join("tb"), step)?,
            seconds_before: seconds,
            start: Instant::now(),
            last: (seconds, tokens),
        })
    }

    /// Seconds of training over all processes.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.start.elapsed().as_secs_f64()
    }

    /// Tokens a second since the last line.
    pub(crate) fn tokens_per_second(&self, tokens: u64) -> f64 {
        (tokens - self.last.1) as f64 / (self.seconds() - self.last.0).max(1e-9)
    }

    pub(crate) fn write(&mut self, record: &MetricsRecord, flops_per_token: u64) -> Result<(), FileError> {
        let tokens_per_second = self.tokens_per_second(record.tokens);
        let throughput = ThroughputRecord {
            step: record.step,
            seconds: self.seconds(),
            tokens_per_second,
            flops_per_second: tokens_per_second * flops_per_token as f64,
            memory_bytes: peak_memory_bytes(),
        };
        self.last = (throughput.seconds, record.tokens);
        self.metrics.append(record)?;
        self.throughput.append(&throughput)?;
        let optional = [
            ("train/lm_loss", record.lm_loss),
            ("train/own", record.own),
            ("train/kd_loss", record.kd_loss),
            ("train/balance_loss", record.balance_loss),
            ("train/teacher_lm_loss", record.teacher_lm_loss),
            ("train/teacher_kd_loss", record.teacher_kd_loss),
            ("train/kl", record.kl),
            ("train/taught", record.taught),
            ("schedule/text_weight", record.text_weight),
            ("schedule/teacher_weight", record.teacher_weight),
            ("schedule/temperature", record.temperature),
            ("heldout/loss", record.heldout_loss),
            ("throughput/memory_bytes", throughput.memory_bytes.map(|bytes| bytes as f64)),
        ];
        let mut scalars = vec![
            ("train/loss", record.loss),
            ("schedule/lr", record.lr),
            ("train/grad_norm", record.grad_norm),
            ("throughput/tokens_per_second", tokens_per_second),
            ("throughput/flops_per_second", throughput.flops_per_second),
        ];
        scalars.extend(optional.iter().filter_map(|&(tag, value)| Some((tag, value?))));
        let of_feature = |(name, feature): (&String, &FeatureRecord)| {
            [(format!("train/{name}"), feature.value), (format!("schedule/{name}_weight"), feature.weight)]
        };
        let features: Vec<(String, f64)> = record.features.iter().flat_map(of_feature).collect();
        scalars.extend(features.iter().map(|(tag, value)| (tag.as_str(), *value)));
        self.events.scalars(record.step, &scalars)
    }

    /// Makes the journals durable.
    pub(crate) fn sync(&mut self) -> Result<Lengths, FileError> {
        Ok(Lengths { metrics: self.metrics.sync()?, throughput: self.throughput.sync()? })
    }
}
