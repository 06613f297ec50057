//! The documents that a recipe trains on: read as every stage reads them, but nothing may be damaged or guessed at. What is not whole is
//! put right by the stages, which count it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tutelage_corpus::{Found, InputFiles, JobSettings, Reason, Record, documents};
use tutelage_run::{FileError, hash_file};

use crate::RecipeError;
use crate::spec::DataSpec;

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// The text, never blank.
    pub(crate) text: String,
    /// What stands in the field that routes documents to teachers, if one was asked for.
    pub(crate) route: Option<String>,
}

/// Where documents are, and in which fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Documents<'a> {
    /// Files, folders of files, and folders that a stage wrote.
    pub(crate) inputs: &'a [PathBuf],
    pub(crate) text_field: &'a str,
    /// A text, a number, true or false, which every document then has to have.
    pub(crate) route_field: Option<&'a str>,
}

/// Tokens of a longer document would not have a number.
const MOST_BYTES: usize = i32::MAX as usize;

impl<'a> Documents<'a> {
    /// Those of a recipe.
    pub(crate) fn of(data: &'a DataSpec) -> Self {
        Self { inputs: &data.documents, text_field: &data.text_field, route_field: data.route_field.as_deref() }
    }

    /// All of them that are not blank, in the order of their files.
    pub(crate) fn read(self) -> Result<impl Iterator<Item = Result<Document, RecipeError>> + 'a, RecipeError> {
        let settings = JobSettings {
            text_field: self.text_field.to_owned(),
            max_record_bytes: MOST_BYTES,
            ..JobSettings::default()
        };
        let found = documents(self.inputs, &settings)?;
        Ok(found
            .filter_map(move |found| found.map_err(RecipeError::from).and_then(|found| self.whole(found)).transpose()))
    }

    /// Hashes of the files' contents, so that documents that were moved are still the same.
    pub(crate) fn fingerprint(self) -> Result<String, RecipeError> {
        let mut out = String::new();
        for path in InputFiles::of(self.inputs)?.files {
            out.push_str(&format!(" {}", hash_file(&path)?));
        }
        Ok(out)
    }

    fn whole(self, found: Found) -> Result<Option<Document>, RecipeError> {
        let Found { file, place, record } = found;
        let is_lines = file.contains(".jsonl") || file.contains(".ndjson");
        let wrong = |found: String| {
            let what = if is_lines { "line" } else { "document" };
            RecipeError::from(FileError::content(Path::new(&file), format!("{what} {place}: {found}")))
        };
        let record = record.and_then(Record::with_text).map_err(|fault| match fault.reason {
            Reason::NoText => wrong(format!("{}; set data.text_field", fault.found)),
            Reason::NotJson => wrong(format!("not JSON: {}", fault.found)),
            _ => wrong(format!("{}; 'tutelage data read' leaves out what is damaged", fault.found)),
        })?;
        if record.is_repaired() {
            return Err(wrong(
                "has half of a surrogate pair; 'tutelage data read' puts U+FFFD in its place, and counts".to_owned(),
            ));
        }
        if !is_lines && let Some(encoding) = record.string("encoding") {
            let found =
                format!("is {encoding}, it seems, and not UTF-8; 'tutelage data read' reads it as that, and says so");
            return Err(wrong(found));
        }
        if record.text.trim().is_empty() {
            return Ok(None);
        }
        let route = self.route_field.map(|field| route(&record, field).map_err(wrong)).transpose()?;
        Ok(Some(Document { text: record.text, route }))
    }
}

fn route(record: &Record, field: &str) -> Result<String, String> {
    let Some(value) = record.get(field) else {
        return Err(format!("no field '{field}', which routes documents (data.route_field)"));
    };
    match serde_json::from_str(value.get()) {
        Ok(Value::String(route)) => Ok(route),
        Ok(route @ (Value::Bool(_) | Value::Number(_))) => Ok(route.to_string()),
        _ => Err(format!("field '{field}', which routes documents, is no text, number, true or false")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tutelage_testkit::Scratch;

    use super::*;

    fn read(name: &str, bytes: &[u8], route_field: Option<&str>) -> Result<Vec<Document>, RecipeError> {
        // Tests run beside each other; a thread has its test's name.
        let test = std::thread::current().name().unwrap_or_default().replace("::", "-");
        let scratch = Scratch::new(&test);
        let inputs = [scratch.join(name)];
        std::fs::write(&inputs[0], bytes).unwrap();
        Documents { inputs: &inputs, text_field: "text", route_field }.read()?.collect()
    }

    fn texts(name: &str, bytes: &[u8]) -> Vec<String> {
        read(name, bytes, None).unwrap().into_iter().map(|document| document.text).collect()
    }

    #[test]
    fn formats_are_read() {
        let jsonl = b"{\"text\":\"one\"}\n\n{\"text\":\"  \"}\n{\"id\":3,\"text\":\"two\\n\"}";
        assert_eq!(texts("a.jsonl", jsonl), ["one", "two\n"]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(jsonl).unwrap();
        assert_eq!(texts("a.jsonl.gz", &gz.finish().unwrap()), ["one", "two\n"]);
        // Two frames: files that were written one after the other.
        let frame = |bytes| zstd::encode_all(bytes, 3).unwrap();
        assert_eq!(texts("a.jsonl.zst", &[frame(&jsonl[..20]), frame(&jsonl[20..])].concat()), ["one", "two\n"]);
        assert_eq!(texts("a.txt.zst", &frame(b"a\nb\n")), ["a\nb\n"]);
        assert_eq!(texts("a.txt", b"a\nb\n"), ["a\nb\n"]);
        assert!(texts("empty.txt", b"").is_empty());
    }

    #[test]
    fn a_folder_is_its_files() {
        let scratch = Scratch::new("training-folder");
        let folder = scratch.join("texts");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in [("b.txt", "second"), ("a.txt", "first"), ("c.csv", "left,out")] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        std::fs::write(folder.join("d.jsonl"), "{\"text\":\"third\"}\n").unwrap();
        let inputs = [folder.clone()];
        let documents = Documents { inputs: &inputs, text_field: "text", route_field: None };
        let mut found: Vec<String> = documents.read().unwrap().map(|document| document.unwrap().text).collect();
        found.sort();
        assert_eq!(found, ["first", "second", "third"]);
        // Moved, the documents are the same; changed, they are not.
        let before = documents.fingerprint().unwrap();
        let moved = [scratch.join("moved")];
        std::fs::rename(&folder, &moved[0]).unwrap();
        let documents = Documents { inputs: &moved, ..documents };
        assert_eq!(documents.fingerprint().unwrap(), before);
        std::fs::write(moved[0].join("a.txt"), "changed").unwrap();
        assert_ne!(documents.fingerprint().unwrap(), before);
    }

    #[test]
    fn routes_are_texts_of_a_field() {
        let lines =
            b"{\"text\":\"a\",\"to\":\"x\"}\n{\"text\":\"b\",\"to\":7}\n{\"text\":\"c\",\"meta\":{\"to\":true}}\n";
        let routes: Vec<_> =
            read("r.jsonl", lines, Some("to")).unwrap().into_iter().map(|d| d.route.unwrap()).collect();
        assert_eq!(routes, ["x", "7", "true"]);
        for (line, message) in
            [(&b"{\"text\":\"a\"}"[..], "no field 'to'"), (b"{\"text\":\"a\",\"to\":[1]}", "is no text, number")]
        {
            let error = read("r.jsonl", line, Some("to")).unwrap_err().to_string();
            assert!(error.contains("line 1") && error.contains(message), "{error}");
        }
    }

    #[test]
    fn damage_is_refused() {
        let jsonl: Vec<u8> =
            (0..400).flat_map(|i| format!("{{\"text\":\"number {}\"}}\n", i * 7919).into_bytes()).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&jsonl).unwrap();
        let (gz, zst) = (gz.finish().unwrap(), zstd::encode_all(&jsonl[..], 3).unwrap());
        assert_eq!((texts("k.jsonl.gz", &gz).len(), texts("k.jsonl.zst", &zst).len()), (400, 400));
        for (name, bytes, message) in [
            ("a.jsonl.gz", &gz[..gz.len() - 7], "'tutelage data read' leaves out"),
            ("a.jsonl.zst", &zst[..zst.len() - 7], "'tutelage data read' leaves out"),
            (
                "b.jsonl",
                b"{\"text\":\"a\"}\n{\"body\":\"b\"}\n",
                "line 2: no field 'text'; found: body; set data.text_field",
            ),
            ("c.jsonl", b"{\"text\":3}", "line 1"),
            ("d.jsonl", b"{\"text\":\"a\"}\n\xff\n", "line 2: byte 0 is not UTF-8"),
            ("e.jsonl", b"{\"text\":", "line 1: not JSON"),
            ("f.jsonl.gz", b"plain", "f.jsonl.gz"),
            ("g.jsonl.zst", b"plain", "g.jsonl.zst"),
            ("h.csv", b"", "files end in"),
            ("i.jsonl", b"{\"text\":\"a\\ud83d\"}", "half of a surrogate pair"),
            ("j.txt", b"Sch\xf6ne Gr\xfc\xdfe aus K\xf6ln", "not UTF-8"),
            ("k.html", b"<p>a page", "no field 'text'; found: html"),
        ] {
            let error = read(name, bytes, None).unwrap_err();
            assert!(error.is_request() && error.to_string().contains(message), "{name}: {error}");
        }
    }
}
