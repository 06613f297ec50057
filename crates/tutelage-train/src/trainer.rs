//! The loop.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use tutelage_data::{PackedSet, SequenceOrder};
use tutelage_loss::features::FeatureTerm;
use tutelage_loss::{Rewarded, Teacher};
use tutelage_model::Decoder;
use tutelage_run::records::{FeatureRecord, MetricsRecord};
use tutelage_run::{Event, Hash, Observer, StopFlag};

use crate::checkpoint::{self, Hashes, State};
use crate::metrics::{Interval, Lengths, Recorder};
use crate::on_policy::{Continue, StepBatches, Texts};
use crate::online::{Learners, Online, Tutor};
use crate::{Learner, Losses, StepOutcome, TrainConfig, TrainError};

/// Why a model could not be kept.
pub type SnapshotError = Box<dyn Error + Send + Sync>;

/// What a training is given.
pub struct Job<'a> {
    /// What it is trained on.
    pub set: &'a PackedSet,
    /// Numbers of the routes whose documents it is trained on, if not on all.
    pub routes: Option<&'a [u16]>,
    /// How.
    pub config: &'a TrainConfig,
    /// Who teaches it.
    pub teacher: Option<&'a dyn Teacher>,
    /// A teacher that learns, in the place of one that does not.
    pub online: Option<Online<'a>>,
    /// Where checkpoints and metrics go.
    pub folder: &'a Path,
    /// Hash of everything that shapes the result.
    pub fingerprint: &'a Hash,
    /// Held-out loss of a model, nats per token.
    pub evaluate: &'a mut (dyn FnMut(&Decoder) -> f64 + 'a),
    /// Keeps the model of a step that is among the configuration's snapshots.
    pub snapshot: &'a mut (dyn FnMut(&Decoder, u64) -> Result<(), SnapshotError> + 'a),
    /// Lets the model continue texts, where the configuration says that it learns from its own.
    pub continue_texts: &'a Continue<'a>,
    /// Name of the stage, for events.
    pub stage: &'a str,
    /// What it does, for events.
    pub detail: &'a str,
}

/// How a training ended.
#[derive(Debug)]
pub enum Outcome {
    /// At its last step.
    Done {
        /// The model.
        model: Box<Decoder>,
        /// The teacher's, if that has learned too.
        teacher: Option<Box<Decoder>>,
        /// What it cost.
        stats: TrainStats,
    },
    /// It was asked to stop; a checkpoint of this many steps is saved.
    Stopped {
        /// Steps done.
        step: u64,
    },
}

/// What a training cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainStats {
    /// Tokens trained on.
    pub tokens: u64,
    /// Seconds, over all interruptions.
    pub seconds: f64,
}

/// Trains `model`, which has its first values, to the last step, from the newest whole checkpoint in the folder if there is one.
///
/// # Errors
/// When a checkpoint does not belong to this training, the loss stops being a number, or a file or the teacher
/// fails.
pub fn train(
    model: Decoder,
    mut job: Job<'_>,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, TrainError> {
    let config = job.config;
    let mut learners = Learners { student: Learner::new(model, config), tutor: job.online.take().map(Tutor::new) };
    let checkpoints = job.folder.join("checkpoints");
    let mut note = |text: &str| observer.event(&Event::Note(text));
    let resumed =
        checkpoint::resume(&checkpoints, job.config.keep_checkpoints, job.fingerprint, &mut learners, &mut note)?;
    let rewarded = job.teacher.and_then(Teacher::rewarded);
    if let (Some(state), Some(rewarded)) = (&resumed, rewarded) {
        rewarded.restore(&state.rewarded)?;
    }
    let mut at = resumed.as_ref().map_or(Progress::default(), Progress::of);
    let lengths = resumed.as_ref().map_or(Lengths::default(), |s| s.lengths);
    let mut recorder = Recorder::open(job.folder, lengths, (at.step, at.tokens, at.seconds))?;
    let mut order = SequenceOrder::new(job.set.n_sequences(), config.data_seed);
    let (total, done) = (Some(config.steps), at.step);
    observer.event(&Event::StageStarted { stage: job.stage, detail: job.detail, total, done });

    let mut saved = resumed.map(|s| s.step);
    while at.step < config.steps {
        if stop.is_raised() {
            if saved != Some(at.step) {
                save(&job, &checkpoints, &learners, &at, &mut recorder)?;
            }
            return Ok(Outcome::Stopped { step: at.step });
        }
        let indices = order.step(at.step, config.batch_size);
        let texts = Texts { set: job.set, routes: job.routes };
        let batches = match config.on_policy() {
            Some(own) => StepBatches::partly_own(texts, &indices, (config, own), at.step, |prompts| {
                (job.continue_texts)(learners.student.model(), prompts)
            }),
            None => StepBatches::of_text(texts, &indices, config.micro_batch_size),
        };
        let (result, of_tutor) = learners.step(&batches, config, at.step, job.teacher)?;
        for (whose, result) in [("", Some(&result)), ("teacher's ", of_tutor.as_ref())] {
            if let Some(wrong) = result.filter(|result| !result.updated) {
                return Err(diverged((whose, wrong), at.step, saved, &checkpoints));
            }
        }
        at.interval.add(result.losses, result.balance, of_tutor.map(|result| result.losses));
        at.tokens += result.tokens;
        at.step += 1;
        report(&mut job, learners.student.model(), &mut at, result.grad_norm, &mut recorder, observer)?;
        // Before the checkpoint: going on from that one, it is there.
        if config.snapshots.contains(&at.step) {
            (job.snapshot)(learners.student.model(), at.step)
                .map_err(|source| TrainError::Snapshot { step: at.step, source })?;
        }
        if at.step.is_multiple_of(config.checkpoint_every) || at.step == config.steps {
            save(&job, &checkpoints, &learners, &at, &mut recorder)?;
            saved = Some(at.step);
        }
    }
    if let Some(rewarded) = rewarded {
        observer.event(&Event::Note(&format!("{}: {}", job.stage, rewarded.describe())));
    }
    let stats = TrainStats { tokens: at.tokens, seconds: recorder.seconds() };
    let Learners { student, tutor } = learners;
    let teacher = tutor.map(|tutor| Box::new(tutor.learner.into_model()));
    Ok(Outcome::Done { model: Box::new(student.into_model()), teacher, stats })
}

fn diverged(
    (whose, result): (&'static str, &StepOutcome),
    step: u64,
    saved: Option<u64>,
    checkpoints: &Path,
) -> TrainError {
    let kept = match saved {
        Some(step) => format!("the checkpoint of step {step} is kept in {}", checkpoints.display()),
        None => "no checkpoint was written yet".to_owned(),
    };
    let (what, value) = match result.losses.loss.is_finite() {
        false => ("loss", result.losses.loss),
        true => ("gradient norm", result.grad_norm),
    };
    TrainError::Diverged { step: step + 1, whose, what, value, kept }
}

/// Where a training stands.
#[derive(Debug, Clone, Default)]
struct Progress {
    step: u64,
    tokens: u64,
    seconds: f64,
    interval: Interval,
}

impl Progress {
    fn of(state: &State) -> Self {
        Self { step: state.step, tokens: state.tokens, seconds: state.seconds, interval: state.interval }
    }
}

fn save(
    job: &Job<'_>,
    checkpoints: &Path,
    learners: &Learners<'_>,
    at: &Progress,
    recorder: &mut Recorder,
) -> Result<(), TrainError> {
    let lengths = recorder.sync()?;
    let seconds = recorder.seconds();
    checkpoint::save(
        checkpoints,
        learners,
        job.config.keep_checkpoints,
        at.step,
        |Hashes { model, optimizer, teacher }| State {
            format: State::format(),
            fingerprint: job.fingerprint.clone(),
            step: at.step,
            tokens: at.tokens,
            seconds,
            interval: at.interval,
            lengths,
            model,
            optimizer,
            teacher,
            rewarded: job.teacher.and_then(Teacher::rewarded).map_or(Vec::new(), Rewarded::state),
        },
    )
}

/// What is compared inside of both models: means, and the weights of step `step` (from zero).
fn feature_records(config: &TrainConfig, means: Losses, step: u64) -> BTreeMap<String, FeatureRecord> {
    let terms = config.distillation.as_ref().map_or(Vec::new(), |d| d.features_at(step, config.steps));
    let record = |term: FeatureTerm| {
        let value = means.features[term.kind.index()];
        (term.kind.name().to_owned(), FeatureRecord { value, weight: term.weight })
    };
    terms.into_iter().map(record).collect()
}

/// Tells the observer, and writes a line where one is due.
fn report(
    job: &mut Job<'_>,
    model: &Decoder,
    at: &mut Progress,
    grad_norm: f64,
    recorder: &mut Recorder,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let config = job.config;
    let last = at.step == config.steps;
    let means = at.interval.means();
    let speed = recorder.tokens_per_second(at.tokens);
    let note = format!("loss {:.3}, {:.1}k tokens/s", means.loss, speed / 1000.0);
    observer.event(&Event::Progress { done: at.step, note: &note });
    let evaluated = config.eval_every > 0 && (at.step.is_multiple_of(config.eval_every) || last);
    if !(at.step.is_multiple_of(config.log_every) || evaluated || last) {
        return Ok(());
    }
    // The values of the step just done.
    let taught = config.distillation.as_ref();
    let objective = taught.map(|d| d.at(at.step - 1, config.steps));
    let record = MetricsRecord {
        step: at.step,
        tokens: at.tokens,
        loss: means.loss,
        lm_loss: at.interval.lm(),
        kd_loss: taught.and_then(|_| at.interval.kd()),
        kl: taught.map(|_| means.kl),
        taught: objective
            .filter(|objective| {
                objective.guided
                    || objective.divergence.is_of_own_tokens()
                    || job.teacher.is_some_and(|t| t.rewarded().is_some())
            })
            .map(|_| means.taught),
        own: taught.filter(|taught| taught.on_policy.is_some()).map(|_| means.own),
        features: feature_records(config, means, at.step - 1),
        balance_loss: at.interval.balance(),
        teacher_lm_loss: at.interval.tutor().map(|losses| losses.lm),
        teacher_kd_loss: at.interval.tutor().map(|losses| losses.kd),
        lr: config.lr.at(at.step - 1, config.steps),
        text_weight: objective.map(|objective| objective.text),
        teacher_weight: objective.map(|objective| objective.teacher),
        temperature: objective.and_then(|objective| objective.temperature.fixed()),
        grad_norm,
        heldout_loss: evaluated.then(|| (job.evaluate)(model)),
    };
    let flops = model.training_flops(job.set.seq_len()) + config.teacher_flops;
    recorder.write(&record, flops)?;
    at.interval = Interval::default();
    Ok(())
}
