//! Metadata and the table of tensors.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tutelage_run::MappedFile;

use super::bytes::{Bytes, Fault};
use super::quants::Quant;
use crate::ModelError;
use crate::tensors::finite;

const MAGIC: [u8; 4] = *b"GGUF";
/// Where data begins is a multiple of this unless `general.alignment` says otherwise.
const ALIGNMENT: u64 = 32;
const MAX_DIMENSIONS: u32 = 4;
/// Arrays inside arrays; more is no metadata.
const MAX_NESTING: u32 = 2;
/// Values in all arrays together: the largest vocabularies have some hundred thousand entries, a handful of values each.
const MAX_VALUES: u64 = 1 << 23;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Whole numbers of any width, signed or not.
    Integer(i128),
    /// f32 or f64.
    Real(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
    /// Several values of one type.
    Array(Vec<Value>),
}

/// A tensor of the file.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// Sizes, outermost first (the file has them the other way round).
    shape: Vec<usize>,
    quant: Quant,
    /// Where its bytes lie in the file.
    bytes: Range<usize>,
}

/// A file, mapped into memory.
pub struct GgufFile {
    path: PathBuf,
    file: MappedFile,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Entry>,
}

impl GgufFile {
    /// Whether a path is a GGUF file by its name.
    pub fn is_named(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
    }

    /// Reads metadata and the table of tensors.
    ///
    /// # Errors
    /// When the file cannot be read, is no GGUF, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = MappedFile::open(path)?;
        let (metadata, tensors) =
            header(file.bytes()).map_err(|fault| ModelError::Weights { path: path.to_path_buf(), fault })?;
        Ok(Self { path: path.to_path_buf(), file, metadata, tensors })
    }

    /// A value of the metadata.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The error that a value of the metadata is missing or cannot be used.
    pub fn unsupported(&self, key: &str, fault: &str) -> ModelError {
        let value = match self.value(key) {
            Some(Value::Array(values)) => format!("{} values", values.len()),
            Some(value) => format!("{value:?}"),
            None => "nothing".to_owned(),
        };
        let (path, key, fault) = (self.path.clone(), key.to_owned(), fault.to_owned());
        ModelError::UnsupportedMetadata { path, key, value, fault }
    }

    /// Keys and values, by key.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Names of the tensors with their shapes and types, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &'static str)> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), &entry.shape[..], entry.quant.name()))
    }

    /// The values of a tensor of this shape.
    ///
    /// # Errors
    /// When it is missing, of another shape, or holds what is no number.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let entry = self.entry(name, shape)?;
        self.values(name, entry.quant, entry.bytes.clone())
    }

    /// Some rows of a tensor of this shape; a row is its last dimension.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) fn take_rows(&self, name: &str, shape: &[usize], rows: Range<usize>) -> Result<Vec<f32>, ModelError> {
        let entry = self.entry(name, shape)?;
        let width = entry.bytes.len() / shape[..shape.len() - 1].iter().product::<usize>().max(1);
        let bytes = entry.bytes.start + rows.start * width..entry.bytes.start + rows.end * width;
        self.values(name, entry.quant, bytes)
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, ModelError> {
        let fault = |fault: String| ModelError::Weights { path: self.path.clone(), fault };
        let entry = self.tensors.get(name).ok_or_else(|| fault(format!("has no tensor '{name}'")))?;
        if entry.shape != shape {
            return Err(fault(format!("'{name}' has shape {:?} where {shape:?} is expected", entry.shape)));
        }
        Ok(entry)
    }

    fn values(&self, name: &str, quant: Quant, bytes: Range<usize>) -> Result<Vec<f32>, ModelError> {
        let fault = |fault: String| ModelError::Weights { path: self.path.clone(), fault };
        finite(name, quant.values(&self.file.bytes()[bytes])).map_err(fault)
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

type Header = (BTreeMap<String, Value>, BTreeMap<String, Entry>);

fn header(file: &[u8]) -> Result<Header, Fault> {
    let mut bytes = Bytes::new(file);
    if bytes.array().ok() != Some(MAGIC) {
        return Err("is no GGUF file: it does not begin with 'GGUF'".to_owned());
    }
    let version = bytes.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("is GGUF version {version}; 2 and 3 are read (little-endian)"));
    }
    let (n_tensors, n_values) = (bytes.u64()?, bytes.u64()?);
    let (mut metadata, mut values_left) = (BTreeMap::new(), MAX_VALUES);
    for _ in 0..n_values {
        let key = bytes.string()?;
        let kind = bytes.u32()?;
        let value =
            value(&mut bytes, kind, 0, &mut values_left).map_err(|fault| format!("metadata '{key}': {fault}"))?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("metadata '{key}' is there twice"));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => ALIGNMENT,
        Some(Value::Integer(n @ 1..=65_536)) if n.count_ones() == 1 => *n as u64,
        Some(other) => return Err(format!("general.alignment = {other:?}: must be a power of two up to 65536")),
    };
    let mut found = Vec::new();
    for _ in 0..n_tensors {
        let name = bytes.string()?;
        found.push(tensor(name.clone(), &mut bytes).map_err(|fault| format!("tensor '{name}': {fault}"))?);
    }
    let data = (bytes.position() as u64).next_multiple_of(alignment);
    place(found, data, alignment, file.len() as u64).map(|tensors| (metadata, tensors))
}

fn value(bytes: &mut Bytes<'_>, kind: u32, depth: u32, values_left: &mut u64) -> Result<Value, Fault> {
    let integer = |x: i128| Ok(Value::Integer(x));
    match kind {
        0 => integer(i128::from(bytes.array::<1>()?[0])),
        1 => integer(i128::from(i8::from_le_bytes(bytes.array()?))),
        2 => integer(i128::from(u16::from_le_bytes(bytes.array()?))),
        3 => integer(i128::from(i16::from_le_bytes(bytes.array()?))),
        4 => integer(i128::from(bytes.u32()?)),
        5 => integer(i128::from(i32::from_le_bytes(bytes.array()?))),
        6 => Ok(Value::Real(f64::from(f32::from_le_bytes(bytes.array()?)))),
        7 => match bytes.array::<1>()?[0] {
            0 => Ok(Value::Bool(false)),
            1 => Ok(Value::Bool(true)),
            other => Err(format!("a truth value of {other}")),
        },
        8 => bytes.string().map(Value::Text),
        9 if depth < MAX_NESTING => {
            let (kind, n) = (bytes.u32()?, bytes.u64()?);
            // Each takes a byte at least, so that memory stays in proportion to the file.
            if n > bytes.left() as u64 {
                return Err(format!("an array of {n} values in the last {} bytes of the file", bytes.left()));
            }
            let Some(left) = values_left.checked_sub(n) else {
                return Err(format!("more than {MAX_VALUES} values in the arrays of the metadata"));
            };
            *values_left = left;
            (0..n).map(|_| value(bytes, kind, depth + 1, values_left)).collect::<Result<_, _>>().map(Value::Array)
        }
        10 => integer(i128::from(bytes.u64()?)),
        11 => integer(i128::from(i64::from_le_bytes(bytes.array()?))),
        12 => Ok(Value::Real(f64::from_le_bytes(bytes.array()?))),
        other => Err(format!("a value of type {other}, which is not known")),
    }
}

/// What the table says of a tensor.
struct Announced {
    name: String,
    shape: Vec<usize>,
    quant: Quant,
    /// From where data begins.
    offset: u64,
}

fn tensor(name: String, bytes: &mut Bytes<'_>) -> Result<Announced, Fault> {
    let n_dimensions = bytes.u32()?;
    if n_dimensions > MAX_DIMENSIONS {
        return Err(format!("{n_dimensions} dimensions; at most {MAX_DIMENSIONS} are read"));
    }
    let mut shape = Vec::new();
    for _ in 0..n_dimensions {
        let size = bytes.u64()?;
        shape.push(usize::try_from(size).map_err(|_| format!("a dimension of {size}"))?);
    }
    shape.reverse();
    let kind = bytes.u32()?;
    let quant = Quant::from_number(kind)
        .ok_or_else(|| format!("type {kind}; F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and K-quants are read"))?;
    Ok(Announced { name, shape, quant, offset: bytes.u64()? })
}

/// Where each tensor's bytes are: inside the file, aligned, and apart from one another.
fn place(found: Vec<Announced>, data: u64, alignment: u64, len: u64) -> Result<BTreeMap<String, Entry>, Fault> {
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    for Announced { name, shape, quant, offset } in found {
        let fault = |what: String| Err(format!("tensor '{name}': {what}"));
        if !names.insert(name.clone()) {
            return fault("is there twice".to_owned());
        }
        if !offset.is_multiple_of(alignment) {
            return fault(format!("begins at {offset}, no multiple of {alignment}"));
        }
        let Some(size) = quant.bytes(&shape) else {
            return fault(format!("shape {shape:?} has no whole blocks of {}, or is too large", quant.name()));
        };
        let end = data.checked_add(offset).and_then(|start| start.checked_add(size)).filter(|&end| end <= len);
        let Some(end) = end else {
            return fault(format!("{size} bytes from {offset} on lie beyond the end of the file"));
        };
        entries.push((name, Entry { shape, quant, bytes: (end - size) as usize..end as usize }));
    }
    entries.sort_by_key(|(_, entry)| entry.bytes.start);
    for pair in entries.windows(2) {
        if pair[0].1.bytes.end > pair[1].1.bytes.start {
            return Err(format!("tensors '{}' and '{}' overlap", pair[0].0, pair[1].0));
        }
    }
    Ok(entries.into_iter().collect())
}
