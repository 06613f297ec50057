//! Sizes of a step, by name.

use serde::Serialize;
use tutelage_model::{DecoderConfig, ExpertOptions, Family, Options, RopeScaling};

use crate::BenchError;

/// Sizes of a training step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key-value heads.
    pub n_kv_heads: usize,
    /// Width of the gated feed-forward.
    pub d_ff: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Sequences of a step.
    pub batch_size: usize,
    /// Tokens of a sequence.
    pub seq_len: usize,
    /// Experts in place of each feed-forward, and how many of them a token goes to.
    pub experts: Option<(usize, usize)>,
}

/// `(name, [d_model, n_layers, n_heads, n_kv_heads, d_ff, vocab_size, batch_size, seq_len])`.
const NAMED: [(&str, [usize; 8]); 6] = [
    ("s16m", [384, 6, 6, 2, 1024, 8192, 8, 256]),
    ("s16m-v92k", [384, 6, 6, 2, 1024, 92_544, 8, 256]),
    ("s40m", [512, 8, 8, 4, 1408, 16_000, 4, 512]),
    ("s110m", [768, 12, 12, 4, 2048, 32_000, 2, 1024]),
    ("s110m-8k", [768, 12, 12, 4, 2048, 32_000, 1, 8192]),
    ("quickstart", [192, 4, 6, 2, 512, 2048, 4, 256]),
];

impl Shape {
    /// The names there are.
    pub fn names() -> Vec<&'static str> {
        NAMED.iter().map(|(name, _)| *name).collect()
    }

    /// The shape of that name; or eight numbers with commas between: `d_model, n_layers, n_heads, n_kv_heads,
    /// d_ff, vocab_size, batch_size, seq_len`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, BenchError> {
        if let Some((name, sizes)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(Self::of(name, sizes));
        }
        let numbers: Option<Vec<usize>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
        match numbers.and_then(|n| <[usize; 8]>::try_from(n).ok()) {
            Some(sizes) if sizes.iter().all(|&n| n > 0) => Ok(Self::of(text, &sizes)),
            _ => Err(BenchError::Request(format!(
                "unknown shape '{text}'; one of {}, or D_MODEL,N_LAYERS,N_HEADS,N_KV_HEADS,D_FF,VOCAB_SIZE,\
                 BATCH_SIZE,SEQ_LEN",
                Self::names().join(", ")
            ))),
        }
    }

    fn of(name: &str, sizes: &[usize; 8]) -> Self {
        let &[d_model, n_layers, n_heads, n_kv_heads, d_ff, vocab_size, batch_size, seq_len] = sizes;
        Self {
            name: name.to_owned(),
            d_model,
            n_layers,
            n_heads,
            n_kv_heads,
            d_ff,
            vocab_size,
            batch_size,
            seq_len,
            experts: None,
        }
    }

    /// The same with experts.
    #[must_use]
    pub fn with_experts(self, experts: Option<(usize, usize)>) -> Self {
        Self { experts, ..self }
    }

    /// The model of this shape.
    pub fn config(&self) -> DecoderConfig {
        DecoderConfig {
            family: if self.experts.is_some() { Family::Mixtral } else { Family::InternLm2 },
            vocab_size: self.vocab_size,
            d_model: self.d_model,
            n_layers: self.n_layers,
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            d_head: self.d_model / self.n_heads,
            d_ff: self.d_ff,
            tied_embeddings: false,
            options: Options {
                experts: self.experts.map(|(n_experts, n_active)| ExpertOptions { n_experts, n_active, balance: 0.01 }),
                ..Options::default()
            },
            max_positions: self.seq_len,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            norm_eps: 1e-5,
            init_std: 0.02,
            bos: Some(0),
            eos: 0,
            more_eos: Vec::new(),
        }
    }

    /// A teacher of twice the width.
    pub fn teacher_config(&self) -> DecoderConfig {
        DecoderConfig {
            d_model: 2 * self.d_model,
            n_heads: 2 * self.n_heads,
            n_kv_heads: 2 * self.n_kv_heads,
            d_ff: 2 * self.d_ff,
            ..self.config()
        }
    }

    /// Tokens of a step.
    pub fn tokens(&self) -> usize {
        self.batch_size * self.seq_len
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn names_and_numbers_are_read() {
        for name in Shape::names() {
            assert!(Shape::parse(name).unwrap().config().validate().is_ok(), "{name}");
        }
        let own = Shape::parse("64, 2, 4, 2, 96, 500, 3, 32").unwrap();
        assert_eq!((own.d_model, own.seq_len, own.tokens()), (64, 32, 96));
        for wrong in ["s17m", "64,2,4", "64,2,4,2,96,500,3,0", ""] {
            assert!(Shape::parse(wrong).unwrap_err().is_request(), "{wrong}");
        }
    }
}
