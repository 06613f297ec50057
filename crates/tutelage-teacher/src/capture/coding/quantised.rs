//! `logprob_compressor`: the first values as they are, a curve through the others, and bins of what the curve leaves.
//!
//! A token's values, in falling order: `exact_k` numbers of `exact_dtype`; a coefficient of `term_dtype` for each of
//! `polynomial_terms`, whose sum over terms of `t` approximates the others, `t` = 0, 1, ... (or from 0 to 1); for each bin a scale
//! and integers of `element_bits`, each row's bytes filled up. With `delta_encoding` all that are differences. Ids follow apart,
//! packed in the same order.

use serde::Deserialize;
use serde_json::Value;

use super::dtype::Dtype;
use super::{bits, check_counts, id_bits};
use crate::cache::Row;

/// As `compression_config.yaml` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    d: usize,
    k: usize,
    exact_k: usize,
    #[serde(default = "float32")]
    exact_dtype: Dtype,
    #[serde(default)]
    polynomial_terms: Option<Vec<Term>>,
    #[serde(default = "float32")]
    term_dtype: Dtype,
    residual_bins: Vec<Bin>,
    #[serde(default = "yes")]
    delta_encoding: bool,
    /// How the writer rounded; what it wrote reads the same.
    #[serde(default, rename = "error_diffusion")]
    _error_diffusion: bool,
    #[serde(default)]
    normalize_t: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Term {
    Power(i32),
    Special(Special),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Special {
    Sqrt,
    Exp,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bin {
    scale_dtype: Dtype,
    element_bits: usize,
    num_elements: usize,
}

fn float32() -> Dtype {
    Dtype::Float32
}

fn yes() -> bool {
    true
}

impl Bin {
    fn element_bytes(&self) -> usize {
        (self.element_bits * self.num_elements).div_ceil(8)
    }

    /// What it adds to the curve.
    fn decode(&self, bytes: &[u8]) -> impl Iterator<Item = f64> {
        let (scale, elements) = bytes.split_at(self.scale_dtype.size());
        let scale = self.scale_dtype.read(scale).next().unwrap_or(f64::NAN);
        let width = self.element_bits;
        bits::unpack(elements, width, self.num_elements).map(move |element| match width {
            1 => (2.0 * element as f64 - 1.0) * scale,
            _ => (element as f64 - (1u64 << (width - 1)) as f64) * scale,
        })
    }
}

/// A way of packing, with its curve's terms at each place.
#[derive(Debug, Clone)]
pub(in super::super) struct Quantised {
    config: Config,
    /// `[k - exact_k, terms]`.
    terms: Vec<f64>,
}

impl Quantised {
    pub(super) fn from_config(config: Value) -> Result<Self, String> {
        let config: Config = serde_json::from_value(config).map_err(|error| error.to_string())?;
        check_counts(config.k, config.exact_k, config.d)?;
        let approximated = config.k - config.exact_k;
        let in_bins: usize = config.residual_bins.iter().map(|bin| bin.num_elements).sum();
        if in_bins > approximated {
            return Err(format!("residual_bins of {in_bins} elements, and {approximated} values that are not exact"));
        }
        if let Some(bin) = config.residual_bins.iter().find(|bin| !(1..=64).contains(&bin.element_bits)) {
            return Err(format!("element_bits = {}: must be from 1 to 64", bin.element_bits));
        }
        let last = approximated.saturating_sub(1).max(1) as f64;
        let dtype = config.term_dtype;
        let at = |t: usize| dtype.round(if config.normalize_t { t as f64 / last } else { t as f64 });
        let value = |term: &Term, t: f64| match term {
            Term::Power(power) => t.powi(*power),
            Term::Special(Special::Sqrt) => t.sqrt(),
            Term::Special(Special::Exp) => t.exp(),
        };
        let all = config.polynomial_terms.iter().flatten();
        let terms = (0..approximated).flat_map(|t| all.clone().map(move |term| dtype.round(value(term, at(t)))));
        let terms = terms.collect();
        Ok(Self { config, terms })
    }

    pub(super) fn k(&self) -> usize {
        self.config.k
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.config.d
    }

    fn n_terms(&self) -> usize {
        self.config.polynomial_terms.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn logprob_bytes(&self) -> usize {
        let config = &self.config;
        let bins = config.residual_bins.iter().map(|bin| bin.scale_dtype.size() + bin.element_bytes());
        config.exact_k * config.exact_dtype.size() + self.n_terms() * config.term_dtype.size() + bins.sum::<usize>()
    }

    pub(super) fn id_bytes(&self) -> usize {
        (self.config.k * id_bits(self.config.d)).div_ceil(8)
    }

    /// Of `logprob_bytes` and `id_bytes`.
    pub(super) fn decode(&self, log_p: &[u8], ids: &[u8]) -> Row {
        let config = &self.config;
        let (exact, rest) = log_p.split_at(config.exact_k * config.exact_dtype.size());
        let (coefficients, mut rest) = rest.split_at(self.n_terms() * config.term_dtype.size());
        let mut values: Vec<f64> = config.exact_dtype.read(exact).collect();
        let coefficients: Vec<f64> = config.term_dtype.read(coefficients).collect();
        let dtype = config.term_dtype;
        match coefficients.len() {
            0 => values.resize(config.k, 0.0),
            n => values.extend(self.terms.chunks_exact(n).map(|terms| {
                // Products and the sum have the type of the coefficients, as they had for who fitted them.
                dtype.round(terms.iter().zip(&coefficients).map(|(term, c)| dtype.round(term * c)).sum())
            })),
        }
        let mut at = config.exact_k;
        for bin in &config.residual_bins {
            let (bytes, others) = rest.split_at(bin.scale_dtype.size() + bin.element_bytes());
            values[at..].iter_mut().zip(bin.decode(bytes)).for_each(|(value, more)| *value += more);
            at += bin.num_elements;
            rest = others;
        }
        if config.delta_encoding {
            let mut sum = 0.0;
            for value in &mut values {
                sum += *value;
                *value = sum;
            }
        }
        let ids = bits::unpack(ids, id_bits(config.d), config.k);
        ids.zip(values).map(|(id, log_p)| (id as u32, log_p as f32)).collect()
    }
}
