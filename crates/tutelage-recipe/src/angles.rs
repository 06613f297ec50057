//! How far gradients of truncated and sampled targets point from that of the whole distribution.
//!
//! The gradient of forward KL at temperature 1 with respect to all of a student's weights, over some held-out sequences: the angle to that of
//! the teacher's whole distribution, and the ratio of norms (2503.16870, section 3).

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tutelage_data::{Batch, PackedSet, Shard, Tail};
use tutelage_loss::{Mixture, Objective, SparseTargets, Targets, Teacher};
use tutelage_model::{Decoder, Input, StoredModel};
use tutelage_run::{Event, Observer};
use tutelage_teacher::LiveTeacher;
use tutelage_teacher::cache::{Kept, ModelSource, Source};
use tutelage_tensor::{Grads, Params, Precision, Tape};
use tutelage_train::{TrainError, teacher_input};

use crate::{EngineChoice, RecipeError};

/// What is compared.
#[derive(Debug, Clone)]
pub struct AnglesRequest<'a> {
    /// A run whose shards are read, and whose models are named.
    pub run: &'a Path,
    /// Name of the run's model that learns.
    pub student: &'a str,
    /// Name of the run's model that teaches.
    pub teacher: &'a str,
    /// Held-out sequences.
    pub sequences: usize,
    /// Entries kept, one after another: the most likely ones, and those with a tail.
    pub top_k: &'a [usize],
    /// Draws, one after another.
    pub samples: &'a [usize],
}

/// One kind of target beside the whole distribution.
#[derive(Debug, Clone, Serialize)]
pub struct Angle {
    /// What is kept, in words.
    pub target: String,
    /// Entries a token.
    pub entries_per_token: f64,
    /// Degrees between its gradient and that of the whole distribution.
    pub degrees: f64,
    /// Its norm over that of the whole distribution.
    pub norm_ratio: f64,
    /// Tokens learned from.
    pub tokens: u64,
}

/// Compares gradients, in f32.
///
/// # Errors
/// When the run has no such models, or its shards are damaged.
pub fn angles(
    request: &AnglesRequest<'_>,
    engine: &EngineChoice,
    observer: &mut dyn Observer,
) -> Result<Vec<Angle>, RecipeError> {
    let device = engine.device()?;
    let folder = |name: &str| request.run.join("models").join(name).join("model");
    let model = Decoder::load(&folder(request.student), &device, Precision::F32)?;
    let teacher = StoredModel::open(&folder(request.teacher))?.decoder(Params::frozen(&device, Precision::F32))?;
    let shard = Arc::new(Shard::open(&request.run.join("shards").join("heldout"))?);
    let (vocabulary, seq_len) = (shard.manifest().vocab_size as usize, model.config().n_positions());
    let most = model.config().vocab_size.min(teacher.config().vocab_size);
    if vocabulary > most {
        let found = format!("the shards have {vocabulary} tokens, the models {most} rows for them");
        return Err(RecipeError::request(found));
    }
    let seq_len = seq_len.min(teacher.config().n_positions());
    let set = PackedSet::new(shard, seq_len, None, Tail::Keep)?;
    let n = request.sequences.min(set.n_sequences());
    let batches: Vec<Batch> = (0..n).map(|i| Batch::new(&set, &[i * set.n_sequences() / n.max(1)])).collect();
    let tokens: u64 = batches.iter().map(|batch| batch.n_targets() as u64).sum();
    if tokens == 0 {
        return Err(RecipeError::request("no sequence has a token to learn"));
    }

    let mut kinds = Vec::new();
    for &k in request.top_k {
        kinds.push((format!("top-{k}"), Kept::TopPK { top_p: 1.0, top_k: k }, false));
        kinds.push((format!("top-{k} and tail"), Kept::TopPK { top_p: 1.0, top_k: k }, true));
    }
    kinds.extend(request.samples.iter().map(|&n| (format!("{n} samples"), Kept::Samples { n, seed: 0 }, false)));
    let total = Some(1 + kinds.len() as u64);
    observer.event(&Event::StageStarted { stage: "angles", detail: "gradients of KL", total, done: 0 });
    let live = LiveTeacher::new(teacher, vocabulary);
    let from_all = |batch: &Batch| {
        let targets = live.targets(teacher_input(batch)).map_err(TrainError::from)?;
        Ok((targets, Objective::mix(1.0)))
    };
    let whole = gradient(&model, &batches, tokens, from_all)?;
    observer.event(&Event::Progress { done: 1, note: "" });
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    let norm_whole = dot(&whole, &whole).sqrt();
    let rows: usize = batches.iter().map(|batch| batch.ids.len()).sum();
    let mut out = Vec::new();
    for (i, (target, kept, tail)) in kinds.into_iter().enumerate() {
        let entries = std::cell::Cell::new(0);
        let from_kept = |batch: &Batch| {
            let mut source = ModelSource { teacher: live.model(), kept: kept.clone(), vocabulary };
            let mut rows = SparseTargets::new();
            source.rows(batch)?.into_iter().for_each(|row| rows.push_row(row));
            entries.set(entries.get() + rows.ids.len());
            let targets = match kept {
                Kept::TopPK { .. } => Targets::TopPK(rows),
                Kept::Samples { .. } => Targets::Samples(rows),
            };
            Ok((targets, Objective { tail, ..Objective::mix(1.0) }))
        };
        let found = gradient(&model, &batches, tokens, from_kept)?;
        let norm = dot(&found, &found).sqrt();
        let cosine = dot(&found, &whole) / (norm * norm_whole).max(f64::MIN_POSITIVE);
        out.push(Angle {
            target,
            entries_per_token: entries.get() as f64 / rows as f64,
            degrees: cosine.clamp(-1.0, 1.0).acos().to_degrees(),
            norm_ratio: norm / norm_whole.max(f64::MIN_POSITIVE),
            tokens,
        });
        observer.event(&Event::Progress { done: 2 + i as u64, note: "" });
    }
    Ok(out)
}

/// Of the mean over all tokens with respect to all weights that learn, end to end.
fn gradient<'t>(
    model: &Decoder,
    batches: &[Batch],
    tokens: u64,
    targets: impl Fn(&Batch) -> Result<(Targets<'t>, Objective), RecipeError>,
) -> Result<Vec<f32>, RecipeError> {
    let params = model.params();
    let mut grads = Grads::zeros(params);
    for batch in batches {
        let (targets, objective) = targets(batch)?;
        let mixture = Mixture { objective, ..Mixture::text(&batch.labels, 1.0 / tokens as f32) };
        let mut tape = Tape::training(params);
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let hidden = model.hidden(&mut tape, input);
        let objective = mixture.with_targets(&targets);
        tape.linear_loss_backward(&hidden, model.head(), targets.live(), &objective, &mut grads);
    }
    grads.settle();
    Ok(params.learned().flat_map(|(id, param)| grads.to_vec(id, param.values().len())).collect())
}
