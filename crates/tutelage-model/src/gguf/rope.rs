//! Rotary scaling in the metadata of a GGUF file: by kind and factor, or as a tensor of what each frequency is divided by.

use super::config::ROPE_FACTORS;
use super::{GgufFile, Value};
use crate::{DecoderConfig, ModelError, RopeScaling};

/// Reads the scaling of heads of this size.
pub(super) fn rope_scaling(
    file: &GgufFile,
    prefix: &str,
    d_head: usize,
    theta: f64,
) -> Result<RopeScaling, ModelError> {
    let key = |name: &str| format!("{prefix}rope.scaling.{name}");
    let fault = |name: &str, fault: &str| file.unsupported(&key(name), fault);
    let factor = || match file.value(&key("factor")) {
        Some(Value::Real(factor)) if *factor > 0.0 => Ok(*factor),
        _ => Err(fault("factor", "expected a positive number")),
    };
    let kind = match file.value(&key("type")) {
        None => "none",
        Some(Value::Text(kind)) => kind.as_str(),
        Some(_) => "",
    };
    let scaling = match kind {
        "none" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: factor()? },
        "yarn" => {
            let original = match file.value(&key("original_context_length")) {
                Some(Value::Integer(original)) => usize::try_from(*original).ok().filter(|&n| n > 0),
                _ => None,
            };
            let wrong = || fault("original_context_length", "expected a length");
            RopeScaling::yarn(factor()?, original.ok_or_else(wrong)?)
        }
        _ => return Err(fault("type", "only \"none\", \"linear\" and \"yarn\" are supported")),
    };
    match (file.has(ROPE_FACTORS), &scaling) {
        (false, _) => Ok(scaling),
        (true, RopeScaling::None) => llama3(file, d_head, theta),
        (true, _) => Err(fault("type", "is not supported beside factors of each frequency (rope_freqs.weight)")),
    }
}

/// Llama 3's scaling by the factors that it makes: those of its published configurations are known.
fn llama3(file: &GgufFile, d_head: usize, theta: f64) -> Result<RopeScaling, ModelError> {
    let found = file.take(ROPE_FACTORS, &[d_head / 2])?;
    let factor = f64::from(found.iter().copied().fold(1.0, f32::max));
    let scaling =
        RopeScaling::Llama3 { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_positions: 8192 };
    let close = |(expected, found): (f32, &f32)| (expected - found).abs() <= 1e-4 * expected;
    match scaling.factors(d_head, theta).into_iter().zip(&found).all(close) {
        true => Ok(scaling),
        false => Err(ModelError::Weights {
            path: file.path().to_path_buf(),
            fault: format!(
                "'{ROPE_FACTORS}' divides frequencies otherwise than Llama 3 does (low_freq_factor 1, high_freq_factor \
                 4, trained on 8192 positions), which is not supported"
            ),
        }),
    }
}

/// Metadata of the scaling, as llama.cpp reads it; Llama 3's is in a tensor.
///
/// # Errors
/// When llama.cpp has no name for it.
pub(super) fn metadata(config: &DecoderConfig) -> Result<Vec<(&'static str, Value)>, ModelError> {
    let text = |kind: &str| ("rope.scaling.type", Value::Text(kind.to_owned()));
    let factor = |factor: f64| ("rope.scaling.factor", Value::Real(factor));
    Ok(match config.rope_scaling {
        // Dynamic: within the trained length, beyond which llama.cpp does not follow.
        RopeScaling::None | RopeScaling::Dynamic { .. } | RopeScaling::Llama3 { .. } => Vec::new(),
        RopeScaling::Linear { factor: by } => vec![text("linear"), factor(by)],
        RopeScaling::Yarn { factor: by, original_max_positions, .. } => {
            if config.rope_scaling != RopeScaling::yarn(by, original_max_positions) {
                let (value, fault) = (format!("{:?}", config.rope_scaling), "llama.cpp knows its defaults alone");
                return Err(ModelError::Config { field: "rope_scaling", value, fault: fault.to_owned() });
            }
            let original = Value::Integer(original_max_positions as i128);
            vec![text("yarn"), factor(by), ("rope.scaling.original_context_length", original)]
        }
    })
}
