//! In the place of `files.rs` where this program was built without the feature `parquet`.

use std::path::Path;

use serde_json::Value;
use tutelage_run::FileError;

use super::coding::Coding;
use super::record::Record;
use crate::CacheError;

fn absent(path: &Path) -> FileError {
    let found = "this program was built without Parquet: build it with --features parquet to read captures";
    FileError::content(path, found)
}

pub(super) fn read_yaml(path: &Path) -> Result<Value, FileError> {
    Err(absent(path))
}

/// There is none.
pub(super) enum CaptureFile {}

impl CaptureFile {
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        Err(absent(path).into())
    }

    pub(super) fn n_records(&self) -> u64 {
        match *self {}
    }

    pub(super) fn fault(&self, _: String) -> CacheError {
        match *self {}
    }

    pub(super) fn has(&self, _: &str) -> bool {
        match *self {}
    }

    pub(super) fn records(
        &self,
        _: &Coding,
        _: &mut dyn FnMut(Record) -> Result<bool, CacheError>,
    ) -> Result<(), CacheError> {
        match *self {}
    }
}
