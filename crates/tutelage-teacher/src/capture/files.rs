//! Parquet and YAML, as libraries read them.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use tutelage_run::{FileError, guarded, parquet_reader};

use super::coding::{Cell, Coding};
use super::record::{Cells, Record};
use crate::CacheError;

/// A YAML file.
pub(super) fn read_yaml(path: &Path) -> Result<Value, FileError> {
    let text = tutelage_run::read_text(path)?;
    serde_saphyr::from_str(&text).map_err(|error| FileError::content(path, format!("is not YAML: {error}")))
}

/// A Parquet file.
pub(super) struct CaptureFile {
    reader: SerializedFileReader<File>,
    path: PathBuf,
}

impl CaptureFile {
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let file = File::open(path).map_err(FileError::io("open", path))?;
        let wrong = |error| FileError::content(path, format!("is not a whole Parquet file: {error}"));
        Ok(Self { reader: parquet_reader(file).map_err(wrong)?, path: path.to_path_buf() })
    }

    pub(super) fn n_records(&self) -> u64 {
        self.reader.metadata().file_metadata().num_rows().max(0) as u64
    }

    pub(super) fn fault(&self, found: String) -> CacheError {
        CacheError::File(FileError::content(&self.path, found))
    }

    /// Whether it has a column of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.leaf(name).is_some()
    }

    fn leaf(&self, name: &str) -> Option<usize> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.columns().iter().position(|column| column.path().parts().first().is_some_and(|part| part == name))
    }

    /// Gives all records, one at a time, until `each` says false.
    pub(super) fn records(
        &self,
        coding: &Coding,
        each: &mut dyn FnMut(Record) -> Result<bool, CacheError>,
    ) -> Result<(), CacheError> {
        let mut number = 0u64;
        for group in 0..self.reader.num_row_groups() {
            let open = |name: &'static str, cell, depth| self.column(group, name, cell, depth);
            let mut ids = open("input_ids", Cell::U32, 1)?;
            let told = self.has("attention_mask");
            let mut documents = told.then(|| open("attention_mask", Cell::U32, 1)).transpose()?;
            let columns = coding.columns().into_iter().map(|(name, cell, width)| {
                let mut column = open(name, cell, 2)?;
                column.width = width;
                Ok(column)
            });
            let mut columns: Vec<Column> = columns.collect::<Result<_, CacheError>>()?;
            for _ in 0..self.reader.metadata().row_group(group).num_rows() {
                let fault = |error: String| self.fault(format!("record {number}: {error}"));
                let numbers =
                    |cells: Cells| cells.bytes.as_chunks::<4>().0.iter().map(|x| i32::from_le_bytes(*x)).collect();
                let record = guarded(|| {
                    Ok(Record {
                        ids: ids.record().map(numbers)?,
                        documents: documents.as_mut().map(Column::record).transpose()?.map(numbers),
                        columns: columns.iter_mut().map(Column::record).collect::<Result<_, _>>()?,
                    })
                });
                if !each(record.map_err(fault)?)? {
                    return Ok(());
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// A column of lists, `depth` of them within each other.
    fn column(&self, group: usize, name: &'static str, cell: Cell, depth: i16) -> Result<Column, CacheError> {
        let wrong = |error: String| self.fault(format!("column '{name}': {error}"));
        let leaf = self.leaf(name).ok_or_else(|| self.fault(format!("has no column '{name}'")))?;
        let descriptor = self.reader.metadata().file_metadata().schema_descr().column(leaf);
        let fits = match cell {
            Cell::F32 => [Type::FLOAT, Type::DOUBLE],
            Cell::Byte | Cell::U32 | Cell::U64 => [Type::INT32, Type::INT64],
        };
        if descriptor.max_rep_level() != depth || !fits.contains(&descriptor.physical_type()) {
            let (levels, kind) = (descriptor.max_rep_level(), descriptor.physical_type());
            return Err(self.fault(format!(
                "column '{name}' holds {kind} in {levels} lists within each other; expected are {} in {depth}",
                if cell == Cell::F32 { "numbers" } else { "integers" }
            )));
        }
        let reader = guarded(|| {
            let reader = self.reader.get_row_group(group).and_then(|group| group.get_column_reader(leaf));
            reader.map_err(|error| error.to_string())
        });
        Ok(Column {
            name,
            reader: reader.map_err(wrong)?,
            cell,
            max_def: descriptor.max_def_level(),
            depth,
            width: None,
            def: Vec::new(),
            rep: Vec::new(),
        })
    }
}

/// A column of a row group, read record by record.
struct Column {
    name: &'static str,
    reader: ColumnReader,
    cell: Cell,
    max_def: i16,
    /// Lists within each other.
    depth: i16,
    /// Cells of a row, where that is known.
    width: Option<usize>,
    def: Vec<i16>,
    rep: Vec<i16>,
}

impl Column {
    fn record(&mut self) -> Result<Cells, String> {
        let mut bytes = Vec::new();
        let out = &mut bytes;
        let (def, rep, cell) = (&mut self.def, &mut self.rep, self.cell);
        let read = match &mut self.reader {
            ColumnReader::Int32ColumnReader(reader) => {
                // Unsigned integers are stored as signed ones of the same bits.
                next(reader, def, rep, |x| put_integer(cell, i64::from(x as u32), out))
            }
            ColumnReader::Int64ColumnReader(reader) => next(reader, def, rep, |x| put_integer(cell, x, out)),
            ColumnReader::FloatColumnReader(reader) => next(reader, def, rep, |x: f32| {
                out.extend(x.to_le_bytes());
                true
            }),
            ColumnReader::DoubleColumnReader(reader) => next(reader, def, rep, |x: f64| {
                out.extend((x as f32).to_le_bytes());
                true
            }),
            _ => Err("is of another type".to_owned()),
        };
        read.and_then(|()| self.cells(bytes)).map_err(|found| format!("column '{}': {found}", self.name))
    }

    /// Counts the rows, which must be of one length.
    fn cells(&self, bytes: Vec<u8>) -> Result<Cells, String> {
        if self.def.len() == 1 && self.def[0] < self.max_def {
            return Ok(Cells::default());
        }
        if self.def.iter().any(|&level| level < self.max_def) {
            return Err("a list is empty, or a value is missing".to_owned());
        }
        if self.depth == 1 {
            return Ok(Cells { n_rows: self.def.len(), bytes });
        }
        let n_rows = self.rep.iter().filter(|&&level| level < self.depth).count();
        let width = self.width.unwrap_or(self.rep.len() / n_rows.max(1));
        let is_start = |(i, &level): (usize, &i16)| (level < self.depth) == (i % width.max(1) == 0);
        if self.rep.len() != n_rows * width || !self.rep.iter().enumerate().all(is_start) {
            return Err(format!(
                "{} values of {n_rows} tokens, where {width} of each are expected; is compression_config.yaml what it was \
                 written with?",
                self.rep.len()
            ));
        }
        Ok(Cells { bytes, n_rows })
    }
}

/// The next record's levels, and its values through `put`, which says whether they fit.
fn next<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    def: &mut Vec<i16>,
    rep: &mut Vec<i16>,
    mut put: impl FnMut(T::T) -> bool,
) -> Result<(), String> {
    def.clear();
    rep.clear();
    let mut values = Vec::new();
    let (records, ..) = reader.read_records(1, Some(def), Some(rep), &mut values).map_err(|error| error.to_string())?;
    if records != 1 {
        return Err("ends early".to_owned());
    }
    match values.into_iter().all(&mut put) {
        true => Ok(()),
        false => Err("a number is too large, or negative".to_owned()),
    }
}

fn put_integer(cell: Cell, value: i64, out: &mut Vec<u8>) -> bool {
    match cell {
        Cell::Byte => u8::try_from(value).map(|x| out.push(x)).is_ok(),
        Cell::U64 => {
            out.extend(value.to_le_bytes());
            true
        }
        // Ids, which are below 2^31.
        Cell::U32 | Cell::F32 => {
            u32::try_from(value).ok().filter(|&x| x <= i32::MAX as u32).map(|x| out.extend(x.to_le_bytes())).is_some()
        }
    }
}
