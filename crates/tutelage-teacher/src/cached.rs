//! A teacher that was written down.

use std::path::Path;

use tutelage_data::hash_ids;
use tutelage_loss::{SparseTargets, Targets, Teacher, TeacherError, TeacherInput};

use crate::CacheError;
use crate::cache::{CacheHeader, CacheReader, Kept};

/// Supplies truncated distributions from a cache.
#[derive(Debug)]
pub struct CachedTeacher {
    reader: CacheReader,
}

impl CachedTeacher {
    /// Opens a cache that must have been made for `expected`.
    ///
    /// # Errors
    /// When it is missing, incomplete, damaged, or was made for another teacher, tokenizer or packing.
    pub fn open(folder: &Path, expected: &CacheHeader) -> Result<Self, CacheError> {
        Ok(Self { reader: CacheReader::open(folder, Some(expected))? })
    }
}

impl Teacher for CachedTeacher {
    fn targets(&self, input: TeacherInput<'_>) -> Result<Targets<'_>, TeacherError> {
        let mut out = SparseTargets::new();
        for (sequence, rows) in input.sequences {
            self.reader.read(*sequence, hash_ids(&input.ids[rows.clone()]), rows.len(), &mut out)?;
        }
        Ok(match self.reader.header().kept {
            Kept::TopPK { .. } => Targets::TopPK(out),
            Kept::Samples { .. } => Targets::Samples(out),
        })
    }
}
