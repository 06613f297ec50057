//! Signatures as Parquet, which every process of a cluster reads: `document` (u32) and `keys` (binary).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryBuilder, UInt32Builder};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use tutelage_corpus::{CorpusError, Signatures};
use tutelage_run::{FileError, create_folder, remove_folder};

/// Documents of a file: what one task reads.
const FILE_ROWS: usize = 500_000;
const BATCH_ROWS: usize = 16_384;

/// Writes the table's files into a folder of the stage; gives that folder.
pub(crate) fn write(signatures: &Signatures<'_>) -> Result<PathBuf, CorpusError> {
    let folder = signatures.work.join("signatures");
    remove_folder(&folder)?;
    create_folder(&folder)?;
    let schema = Arc::new(Schema::new(vec![
        Field::new("document", DataType::UInt32, false),
        Field::new("keys", DataType::Binary, false),
    ]));
    let mut rows = signatures.rows().peekable();
    let mut number = 0;
    while rows.peek().is_some() || number == 0 {
        let path = folder.join(format!("{number:05}.parquet"));
        let mut rows = rows.by_ref().take(FILE_ROWS);
        write_file(&path, &schema, &mut rows)?;
        number += 1;
    }
    Ok(folder)
}

fn write_file<'r>(
    path: &Path,
    schema: &Arc<Schema>,
    rows: &mut impl Iterator<Item = (u32, &'r [u8])>,
) -> Result<(), CorpusError> {
    let engine = |error: &dyn std::fmt::Display| CorpusError::Engine(format!("{}: {error}", path.display()));
    let file = File::create(path).map_err(FileError::io("write", path))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(schema), None).map_err(|error| engine(&error))?;
    loop {
        let (mut documents, mut keys) = (UInt32Builder::new(), BinaryBuilder::new());
        for (document, own) in rows.by_ref().take(BATCH_ROWS) {
            documents.append_value(document);
            keys.append_value(own);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(documents.finish()), Arc::new(keys.finish())];
        let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| engine(&error))?;
        if batch.num_rows() == 0 {
            break;
        }
        writer.write(&batch).map_err(|error| engine(&error))?;
    }
    writer.close().map_err(|error| engine(&error))?;
    Ok(())
}
