//! How a model that writes is kept, as flags of several commands.

use std::path::PathBuf;

use tutelage_recipe::{ModelChoice, Weights};

/// Flags of a model that writes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ModelArgs {
    /// How to keep weights, and what to compute in
    #[arg(long, default_value = "bf16")]
    dtype: Dtype,
    /// A smaller model of the same vocabulary that proposes what comes next; faster where it is often right, and not a bit of
    /// the text is another
    #[arg(long, value_name = "MODEL")]
    pub(crate) draft: Option<PathBuf>,
    /// Tokens that --draft proposes at a time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32), requires = "draft")]
    pub(crate) draft_tokens: u8,
}

impl ModelArgs {
    /// A model with these flags.
    pub(crate) fn of(&self, path: PathBuf) -> ModelChoice {
        let draft = self.draft.clone().map(|draft| (draft, usize::from(self.draft_tokens)));
        ModelChoice { path, weights: self.dtype.weights(), draft }
    }
}

/// What a model is computed in.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Dtype {
    /// Weights and activations in bf16, sums in f32
    Bf16,
    /// All in f32
    F32,
    /// Matrices in 8 bits, in groups of 32
    Int8,
    /// Matrices in 4 bits, in groups of 32; the last one, which gives logits, in 8
    Int4,
}

impl Dtype {
    pub(crate) fn weights(self) -> Weights {
        match self {
            Dtype::Bf16 => Weights::Bf16,
            Dtype::F32 => Weights::F32,
            Dtype::Int8 => Weights::Int8,
            Dtype::Int4 => Weights::Int4,
        }
    }
}
