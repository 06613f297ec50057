//! Writing, an array at a time.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;
use tutelage_run::{AtomicFile, FileError, Hash, hash_file, write_json};

use super::hash_of_files;
use crate::ModelError;

/// An array with a name: `(name, shape, values)`.
pub type Named<'a> = (String, Vec<usize>, &'a [f32]);

/// The type that weights are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, the range of f32.
    Bf16,
    /// 16 bits, more digits and less range.
    F16,
}

impl StoredType {
    /// All of them.
    pub const ALL: [StoredType; 3] = [StoredType::F32, StoredType::Bf16, StoredType::F16];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            StoredType::F32 => "f32",
            StoredType::Bf16 => "bf16",
            StoredType::F16 => "f16",
        }
    }

    /// As `config.json` has it.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            StoredType::F32 => "float32",
            StoredType::Bf16 => "bfloat16",
            StoredType::F16 => "float16",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            StoredType::F32 => Dtype::F32,
            StoredType::Bf16 => Dtype::BF16,
            StoredType::F16 => Dtype::F16,
        }
    }

    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        if self == StoredType::F32 { 4 } else { 2 }
    }

    /// The values' bytes, little-endian; else the first that this type does not hold.
    pub(crate) fn bytes(self, values: &[f32]) -> Result<Vec<u8>, f32> {
        Ok(match self {
            StoredType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            StoredType::Bf16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
            StoredType::F16 => {
                if let Some(&x) = values.iter().find(|&&x| x.is_finite() && f16::from_f32(x).is_infinite()) {
                    return Err(x);
                }
                values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
            }
        })
    }
}

/// An array to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

impl Planned {
    fn bytes(&self, dtype: StoredType) -> usize {
        self.shape.iter().product::<usize>() * dtype.size()
    }
}

/// Writes f32 arrays as a safetensors file; returns its hash.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors(path: &Path, arrays: &[Named<'_>]) -> Result<Hash, ModelError> {
    let mut order: Vec<&Named<'_>> = arrays.iter().collect();
    order.sort_by(|a, b| a.0.cmp(&b.0));
    let plan: Vec<Planned> = order.iter().map(|a| Planned { name: a.0.clone(), shape: a.1.clone() }).collect();
    let mut values = order.iter().map(|a| a.2.to_vec());
    write_file(path, &plan, StoredType::F32, &mut |_| Ok(values.next().unwrap_or_default()))
}

/// Writes arrays as `model.safetensors`, or, beyond `max_bytes`, as several files with an index; `values` is asked for
/// one array at a time. Returns the hash of the files.
///
/// # Errors
/// When a file cannot be written, or a value does not fit into the type.
pub(crate) fn write_folder(
    folder: &Path,
    plan: &[Planned],
    (dtype, max_bytes): (StoredType, u64),
    values: &mut dyn FnMut(&Planned) -> Result<Vec<f32>, ModelError>,
) -> Result<Hash, ModelError> {
    let mut shards: Vec<Vec<Planned>> = Vec::new();
    let (mut last, mut total) = (u64::MAX, 0);
    for array in plan {
        let bytes = array.bytes(dtype) as u64;
        total += bytes;
        if last.saturating_add(bytes) > max_bytes {
            shards.push(Vec::new());
            last = 0;
        }
        last += bytes;
        shards.last_mut().into_iter().for_each(|shard| shard.push(array.clone()));
    }
    if let [shard] = &shards[..] {
        return write_file(&folder.join("model.safetensors"), shard, dtype, values);
    }
    let (mut hashes, mut weight_map) = (Vec::new(), BTreeMap::new());
    for (i, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        hashes.push(write_file(&folder.join(&name), shard, dtype, values)?);
        weight_map.extend(shard.iter().map(|array| (array.name.clone(), name.clone())));
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
    write_json(&folder.join("model.safetensors.index.json"), &index)?;
    Ok(hash_of_files(&hashes))
}

fn write_file(
    path: &Path,
    plan: &[Planned],
    dtype: StoredType,
    values: &mut dyn FnMut(&Planned) -> Result<Vec<f32>, ModelError>,
) -> Result<Hash, ModelError> {
    let wrong = |error: String| FileError::content(path, format!("cannot be written: {error}"));
    let mut offset = 0;
    let infos = plan.iter().map(|array| {
        let from = offset;
        offset += array.bytes(dtype);
        let info = TensorInfo { dtype: dtype.dtype(), shape: array.shape.clone(), data_offsets: (from, offset) };
        (array.name.clone(), info)
    });
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let header = Metadata::new(Some(format), infos.collect()).map_err(|error| wrong(error.to_string()))?;
    let mut header = serde_json::to_vec(&header).map_err(|error| wrong(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = AtomicFile::create(path)?;
    file.write(&(header.len() as u64).to_le_bytes())?;
    file.write(&header)?;
    for array in plan {
        let bytes = dtype.bytes(&values(array)?).map_err(|x| ModelError::Weights {
            path: path.to_path_buf(),
            fault: format!("'{}' holds {x:e}, beyond the range of {}; choose bf16 or f32", array.name, dtype.name()),
        })?;
        debug_assert_eq!(bytes.len(), array.bytes(dtype), "{}", array.name);
        file.write(&bytes)?;
    }
    file.commit()?;
    Ok(hash_file(path)?)
}
