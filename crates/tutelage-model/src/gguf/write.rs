//! Writing a GGUF file: version 3, little-endian.

use std::path::Path;

use half::f16;
use tutelage_run::AtomicFile;

use super::Value;
use super::config::{FAMILIES, ROPE_FACTORS, architecture};
use super::quants::Quant;
use super::rope;
use crate::decoder::{Layout, Spec};
use crate::planned::PlannedArrays;
use crate::tensors::{Planned, StoredType};
use crate::{DecoderConfig, Family, ModelError, RopeScaling};

const VERSION: u32 = 3;
const ALIGNMENT: usize = 32;

/// The type of matrices; vectors stay in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufType {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 16 bits, the range of f32.
    Bf16,
    /// 8 bits and a half: 32 numbers share a scale.
    Q8_0,
}

impl GgufType {
    /// All of them.
    pub const ALL: [GgufType; 4] = [GgufType::F32, GgufType::F16, GgufType::Bf16, GgufType::Q8_0];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            GgufType::F32 => "f32",
            GgufType::F16 => "f16",
            GgufType::Bf16 => "bf16",
            GgufType::Q8_0 => "q8_0",
        }
    }

    fn quant(self) -> Quant {
        match self {
            GgufType::F32 => Quant::F32,
            GgufType::F16 => Quant::F16,
            GgufType::Bf16 => Quant::Bf16,
            GgufType::Q8_0 => Quant::Q8_0,
        }
    }

    /// llama.cpp's number for a file whose matrices are mostly of this type (`llama_ftype`).
    fn file_type(self) -> i128 {
        match self {
            GgufType::F32 => 0,
            GgufType::F16 => 1,
            GgufType::Q8_0 => 7,
            GgufType::Bf16 => 32,
        }
    }
}

/// The type of an array: rows that do not divide into blocks are f16 instead, as llama.cpp has it.
fn quant(array: &Planned, kind: GgufType) -> Quant {
    match array.shape[..] {
        [_] => Quant::F32,
        // The router decides: as llama.cpp has it.
        _ if array.name.ends_with("ffn_gate_inp.weight") => Quant::F32,
        _ if kind.quant().bytes(&array.shape).is_none() => Quant::F16,
        _ => kind.quant(),
    }
}

/// Values as bytes of a type that is written; else the first that it does not hold.
fn encode(kind: Quant, values: &[f32]) -> Result<Vec<u8>, f32> {
    match kind {
        Quant::F16 => StoredType::F16.bytes(values),
        Quant::Bf16 => StoredType::Bf16.bytes(values),
        Quant::Q8_0 => {
            let blocks = values.as_chunks::<32>().0.iter();
            Ok(blocks.flat_map(q8_0).collect())
        }
        _ => StoredType::F32.bytes(values),
    }
}

/// A block of Q8_0: the scale in f16, and 32 multiples of it, rounded half away from zero (ggml's reference).
fn q8_0(values: &[f32; 32]) -> [u8; 34] {
    let scale = values.iter().fold(0.0, |most: f32, x| most.max(x.abs())) / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut out = [0; 34];
    out[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (to, x) in out[2..].iter_mut().zip(values) {
        *to = ((x * inverse).round() as i8).cast_unsigned();
    }
    out
}

/// Writes a model whose weights are supplied one after another.
///
/// # Errors
/// When the file cannot be written, or llama.cpp has no architecture that computes the same.
pub(crate) fn write(
    config: &DecoderConfig,
    path: &Path,
    kind: GgufType,
    metadata: Vec<(String, Value)>,
    weight: &mut dyn FnMut(&Spec) -> Result<Vec<f32>, ModelError>,
) -> Result<(), ModelError> {
    let config = as_architecture(config)?;
    let mut arrays = PlannedArrays::new(&config, Layout::Gguf(config.family));
    let mut plan = arrays.plan();
    let factors = config.rope_scaling.factors(config.d_head, config.rope_theta);
    let has_factors = matches!(config.rope_scaling, RopeScaling::Llama3 { .. });
    if has_factors {
        plan.push(Planned { name: ROPE_FACTORS.to_owned(), shape: vec![factors.len()] });
    }
    let mut all = head_metadata(&config, kind)?;
    all.extend(metadata);
    let mut head = Vec::new();
    head.extend(b"GGUF");
    head.extend(VERSION.to_le_bytes());
    head.extend((plan.len() as u64).to_le_bytes());
    head.extend((all.len() as u64).to_le_bytes());
    for (key, value) in &all {
        text(&mut head, key);
        head.extend(type_number(value).to_le_bytes());
        put(&mut head, value);
    }
    let mut offset = 0u64;
    for array in &plan {
        let quant = quant(array, kind);
        text(&mut head, &array.name);
        head.extend((array.shape.len() as u32).to_le_bytes());
        array.shape.iter().rev().for_each(|&n| head.extend((n as u64).to_le_bytes()));
        head.extend(quant.number().to_le_bytes());
        head.extend(offset.to_le_bytes());
        let bytes = quant.bytes(&array.shape).unwrap_or(0);
        offset += bytes.next_multiple_of(ALIGNMENT as u64);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
    let mut file = AtomicFile::create(path)?;
    file.write(&head)?;
    for array in &plan {
        let values = if array.name == ROPE_FACTORS { factors.clone() } else { arrays.values(array, weight)? };
        let mut bytes = encode(quant(array, kind), &values).map_err(|x| ModelError::Weights {
            path: path.to_path_buf(),
            fault: format!("'{}' holds {x:e}, beyond the range of {}; choose bf16", array.name, kind.name()),
        })?;
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        file.write(&bytes)?;
    }
    Ok(file.commit()?)
}

/// The same model as one of llama.cpp's architectures.
fn as_architecture(config: &DecoderConfig) -> Result<DecoderConfig, ModelError> {
    if FAMILIES.contains(&config.family) {
        return Ok(config.clone());
    }
    let refused = |error: ModelError| match error {
        ModelError::Config { field, value, fault } => {
            let fault = format!("{fault}, which is the architecture that GGUF files are written in");
            ModelError::Config { field, value, fault }
        }
        other => other,
    };
    config.converted(Family::Llama).map_err(refused)
}

/// Metadata of the configuration.
fn head_metadata(c: &DecoderConfig, kind: GgufType) -> Result<Vec<(String, Value)>, ModelError> {
    let name = architecture(c.family);
    let whole = |n: usize| Value::Integer(n as i128);
    let mut out = vec![
        ("general.architecture".to_owned(), Value::Text(name.to_owned())),
        ("general.file_type".to_owned(), Value::Integer(kind.file_type())),
    ];
    let mut set = |key: &str, value: Value| out.push((format!("{name}.{key}"), value));
    set("context_length", whole(c.n_positions()));
    set("embedding_length", whole(c.d_model));
    set("block_count", whole(c.n_layers));
    set("feed_forward_length", whole(c.d_ff));
    set("attention.head_count", whole(c.n_heads));
    set("attention.head_count_kv", whole(c.n_kv_heads));
    set("attention.key_length", whole(c.d_head));
    set("attention.value_length", whole(c.d_head));
    set("attention.layer_norm_rms_epsilon", Value::Real(c.norm_eps));
    set("rope.dimension_count", whole(c.d_head));
    set("rope.freq_base", Value::Real(c.rope_theta));
    set("vocab_size", whole(c.vocab_size));
    if let Some(experts) = &c.options.experts {
        set("expert_count", whole(experts.n_experts));
        set("expert_used_count", whole(experts.n_active));
    }
    rope::metadata(c)?.into_iter().for_each(|(key, value)| set(key, value));
    Ok(out)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// GGUF's number of a value's type: u32 for whole numbers (i32 below zero), f32 for reals.
fn type_number(value: &Value) -> u32 {
    match value {
        Value::Integer(n) if *n < 0 => 5,
        Value::Integer(_) => 4,
        Value::Real(_) => 6,
        Value::Bool(_) => 7,
        Value::Text(_) => 8,
        Value::Array(_) => 9,
    }
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Integer(n) if *n < 0 => out.extend((*n as i32).to_le_bytes()),
        Value::Integer(n) => out.extend((*n as u32).to_le_bytes()),
        Value::Real(x) => out.extend((*x as f32).to_le_bytes()),
        Value::Bool(yes) => out.push(u8::from(*yes)),
        Value::Text(value) => text(out, value),
        Value::Array(values) => {
            // Whole numbers of arrays are i32, as llama.cpp reads types of tokens.
            let is_whole = values.iter().all(|value| matches!(value, Value::Integer(_)));
            let kind = if is_whole { 5 } else { values.first().map_or(8, type_number) };
            out.extend(kind.to_le_bytes());
            out.extend((values.len() as u64).to_le_bytes());
            for value in values {
                match value {
                    Value::Integer(n) => out.extend((*n as i32).to_le_bytes()),
                    other => put(out, other),
                }
            }
        }
    }
}
