//! Documents as Parquet: `text`, `id`, and `meta`, an object of all other fields as JSON. What trainers read that begin from text.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tutelage_run::{AtomicFile, Event, FileError, Observer, StopFlag, hash_file, read_json, write_json};

use crate::job::{JobSettings, Outcome, StageFolder};
use crate::look::documents;
use crate::manifest::{InputRecord, OutputRecord};
use crate::{CorpusError, Record};

const NAME: &str = "parquet";
const SCHEMA: &str =
    "message documents { REQUIRED BINARY text (UTF8); OPTIONAL BINARY id (UTF8); OPTIONAL BINARY meta (UTF8); }";

/// Bytes of text of a row group.
const GROUP_BYTES: usize = 64 << 20;

/// Documents that become one file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct FileRecord {
    documents: u64,
    /// Documents read before the file's end, damaged ones included.
    read: u64,
    output: Option<OutputRecord>,
}

/// Rows that are not written yet.
#[derive(Debug, Default)]
struct Group {
    text: Vec<ByteArray>,
    id: (Vec<ByteArray>, Vec<i16>),
    meta: (Vec<ByteArray>, Vec<i16>),
    bytes: usize,
}

impl Group {
    fn push(&mut self, mut record: Record) {
        self.bytes += record.text.len();
        let optional = |(values, levels): &mut (Vec<ByteArray>, Vec<i16>), value: Option<String>| {
            levels.push(i16::from(value.is_some()));
            values.extend(value.map(|value| ByteArray::from(value.into_bytes())));
        };
        optional(&mut self.id, record.string("id"));
        self.text.push(ByteArray::from(std::mem::take(&mut record.text).into_bytes()));
        let meta = record.others();
        self.bytes += meta.as_ref().map_or(0, String::len);
        optional(&mut self.meta, meta);
    }
}

/// A file that appears when it is whole.
struct Target(AtomicFile);

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes the documents of `inputs` as Parquet, about `file_bytes` bytes of text a file; or goes on with it, file by file.
///
/// # Errors
/// When there is nothing to read, the folder holds something else, or the system refuses.
pub fn export_parquet(
    inputs: &[PathBuf],
    out: &std::path::Path,
    settings: &JobSettings,
    file_bytes: u64,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, CorpusError> {
    let begun = std::time::Instant::now();
    if file_bytes == 0 {
        return Err(CorpusError::request("--size 0: expected bytes of text of a file"));
    }
    let all = json!({ "text_field": settings.text_field, "file_bytes": file_bytes });
    let folder = StageFolder { stage: NAME, settings: all, inputs, out };
    if let Some(manifest) = folder.done(observer)? {
        return Ok(Outcome::Done(Box::new(manifest)));
    }
    let open = folder.begin()?;
    observer.event(&Event::StageStarted { stage: NAME, detail: "writing", total: None, done: 0 });
    let mut manifest = open.manifest();
    let mut source = documents(inputs, settings)?;
    let (mut number, mut ended) = (0u32, false);
    while !ended {
        let path = out.join(format!("{number:05}.parquet"));
        let record_path = open.work().join(format!("{number:05}.json"));
        let known: Option<FileRecord> = if record_path.exists() { Some(read_json(&record_path)?) } else { None };
        let mut file = Rows::default();
        let mut writer = None;
        while known.as_ref().map_or(file.bytes < file_bytes, |known| manifest.read < known.read) {
            let Some(found) = source.next() else {
                ended = true;
                break;
            };
            manifest.read += 1;
            if manifest.read % 4096 == 0 {
                let note = format!("{} documents", manifest.read);
                observer.event(&Event::Progress { done: manifest.read, note: &note });
                if stop.is_raised() {
                    return Ok(Outcome::Stopped);
                }
            }
            let record = match found?.record.and_then(Record::with_text) {
                Ok(record) => record,
                Err(fault) => {
                    *manifest.dropped.entry(fault.reason.to_string()).or_default() += 1;
                    continue;
                }
            };
            manifest.kept += 1;
            if known.is_none() {
                file.push(record, &path, &mut writer)?;
            }
        }
        let record = match known {
            Some(known) => known,
            None => FileRecord { documents: file.documents, read: manifest.read, output: file.finish(&path, writer)? },
        };
        write_json(&record_path, &record)?;
        manifest.outputs.extend(record.output);
        number += 1;
    }
    manifest.inputs = source.into_inputs();
    manifest.inputs.iter_mut().for_each(|input: &mut InputRecord| input.files = input.files.max(1));
    let manifest = open.finish(manifest, observer)?;
    let result = format!("{} documents in {} files", manifest.kept, manifest.outputs.len());
    observer.event(&Event::StageFinished { stage: NAME, result: &result, seconds: begun.elapsed().as_secs_f64() });
    Ok(Outcome::Done(Box::new(manifest)))
}

/// What goes into a file.
#[derive(Debug, Default)]
struct Rows {
    group: Group,
    documents: u64,
    bytes: u64,
}

type Writer = SerializedFileWriter<Target>;

impl Rows {
    fn push(&mut self, record: Record, path: &std::path::Path, writer: &mut Option<Writer>) -> Result<(), CorpusError> {
        let before = self.group.bytes;
        self.group.push(record);
        self.bytes += (self.group.bytes - before) as u64;
        self.documents += 1;
        match self.group.bytes >= GROUP_BYTES {
            true => self.write(path, writer),
            false => Ok(()),
        }
    }

    fn write(&mut self, path: &std::path::Path, writer: &mut Option<Writer>) -> Result<(), CorpusError> {
        let group = std::mem::take(&mut self.group);
        let io = |error: parquet::errors::ParquetError| FileError::io("write", path)(std::io::Error::other(error));
        let writer = match writer {
            Some(writer) => writer,
            None => {
                let schema = Arc::new(parse_message_type(SCHEMA).map_err(io)?);
                let zstd = Compression::ZSTD(ZstdLevel::try_new(3).map_err(io)?);
                let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
                let target = Target(AtomicFile::create(path)?);
                writer.insert(SerializedFileWriter::new(target, schema, properties).map_err(io)?)
            }
        };
        let mut rows = writer.next_row_group().map_err(io)?;
        let columns = [(group.text, None), (group.id.0, Some(group.id.1)), (group.meta.0, Some(group.meta.1))];
        for (values, levels) in columns {
            if let Some(mut column) = rows.next_column().map_err(io)? {
                column.typed::<ByteArrayType>().write_batch(&values, levels.as_deref(), None).map_err(io)?;
                column.close().map_err(io)?;
            }
        }
        rows.close().map_err(io)?;
        Ok(())
    }

    /// Makes the file appear; there is none of no documents.
    fn finish(
        mut self,
        path: &std::path::Path,
        mut writer: Option<Writer>,
    ) -> Result<Option<OutputRecord>, CorpusError> {
        if self.documents == 0 {
            return Ok(None);
        }
        if !self.group.text.is_empty() {
            self.write(path, &mut writer)?;
        }
        let io = |error: parquet::errors::ParquetError| FileError::io("write", path)(std::io::Error::other(error));
        if let Some(writer) = writer {
            writer.into_inner().map_err(io)?.0.commit()?;
        }
        let bytes = std::fs::metadata(path).map_err(FileError::io("read", path))?.len();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(OutputRecord { file, documents: self.documents, bytes, hash: hash_file(path)? }))
    }
}

#[cfg(test)]
mod tests {
    use tutelage_run::Silent;
    use tutelage_testkit::Scratch;

    use super::*;

    /// Asks to stop at once.
    struct Stops<'s>(&'s StopFlag);

    impl Observer for Stops<'_> {
        fn event(&mut self, event: &Event<'_>) {
            if matches!(event, Event::Progress { .. }) {
                self.0.raise();
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new("export-parquet");
        let mut lines = "{\"id\":7,\"text\":\"one\",\"meta\":{\"url\":\"http://x\"},\"n\":1.50}\ndamaged\n".to_owned();
        (0..9000).for_each(|i| lines.push_str(&format!("{{\"text\":\"text {i} \u{4e2d}\"}}\n")));
        let inputs = [scratch.join("a.jsonl")];
        std::fs::write(&inputs[0], &lines).unwrap();
        let settings = JobSettings::default();
        let export = |out: &str, observer: &mut dyn Observer, stop: &StopFlag| {
            export_parquet(&inputs, &scratch.join(out), &settings, 40_000, observer, stop).unwrap()
        };
        let Outcome::Done(manifest) = export("out", &mut Silent, &StopFlag::default()) else { panic!("nobody asked") };
        assert_eq!((manifest.read, manifest.kept, manifest.dropped["not_json"]), (9002, 9001, 1));
        assert!(manifest.outputs.len() > 2, "{:?}", manifest.outputs);
        let files: Vec<_> = manifest.outputs.iter().map(|output| scratch.join("out").join(&output.file)).collect();
        let read: Vec<Record> =
            documents(&files, &settings).unwrap().map(|found| found.unwrap().record.unwrap()).collect();
        assert_eq!(read.len(), 9001);
        assert_eq!(read[0].string("id").as_deref(), Some("7"));
        assert_eq!(read[0].string("meta").as_deref(), Some("{\"url\":\"http://x\",\"n\":1.50}"));
        assert!((0..9000).zip(&read[1..]).all(|(i, record)| record.text == format!("text {i} \u{4e2d}")));
        // Stopped, and gone on with: the same bytes.
        let mut stops = 0;
        loop {
            let stop = StopFlag::default();
            match export("stopped", &mut Stops(&stop), &stop) {
                Outcome::Stopped if stops == 0 => stops += 1,
                _ => break,
            }
        }
        assert_eq!(stops, 1);
        let Outcome::Done(again) = export("stopped", &mut Silent, &StopFlag::default()) else { panic!("nobody asked") };
        assert_eq!(again, manifest);
    }
}
