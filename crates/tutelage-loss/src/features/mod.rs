//! What a student and a teacher are compared in inside of both: hidden states, channels, attention maps.
//!
//! Each kind is a mean: over the learned rows of the whole step (or the documents that have any), over what a row consists of, and
//! over the pairs of layers. So a weight means the same for any number of pairs. A student of another width has a learned projection,
//! which is no part of the model.

pub mod attention_kl;
pub mod channels;
pub mod hidden_cosine;
pub mod hidden_mse;

use std::ops::Range;
use std::sync::Arc;

use tutelage_tensor::Tensor;
use tutelage_tensor::kernels::attention::kl::TeacherMaps;
use tutelage_tensor::kernels::feature_loss::FeatureObjective;
use tutelage_tensor::kernels::segment_means::Segments;

/// A way to compare what is inside two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeatureKind {
    /// [`hidden_mse`].
    HiddenMse,
    /// [`hidden_cosine`].
    HiddenCosine,
    /// [`channels`].
    Channels,
    /// [`attention_kl`].
    AttentionKl,
}

/// What is taken from a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapKind {
    /// The residual stream in every learned row.
    Rows,
    /// Its mean over the learned rows of each document.
    Means,
    /// Attention maps.
    Maps,
}

/// A place in a model, and what is taken from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// For rows and means: after how many blocks, zero for the embeddings. For maps: the block, from one on.
    pub layer: usize,
    /// What.
    pub kind: TapKind,
}

/// What was taken from a teacher.
#[derive(Debug, Clone)]
pub enum Feature {
    /// Rows or means, activations `[n, d_model]`, in the order of [`TapKind::segments`].
    Rows(Tensor),
    /// Attention maps, for all rows.
    Maps(Arc<TeacherMaps>),
}

/// One kind in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTerm {
    /// How models are compared.
    pub kind: FeatureKind,
    /// What the mean is multiplied by.
    pub weight: f64,
    /// Whether a mean square is relative to the teacher's, see [`hidden_mse`]; of no meaning for other kinds.
    pub relative: bool,
    /// Layers of student and teacher, see [`Tap::layer`].
    pub pairs: Vec<(usize, usize)>,
}

impl FeatureKind {
    /// How many there are.
    pub const N: usize = Self::ALL.len();
    /// All.
    pub const ALL: [Self; 4] = [Self::HiddenMse, Self::HiddenCosine, Self::Channels, Self::AttentionKl];

    /// Its name in recipes and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::HiddenMse => "hidden_mse",
            Self::HiddenCosine => "hidden_cosine",
            Self::Channels => "channels",
            Self::AttentionKl => "attention_kl",
        }
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// When there is none: names those there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("unknown comparison '{name}'; one of {}", known()))
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// What is taken from both models for it.
    pub fn tap(self) -> TapKind {
        match self {
            Self::HiddenMse | Self::HiddenCosine => TapKind::Rows,
            Self::Channels => TapKind::Means,
            Self::AttentionKl => TapKind::Maps,
        }
    }

    /// The formula over rows or means, whose gradient is multiplied by `scale`; a mean square may be relative; attention maps have an operation of their own.
    pub fn of_rows(self, scale: f32, relative: bool) -> Option<Box<dyn FeatureObjective>> {
        match self {
            Self::HiddenMse | Self::Channels => Some(Box::new(hidden_mse::HiddenMse { scale, relative })),
            Self::HiddenCosine => Some(Box::new(hidden_cosine::HiddenCosine { scale })),
            Self::AttentionKl => None,
        }
    }
}

impl TapKind {
    /// What is compared with its like: each learned row, or those of a document together.
    pub fn segments(self, labels: &[i32], documents: &[Range<usize>]) -> Segments {
        let chosen = learned(labels);
        match self {
            Self::Rows | Self::Maps => Segments::rows(&chosen),
            Self::Means => Segments::ranges(&chosen, documents),
        }
    }
}

/// What is compared with its like in some rows, by what is taken.
#[derive(Debug, Clone)]
pub struct TapSegments {
    rows: Segments,
    means: Segments,
}

impl TapSegments {
    /// See [`TapKind::segments`].
    pub fn new(labels: &[i32], documents: &[Range<usize>]) -> Self {
        let of = |kind: TapKind| kind.segments(labels, documents);
        Self { rows: of(TapKind::Rows), means: of(TapKind::Means) }
    }

    /// Those of a kind.
    pub fn of(&self, kind: TapKind) -> &Segments {
        match kind {
            TapKind::Rows | TapKind::Maps => &self.rows,
            TapKind::Means => &self.means,
        }
    }
}

/// Rows that are learned from.
pub fn learned(labels: &[i32]) -> Vec<bool> {
    labels.iter().map(|label| *label >= 0).collect()
}
