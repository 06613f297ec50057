//! Documents out of files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tutelage_run::FileError;

use crate::DataError;

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text, never blank.
    pub text: String,
    /// What stands in the field that routes documents to teachers, if one was asked for.
    pub route: Option<String>,
}

/// Documents of one file, one by one. Blank documents are skipped.
pub struct DocumentReader {
    path: PathBuf,
    text_field: String,
    route_field: Option<String>,
    lines: Option<Box<dyn BufRead>>,
    /// Whether the whole file is one document.
    plain: bool,
    line: usize,
}

/// Opens `.jsonl` (an object a line, the text in `text_field`) or `.txt` (the whole file is one document), plain or compressed as `.gz` or
/// `.zst`; of several gzip members or zstd frames all are read.
///
/// # Errors
/// When the file cannot be opened or has another ending.
pub fn read_documents(path: &Path, text_field: &str) -> Result<DocumentReader, DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let packed = ["gz", "zst"].into_iter().find_map(|ending| {
        let inner = name.strip_suffix(ending)?.strip_suffix('.')?;
        Some((inner, ending))
    });
    let plain = match packed.map_or(&name[..], |(inner, _)| inner).rsplit_once('.').map(|(_, ending)| ending) {
        Some("jsonl" | "ndjson") => false,
        Some("txt" | "text") => true,
        Some("parquet") => return Err(wrong_format(path, "Parquet is not read yet; write it as .jsonl.gz")),
        _ => {
            return Err(wrong_format(
                path,
                "expected a name ending in .jsonl or .txt, perhaps with .gz or .zst after it",
            ));
        }
    };
    let file = File::open(path).map_err(FileError::io("read", path))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(wrong_format(path, "this is a folder; name its files"));
    }
    let bytes: Box<dyn Read> = match packed {
        Some((_, "gz")) => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        Some(_) => Box::new(zstd::Decoder::new(file).map_err(FileError::io("read", path))?),
        None => Box::new(file),
    };
    let lines = Box::new(BufReader::with_capacity(1 << 16, bytes));
    Ok(DocumentReader {
        path: path.to_path_buf(),
        text_field: text_field.to_owned(),
        route_field: None,
        lines: Some(lines),
        plain,
        line: 0,
    })
}

fn wrong_format(path: &Path, found: &str) -> DataError {
    FileError::content(path, found).into()
}

impl DocumentReader {
    /// With this field of each document as its route, which every document then must have: a text, a number, or true or false.
    pub fn routed_by(self, field: Option<&str>) -> Self {
        Self { route_field: field.map(str::to_owned), ..self }
    }

    fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, DataError> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = if self.plain { lines.read_to_end(&mut bytes) } else { lines.read_until(b'\n', &mut bytes) };
        self.line += 1;
        match read {
            // What zstd says of its frames has no kind of its own.
            Err(error) if error.kind() == std::io::ErrorKind::Other => {
                Err(wrong_format(&self.path, &format!("cannot be decompressed: {error}")))
            }
            Err(error) => Err(FileError::io("read", &self.path)(error).into()),
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(bytes)),
        }
    }

    fn next_document(&mut self) -> Result<Option<Document>, DataError> {
        while let Some(bytes) = self.next_bytes()? {
            let content = String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                self.wrong_line(format!("byte {at} is not UTF-8; convert the file to UTF-8"))
            })?;
            let (text, route) = if self.plain {
                self.lines = None;
                if let Some(field) = &self.route_field {
                    return Err(
                        self.wrong_line(format!("a file of text has no field '{field}', which routes documents"))
                    );
                }
                (content, None)
            } else if content.trim().is_empty() {
                continue;
            } else {
                self.fields_of(&content)?
            };
            if !text.trim().is_empty() {
                return Ok(Some(Document { text, route }));
            }
        }
        Ok(None)
    }

    /// Text and route.
    fn fields_of(&self, line: &str) -> Result<(String, Option<String>), DataError> {
        let field = &self.text_field;
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|error| self.wrong_line(format!("not JSON: {error}")))?;
        let Some(object) = value.as_object() else {
            return Err(self.wrong_line(format!("expected an object with a field '{field}'")));
        };
        match object.get(field) {
            Some(serde_json::Value::String(text)) => Ok((text.clone(), self.route_of(object)?)),
            Some(_) => Err(self.wrong_line(format!("field '{field}' is not a string"))),
            None => {
                let found: Vec<&str> = object.keys().map(String::as_str).collect();
                let fields = found.join(", ");
                Err(self.wrong_line(format!("no field '{field}'; found: {fields}; set data.text_field")))
            }
        }
    }

    fn route_of(&self, object: &serde_json::Map<String, serde_json::Value>) -> Result<Option<String>, DataError> {
        use serde_json::Value;
        let Some(field) = &self.route_field else { return Ok(None) };
        match object.get(field) {
            Some(Value::String(route)) => Ok(Some(route.clone())),
            Some(route @ (Value::Bool(_) | Value::Number(_))) => Ok(Some(route.to_string())),
            Some(_) => {
                Err(self
                    .wrong_line(format!("field '{field}', which routes documents, is no text, number, true or false")))
            }
            None => Err(self.wrong_line(format!("no field '{field}', which routes documents (data.route_field)"))),
        }
    }

    fn wrong_line(&self, found: String) -> DataError {
        DataError::Line { path: self.path.clone(), line: self.line, found }
    }
}

impl Iterator for DocumentReader {
    type Item = Result<Document, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_document();
        if next.is_err() {
            self.lines = None;
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<String>, DataError> {
        let path = std::env::temp_dir().join(format!("tutelage-documents-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let documents = read_documents(&path, "text").and_then(|r| r.map(|d| d.map(|d| d.text)).collect());
        std::fs::remove_file(&path).unwrap();
        documents
    }

    #[test]
    fn formats_are_read() {
        let jsonl = b"{\"text\":\"one\"}\n\n{\"text\":\"  \"}\n{\"id\":3,\"text\":\"two\\n\"}";
        assert_eq!(read("a.jsonl", jsonl).unwrap(), ["one", "two\n"]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(jsonl).unwrap();
        assert_eq!(read("a.jsonl.gz", &gz.finish().unwrap()).unwrap(), ["one", "two\n"]);
        // Two frames: files that were written one after the other.
        let frame = |bytes| zstd::encode_all(bytes, 3).unwrap();
        let zst = [frame(&jsonl[..20]), frame(&jsonl[20..])].concat();
        assert_eq!(read("a.jsonl.zst", &zst).unwrap(), ["one", "two\n"]);
        assert_eq!(read("a.txt.zst", &frame(b"a\nb\n")).unwrap(), ["a\nb\n"]);
        assert_eq!(read("a.txt", b"a\nb\n").unwrap(), ["a\nb\n"]);
        assert!(read("empty.txt", b"").unwrap().is_empty());
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let jsonl: Vec<u8> =
            (0..400).flat_map(|i| format!("{{\"text\":\"number {}\"}}\n", i * 7919).into_bytes()).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&jsonl).unwrap();
        for (name, whole) in
            [("k.jsonl.gz", gz.finish().unwrap()), ("k.jsonl.zst", zstd::encode_all(&jsonl[..], 3).unwrap())]
        {
            assert_eq!(read(name, &whole).unwrap().len(), 400);
            let error = read(name, &whole[..whole.len() - 7]).unwrap_err();
            assert!(error.is_request() && error.to_string().contains("cannot read"), "{name}: {error}");
        }
    }

    #[test]
    fn faults_are_named() {
        for (name, bytes, message) in [
            ("b.jsonl", &b"{\"text\":\"a\"}\n{\"body\":\"b\"}\n"[..], "line 2: no field 'text'; found: body"),
            ("c.jsonl", b"{\"text\":3}", "not a string"),
            ("d.jsonl", b"{\"text\":\"a\"}\n\xff\n", "line 2: byte 0 is not UTF-8"),
            ("e.jsonl", b"{\"text\":", "line 1: not JSON"),
            ("f.jsonl.gz", b"plain", "cannot read"),
            ("g.jsonl.zst", b"plain", "cannot be decompressed"),
            ("i.zst", b"", "expected a name ending"),
            ("h.csv", b"", "expected a name ending"),
        ] {
            let error = read(name, bytes).unwrap_err();
            assert!(error.is_request() && error.to_string().contains(message), "{error}");
        }
    }
}
