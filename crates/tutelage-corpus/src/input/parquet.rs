//! Parquet: an item a row, as the JSON object it would be.
//!
//! Binary values become hexadecimal, times ISO 8601. After a row group that is damaged reading goes on at the next.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};
use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};
use tutelage_run::{FileError, guarded, parquet_reader};

use super::bytes::{drain, open};
use super::{Chunk, Content, Item, Packing, Source, Unit, Watch};
use crate::{CorpusError, Reason};

/// The rows of a file, group by group.
pub(super) struct ParquetRows {
    reader: SerializedFileReader<File>,
    path: PathBuf,
    watch: Arc<Watch>,
    max_bytes: usize,
    /// Of the next group, and the rows before it.
    group: usize,
    before: u64,
    /// What is left of the group that is read.
    rows: Option<ReaderIter>,
    row: u64,
}

impl ParquetRows {
    pub(super) fn open(unit: &Unit, max_bytes: usize, watch: &Arc<Watch>) -> Result<Self, CorpusError> {
        let path = unit.files[0].clone();
        let file = File::open(&path).map_err(FileError::io("read", &path))?;
        let wrong = |error| FileError::content(&path, format!("is not a whole Parquet file: {error}"));
        let reader = parquet_reader(file).map_err(wrong)?;
        let watch = Arc::clone(watch);
        Ok(Self { reader, path, watch, max_bytes, group: 0, before: 0, rows: None, row: 0 })
    }

    /// The next row, as JSON; nothing at the end of the file.
    fn next(&mut self) -> Option<Result<Vec<u8>, String>> {
        loop {
            let Some(rows) = &mut self.rows else {
                if self.group >= self.reader.num_row_groups() {
                    return None;
                }
                self.row = self.before;
                self.before += self.reader.metadata().row_group(self.group).num_rows().max(0) as u64;
                self.group += 1;
                match self.begin(self.group - 1) {
                    Ok(rows) => self.rows = Some(rows),
                    Err(found) => {
                        self.row += 1;
                        return Some(Err(format!("row group {}: {found}", self.group)));
                    }
                }
                continue;
            };
            let row = guarded(|| match rows.next() {
                Some(Ok(row)) => Ok(Some(object(&row).to_string().into_bytes())),
                Some(Err(error)) => Err(error.to_string()),
                None => Ok(None),
            });
            self.row += 1;
            match row {
                Ok(Some(row)) => return Some(Ok(row)),
                Ok(None) => self.rows = None,
                Err(found) => {
                    self.rows = None;
                    return Some(Err(format!("row group {}, from row {} on: {found}", self.group, self.row)));
                }
            }
        }
    }

    fn begin(&self, group: usize) -> Result<ReaderIter, String> {
        guarded(|| {
            let rows = self.reader.get_row_group(group).map_err(|error| error.to_string())?;
            let schema = self.reader.metadata().file_metadata().schema_descr_ptr();
            TreeBuilder::new().as_iter(schema, &*rows).map_err(|error| error.to_string())
        })
    }
}

impl Source for ParquetRows {
    fn fill(&mut self, chunk: &mut Chunk) -> Result<(), CorpusError> {
        while !chunk.is_full() {
            let row = match self.next() {
                None => return Ok(()),
                Some(Err(found)) => {
                    chunk.damaged(self.row, Reason::Truncated, found);
                    continue;
                }
                Some(Ok(row)) => row,
            };
            if row.len() > self.max_bytes {
                let found = format!("a row of {} bytes; max_record_bytes is {}", row.len(), self.max_bytes);
                chunk.damaged(self.row, Reason::TooLong, found);
                continue;
            }
            let start = chunk.bytes.len();
            chunk.bytes.extend_from_slice(&row);
            chunk.items.push(Item { place: self.row, content: Content::Line(start..chunk.bytes.len()) });
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), CorpusError> {
        // The hash is that of the file's bytes, which were not read in their order.
        let mut reader = open(&self.path, Packing::Plain, Arc::clone(&self.watch))?;
        Ok(drain(&mut *reader, &self.path)?)
    }
}

fn object(row: &Row) -> Value {
    Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>())
}

fn value(field: &Field) -> Value {
    let float = |x: f64| Number::from_f64(x).map_or(Value::Null, Value::Number);
    match field {
        Field::Null => Value::Null,
        Field::Bool(x) => Value::Bool(*x),
        Field::Byte(x) => (*x).into(),
        Field::Short(x) => (*x).into(),
        Field::Int(x) => (*x).into(),
        Field::Long(x) => (*x).into(),
        Field::UByte(x) => (*x).into(),
        Field::UShort(x) => (*x).into(),
        Field::UInt(x) => (*x).into(),
        Field::ULong(x) => (*x).into(),
        Field::Float16(x) => float(f64::from(*x)),
        Field::Float(x) => float(f64::from(*x)),
        Field::Double(x) => float(*x),
        Field::Str(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => bytes.data().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        Field::Date(days) => time(i64::from(*days) * 86_400_000_000, true),
        Field::TimestampMillis(x) => time(x.saturating_mul(1000), false),
        Field::TimestampMicros(x) => time(*x, false),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        Field::MapInternal(map) => {
            let name = |field: &Field| match value(field) {
                Value::String(name) => name,
                other => other.to_string(),
            };
            Value::Object(map.entries().iter().map(|(key, field)| (name(key), value(field))).collect())
        }
        other => Value::String(other.to_string()),
    }
}

/// Microseconds since 1970, as ISO 8601.
fn time(micros: i64, is_day: bool) -> Value {
    match Timestamp::from_microsecond(micros) {
        Ok(time) if is_day => Value::String(time.to_string().split('T').next().unwrap_or_default().to_owned()),
        Ok(time) => Value::String(time.to_string()),
        Err(_) => Value::from(micros),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tutelage_testkit::Scratch;

    use crate::{JobSettings, Reason, documents};

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/parquet");

    fn read(path: &Path) -> Vec<Result<serde_json::Value, Reason>> {
        let settings = JobSettings { text_field: "id".to_owned(), ..JobSettings::default() };
        let found = documents(&[path.to_path_buf()], &settings).unwrap();
        found
            .map(|found| {
                let record = found.unwrap().record.map_err(|fault| fault.reason)?;
                let mut line = Vec::new();
                record.write(&mut line);
                Ok(serde_json::from_slice(&line).unwrap())
            })
            .collect()
    }

    #[test]
    fn rows_are_those_that_pyarrow_reads() {
        let expected = std::fs::read_to_string(format!("{FIXTURES}/documents.jsonl")).unwrap();
        let expected: Vec<serde_json::Value> =
            expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<_> =
            read(Path::new(&format!("{FIXTURES}/documents.parquet"))).into_iter().map(Result::unwrap).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_damaged_group_is_passed() {
        let folder = Scratch::new("corpus-parquet");
        let mut bytes = std::fs::read(format!("{FIXTURES}/documents.parquet")).unwrap();
        // Within the first group's pages.
        bytes[40..90].fill(0xff);
        let path = folder.join("damaged.parquet");
        std::fs::write(&path, &bytes).unwrap();
        let found = read(&path);
        assert_eq!(found[0], Err(Reason::Truncated));
        assert_eq!(
            found[1..].iter().map(|row| row.as_ref().unwrap()["id"].clone()).collect::<Vec<_>>(),
            ["doc-4", "doc-5", "doc-6"]
        );
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        let error = documents(&[path], &JobSettings::default()).unwrap().next().unwrap().unwrap_err();
        assert!(error.is_request() && error.to_string().contains("not a whole Parquet file"), "{error}");
    }
}
