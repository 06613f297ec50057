//! What a student is compared with a teacher in inside of both: projections, and the losses of a forward pass.

use std::sync::{Arc, Mutex, PoisonError};

use tutelage_data::Batch;
use tutelage_loss::features::{Feature, FeatureKind, FeatureTerm, Tap, TapKind, TapSegments, attention_kl, learned};
use tutelage_model::{AttentionInput, Decoder, Probe};
use tutelage_run::RandomStream;
use tutelage_tensor::kernels::attention::kl::Compared;
use tutelage_tensor::{ParamId, Tape, Tensor, Var};

use crate::TrainConfig;

/// Maps from the student's width to the teacher's. They stand beside the student's weights while it learns.
#[derive(Debug)]
pub(crate) struct Projections {
    /// Of each kind and each of its pairs, where the kind has projections.
    ids: Vec<(FeatureKind, Vec<ParamId>)>,
    /// Parameters of the model itself.
    n_params: usize,
}

impl Projections {
    /// Adds what the configuration asks for to a model: normal, with a deviation of one over the root of the student's width. Each
    /// has its own random stream, named after it.
    pub(crate) fn add(model: &mut Decoder, config: &TrainConfig) -> Self {
        let d_student = model.config().d_model;
        let params = model.params_mut();
        let n_params = params.iter().len();
        let mut ids = Vec::new();
        for feature in config.distillation.iter().flat_map(|distillation| &distillation.features) {
            let Some(d_teacher) = feature.projection else { continue };
            let one = |(student, teacher): &(usize, usize)| {
                let name = format!("features.{}.{student}.{teacher}.projection", feature.kind.name());
                let mut stream = RandomStream::new(config.data_seed, &format!("init {name}"));
                let std = (d_student as f64).sqrt().recip();
                let values: Vec<f32> = (0..d_teacher * d_student).map(|_| (stream.normal() * std) as f32).collect();
                params.push(name, [d_teacher, d_student], &values)
            };
            ids.push((feature.kind, feature.pairs.iter().map(one).collect()));
        }
        Self { ids, n_params }
    }

    /// Takes them away again.
    pub(crate) fn remove(&self, model: &mut Decoder) {
        model.params_mut().truncate(self.n_params);
    }

    fn of(&self, kind: FeatureKind, pair: usize) -> Option<ParamId> {
        self.ids.iter().find(|(own, _)| *own == kind).map(|(_, ids)| ids[pair])
    }
}

/// The taps that a teacher is asked for, pair by pair, kind by kind.
pub(crate) fn taps(terms: &[FeatureTerm]) -> Vec<Tap> {
    let of = |term: &FeatureTerm| {
        let kind = term.kind.tap();
        term.pairs.iter().map(move |&(_, layer)| Tap { layer, kind }).collect::<Vec<_>>()
    };
    terms.iter().flat_map(of).collect()
}

/// Rows and documents of a whole step that are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    rows: usize,
    documents: usize,
}

impl Counts {
    pub(crate) fn of<'b>(batches: impl Iterator<Item = &'b Batch>) -> Self {
        let mut out = Self::default();
        for batch in batches {
            out.rows += batch.n_targets();
            out.documents += TapKind::Means.segments(&batch.labels, &batch.documents).n();
        }
        out
    }

    fn divisor(self, term: &FeatureTerm, n_heads: usize) -> f64 {
        let pairs = term.pairs.len();
        match term.kind.tap() {
            TapKind::Rows => (self.rows.max(1) * pairs) as f64,
            TapKind::Means => (self.documents.max(1) * pairs) as f64,
            TapKind::Maps => attention_kl::divisor(self.rows, n_heads, pairs),
        }
    }
}

/// The losses of one forward pass.
pub(crate) struct FeatureLosses {
    pairs: Vec<Pair>,
    segments: TapSegments,
    compared: Compared,
    /// Value of each pair, already divided: a block that is computed again writes the same once more.
    values: Mutex<Vec<f64>>,
}

struct Pair {
    kind: FeatureKind,
    /// Layer of the student, see [`Tap::layer`].
    layer: usize,
    projection: Option<ParamId>,
    target: Feature,
    divisor: f64,
    weight: f64,
    relative: bool,
}

impl FeatureLosses {
    /// `features` are the teacher's, in the order of [`taps`].
    pub(crate) fn new(
        terms: &[FeatureTerm],
        projections: &Projections,
        (batch, counts): (&Batch, Counts),
        n_heads: usize,
        features: Vec<Feature>,
    ) -> Self {
        let mut features = features.into_iter();
        let mut pairs = Vec::new();
        for term in terms {
            let (kind, divisor, weight) = (term.kind, counts.divisor(term, n_heads), term.weight);
            let own = term.pairs.iter().enumerate().zip(features.by_ref());
            pairs.extend(own.map(|((i, &(layer, _)), target)| {
                let projection = projections.of(kind, i);
                Pair { kind, layer, projection, target, divisor, weight, relative: term.relative }
            }));
        }
        let (labels, documents) = (&batch.labels, &batch.documents);
        Self {
            segments: TapSegments::new(labels, documents),
            compared: Compared { documents: documents.clone().into(), chosen: learned(labels).into(), scale: 0.0 },
            values: Mutex::new(vec![0.0; pairs.len()]),
            pairs,
        }
    }

    /// Mean of each kind, as far as these rows go.
    pub(crate) fn values(&self) -> [f64; FeatureKind::N] {
        let mut out = [0.0; FeatureKind::N];
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        self.pairs.iter().zip(&*values).for_each(|(pair, value)| out[pair.kind.index()] += value);
        out
    }

    fn note(&self, pair: usize, sum: f64) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)[pair] = sum / self.pairs[pair].divisor;
    }

    fn of_rows(&self, tape: &mut Tape<'_>, pair: &Pair, x: &Var, target: &Tensor) -> f64 {
        let segments = self.segments.of(pair.kind.tap());
        let Some(objective) = pair.kind.of_rows((pair.weight / pair.divisor) as f32, pair.relative) else { return 0.0 };
        if segments.n() == 0 {
            return 0.0;
        }
        let own = tape.segment_means(x, segments);
        let projected = pair.projection.map(|projection| tape.linear(&own, projection));
        tape.feature_loss(projected.as_ref().unwrap_or(&own), target, &*objective)
    }
}

impl Probe for FeatureLosses {
    fn hidden(&self, tape: &mut Tape<'_>, n_blocks: usize, x: &Var) {
        for (i, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| pair.layer == n_blocks) {
            if let Feature::Rows(target) = &pair.target {
                self.note(i, self.of_rows(tape, pair, x, target));
            }
        }
    }

    fn attention(&self, tape: &mut Tape<'_>, block: usize, attention: AttentionInput<'_>) {
        for (i, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| pair.layer == block) {
            if let Feature::Maps(teacher) = &pair.target {
                let compared = Compared { scale: (pair.weight / pair.divisor) as f32, ..self.compared.clone() };
                let teacher = Arc::clone(teacher);
                self.note(i, tape.attention_kl(attention.qkv, attention.maps(), &teacher, &compared));
            }
        }
    }
}
