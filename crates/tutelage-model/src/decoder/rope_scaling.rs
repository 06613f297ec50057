//! Rotary angles beyond the trained length.
//!
//! Linear interpolation (2306.15595); Llama 3.1's division by wavelength (its published configuration); YaRN (2309.00071,
//! section 3). Field names and defaults are those of transformers' `rope_parameters`, formerly `rope_scaling`.

use std::f64::consts::PI;

use serde_json::{Map, Value, json};
use tutelage_tensor::kernels::attention::RopeTable;

use crate::ModelError;

/// How frequencies differ from `theta^(-2 i / d_head)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// The base grows with the length of a document beyond `max_positions` (NTK-aware, as in transformers).
    Dynamic {
        /// How fast.
        factor: f64,
        /// The trained length.
        max_positions: usize,
    },
    /// Long wavelengths divided by a factor, short ones kept, those between in proportion.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above the trained length over this are divided.
        low_freq_factor: f64,
        /// Wavelengths below the trained length over this are kept.
        high_freq_factor: f64,
        /// The trained length.
        original_max_positions: usize,
    },
    /// Divided for few rotations over the trained length, kept for many; queries and keys are scaled too.
    Yarn {
        /// The factor.
        factor: f64,
        /// Frequencies with more rotations than this are kept.
        beta_fast: f64,
        /// Frequencies with fewer rotations than this are divided.
        beta_slow: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// The trained length.
        original_max_positions: usize,
    },
}

fn fault(name: &str, value: Option<&Value>, fault: &str) -> ModelError {
    ModelError::Config {
        field: "rope_scaling",
        value: format!("{name}: {}", value.map_or("nothing".to_owned(), Value::to_string)),
        fault: fault.to_owned(),
    }
}

/// Rotations above which frequencies are kept, and below which they are divided (2309.00071, section 3.2).
const YARN_BETAS: (f64, f64) = (32.0, 1.0);

/// 2309.00071, equation 22.
fn yarn_attention_factor(factor: f64) -> f64 {
    if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 }
}

/// What a kind may have besides its name, the base and the share of a head.
fn known(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "default" => &[],
        "linear" | "dynamic" => &["factor"],
        "llama3" => &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
        "yarn" => &["factor", "beta_fast", "beta_slow", "attention_factor", "original_max_position_embeddings"],
        _ => return None,
    })
}

impl RopeScaling {
    /// Reads `rope_scaling` or `rope_parameters`.
    ///
    /// # Errors
    /// Names what is missing or not supported.
    pub(super) fn from_json(fields: &Map<String, Value>, max_positions: usize) -> Result<Self, ModelError> {
        let get = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let kind = get("rope_type").or_else(|| get("type"));
        let name = kind.and_then(Value::as_str).unwrap_or("default");
        let unknown = || fault("rope_type", kind, "only default, linear, dynamic, llama3 and yarn are supported");
        let known = known(name).ok_or_else(unknown)?;
        let others = fields.iter().find(|(field, value)| {
            !value.is_null()
                && !known.contains(&field.as_str())
                && !["rope_type", "type", "rope_theta", "partial_rotary_factor"].contains(&field.as_str())
        });
        if let Some((field, value)) = others {
            return Err(fault(field, Some(value), &format!("is not supported with rope_type \"{name}\"")));
        }
        let positive = |field: &str, default: Option<f64>| {
            let value = get(field);
            let found = if value.is_none() { default } else { value.and_then(Value::as_f64) };
            found.filter(|x| x.is_finite() && *x > 0.0).ok_or_else(|| fault(field, value, "expected a positive number"))
        };
        let original = || {
            let field = "original_max_position_embeddings";
            let value = get(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
            value.ok_or_else(|| fault(field, get(field), "expected a length"))
        };
        Ok(match name {
            "linear" => Self::Linear { factor: positive("factor", None)? },
            "dynamic" => Self::Dynamic { factor: positive("factor", None)?, max_positions },
            "llama3" => Self::Llama3 {
                factor: positive("factor", None)?,
                low_freq_factor: positive("low_freq_factor", None)?,
                high_freq_factor: positive("high_freq_factor", None)?,
                original_max_positions: original()?,
            },
            "yarn" => {
                let (factor, original_max_positions) = (positive("factor", None)?, original()?);
                Self::Yarn {
                    factor,
                    beta_fast: positive("beta_fast", Some(YARN_BETAS.0))?,
                    beta_slow: positive("beta_slow", Some(YARN_BETAS.1))?,
                    attention_factor: positive("attention_factor", Some(yarn_attention_factor(factor)))?,
                    original_max_positions,
                }
            }
            _ => Self::None,
        })
    }

    /// YaRN with the paper's other settings.
    pub(crate) fn yarn(factor: f64, original_max_positions: usize) -> Self {
        let (beta_fast, beta_slow) = YARN_BETAS;
        let attention_factor = yarn_attention_factor(factor);
        Self::Yarn { factor, beta_fast, beta_slow, attention_factor, original_max_positions }
    }

    /// What each frequency is divided by, `[d_head / 2]`, where that depends on no length.
    pub(crate) fn factors(&self, d_head: usize, theta: f64) -> Vec<f32> {
        let (scaled, _) = self.frequencies(d_head, theta, 0);
        let plain = RopeTable::frequencies(d_head, theta).into_iter();
        plain.zip(scaled).map(|(plain, scaled)| (plain / scaled) as f32).collect()
    }

    /// `rope_type`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::None => "default",
            Self::Linear { .. } => "linear",
            Self::Dynamic { .. } => "dynamic",
            Self::Llama3 { .. } => "llama3",
            Self::Yarn { .. } => "yarn",
        }
    }

    /// The length that decides the angles of a document: zero if its own does not.
    pub(super) fn rotated_by(&self, len: usize) -> usize {
        match *self {
            Self::Dynamic { max_positions, .. } if len > max_positions => len,
            _ => 0,
        }
    }

    /// Positions that can be rotated to, of a model that says `max_positions`.
    pub(super) fn n_positions(&self, max_positions: usize) -> usize {
        let times = |n: usize, factor: f64| ((n as f64 * factor) as usize).max(max_positions);
        match *self {
            Self::None | Self::Llama3 { .. } => max_positions,
            Self::Linear { factor } | Self::Dynamic { factor, .. } => times(max_positions, factor),
            Self::Yarn { factor, original_max_positions, .. } => times(original_max_positions, factor),
        }
    }

    /// `rope_scaling`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            // Under both names: programs older than `rope_type` know these two kinds.
            Self::Linear { factor } | Self::Dynamic { factor, .. } => {
                json!({ "rope_type": self.name(), "type": self.name(), "factor": factor })
            }
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_positions,
            }),
            Self::Yarn { factor, beta_fast, beta_slow, attention_factor, original_max_positions } => json!({
                "rope_type": "yarn",
                "factor": factor,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "attention_factor": attention_factor,
                "original_max_position_embeddings": original_max_positions,
            }),
        }
    }

    /// Angles a position in a document of `len` tokens, `[d_head / 2]`, and what cosines and sines are multiplied by.
    pub(super) fn frequencies(&self, d_head: usize, theta: f64, len: usize) -> (Vec<f64>, f64) {
        let plain = RopeTable::frequencies(d_head, theta).into_iter();
        match *self {
            Self::None => (plain.collect(), 1.0),
            Self::Linear { factor } => (plain.map(|f| f / factor).collect(), 1.0),
            Self::Dynamic { factor, max_positions } => {
                let longer = len.max(max_positions) as f64 / max_positions as f64;
                let d = d_head as f64;
                let theta = theta * (factor * longer - (factor - 1.0)).powf(d / (d - 2.0));
                (RopeTable::frequencies(d_head, theta), 1.0)
            }
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } => {
                let scaled = plain.map(|f| {
                    // Rotations over the trained length.
                    let rotations = original_max_positions as f64 * f / (2.0 * PI);
                    let kept = (rotations - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let kept = if rotations < low_freq_factor { 0.0 } else { kept.clamp(0.0, 1.0) };
                    (1.0 - kept) * f / factor + kept * f
                });
                (scaled.collect(), 1.0)
            }
            Self::Yarn { factor, beta_fast, beta_slow, attention_factor, original_max_positions } => {
                // Where so many rotations are made over the trained length, as an index.
                let index = |rotations: f64| {
                    d_head as f64 * (original_max_positions as f64 / (rotations * 2.0 * PI)).ln() / (2.0 * theta.ln())
                };
                let (low, high) = (index(beta_fast).floor().max(0.0), index(beta_slow).ceil().min(d_head as f64 - 1.0));
                // A ramp of no length would divide by zero (transformers adds as much).
                let high = if low == high { high + 0.001 } else { high };
                let scaled = plain.enumerate().map(|(i, f)| {
                    let divided = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    divided * f / factor + (1.0 - divided) * f
                });
                (scaled.collect(), attention_factor)
            }
        }
    }
}
