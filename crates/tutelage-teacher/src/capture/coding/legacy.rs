//! `legacy_logit_compression`: the first values in half precision, and a polynomial through the others.
//!
//! Ids are packed into words of 64 bits, as many as fit whole, the first in the lowest bits. The polynomial is in `1, 1/t, 1/t^2, ...`
//! (or `1, t, t^2, ...`) and perhaps the root of `t` = 1, 2, ...

use serde::Deserialize;
use serde_json::Value;

use super::dtype::Dtype;
use super::{check_counts, floats, id_bits};
use crate::cache::Row;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    k: usize,
    exact_k: usize,
    polynomial_degree: usize,
    vocab_size: usize,
    #[serde(default = "yes")]
    invert_polynomial: bool,
    #[serde(default)]
    with_sqrt_term: bool,
    /// How coefficients were rounded; they are stored as f32.
    #[serde(default, rename = "term_dtype")]
    _term_dtype: Option<Dtype>,
}

fn yes() -> bool {
    true
}

/// A way of packing, with its polynomial's terms at each place.
#[derive(Debug, Clone)]
pub(in super::super) struct Legacy {
    config: Config,
    /// `[k - exact_k, terms]`.
    terms: Vec<f64>,
}

impl Legacy {
    pub(super) fn from_config(config: Value) -> Result<Self, String> {
        let config: Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
        check_counts(config.k, config.exact_k, config.vocab_size)?;
        if config.polynomial_degree > 64 {
            return Err(format!("polynomial_degree = {}: must be at most 64", config.polynomial_degree));
        }
        let sign = if config.invert_polynomial { -1 } else { 1 };
        let rounded = |x: f64| Dtype::Float32.round(x);
        let of_place = |t: usize| {
            let t = (t + 1) as f64;
            let powers = (0..=config.polynomial_degree as i32).map(move |power| t.powi(sign * power));
            powers.chain(config.with_sqrt_term.then(|| t.sqrt())).map(rounded).collect::<Vec<_>>()
        };
        let terms = (0..config.k - config.exact_k).flat_map(of_place).collect();
        Ok(Self { config, terms })
    }

    pub(super) fn k(&self) -> usize {
        self.config.k
    }

    pub(super) fn exact_k(&self) -> usize {
        self.config.exact_k
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// None where all values are exact.
    pub(super) fn n_terms(&self) -> usize {
        match self.config.k - self.config.exact_k {
            0 => 0,
            _ => self.config.polynomial_degree + 1 + usize::from(self.config.with_sqrt_term),
        }
    }

    fn ids_per_word(&self) -> usize {
        64 / id_bits(self.config.vocab_size)
    }

    pub(super) fn id_words(&self) -> usize {
        self.config.k.div_ceil(self.ids_per_word())
    }

    /// Of `id_words`, `exact_k` and `n_terms` numbers.
    pub(super) fn decode(&self, ids: &[u8], exact: &[u8], coefficients: &[u8]) -> Row {
        let (bits, per_word) = (id_bits(self.config.vocab_size), self.ids_per_word());
        let words = ids.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let ids = words.flat_map(|word| (0..per_word).map(move |i| (word >> (bits * i)) & ((1 << bits) - 1)));
        let coefficients: Vec<f64> = floats(coefficients).map(f64::from).collect();
        let product = |terms: &[f64]| terms.iter().zip(&coefficients).map(|(term, c)| term * c).sum::<f64>();
        let approximated = self.terms.chunks_exact(self.n_terms().max(1)).map(|terms| product(terms) as f32);
        ids.take(self.config.k).map(|id| id as u32).zip(floats(exact).chain(approximated)).collect()
    }
}
