//! Evaluation sets: every item a text, whatever file it stands in.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tutelage_run::{FileError, read_bytes, read_text};

use crate::CorpusError;

/// One item of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Which of its file, counted from one.
    pub(super) place: u32,
    /// All its texts that were asked for, a line each.
    pub(super) text: String,
}

/// The files of a set: a file, or all of a folder whose kind is known, in the order of their names.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let io = |error| FileError::io("read", &folder)(error);
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if kind(&path).is_some() {
                found.push(path);
            }
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(FileError::content(path, format!("no evaluation set here; {KINDS}")).into()),
        false => Ok(found),
    }
}

const KINDS: &str = "files of sets end in .jsonl, .json, .csv, .tsv or .txt, .jsonl perhaps with .gz after it";

#[derive(Debug, Clone, Copy)]
enum Kind {
    Lines,
    PackedLines,
    Json,
    Table(u8),
    Text,
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    if name.starts_with('.') {
        return None;
    }
    Some(match name.rsplit_once('.')?.1 {
        "jsonl" => Kind::Lines,
        "gz" if name.ends_with(".jsonl.gz") => Kind::PackedLines,
        "json" => Kind::Json,
        "csv" => Kind::Table(b','),
        "tsv" => Kind::Table(b'\t'),
        "txt" => Kind::Text,
        _ => return None,
    })
}

/// The items of a file: of JSON every member of its list, of a table every row, of a text every paragraph. Of objects the fields
/// named, or all.
pub(super) fn items(path: &Path, fields: &[String]) -> Result<Vec<Item>, CorpusError> {
    let Some(kind) = kind(path) else {
        return Err(FileError::content(path, format!("its name says no kind of evaluation set; {KINDS}")).into());
    };
    let wrong = |found: String| CorpusError::from(FileError::content(path, found));
    let lines_of = |text: &str| {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parsed = lines.map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| wrong(format!("line {}: not JSON: {error}", i + 1)))
        });
        parsed.collect::<Result<Vec<Value>, CorpusError>>()
    };
    let texts: Vec<String> = match kind {
        Kind::Lines => lines_of(&read_text(path)?)?.iter().map(|value| text_of(value, fields)).collect(),
        Kind::PackedLines => {
            let mut text = String::new();
            let bytes = read_bytes(path)?;
            std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&bytes[..]), &mut text)
                .map_err(FileError::io("read", path))?;
            lines_of(&text)?.iter().map(|value| text_of(value, fields)).collect()
        }
        Kind::Json => {
            let text = read_text(path)?;
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => members(&value).iter().map(|value| text_of(value, fields)).collect(),
                // Many sets that are called .json have an object a line.
                Err(error) => match lines_of(&text) {
                    Ok(values) if values.len() > 1 => values.iter().map(|value| text_of(value, fields)).collect(),
                    _ => return Err(wrong(format!("not JSON: {error}"))),
                },
            }
        }
        Kind::Table(separator) => {
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(separator)
                .has_headers(false)
                .flexible(true)
                .from_path(path)
                .map_err(|error| wrong(format!("cannot be read as a table: {error}")))?;
            let rows = reader.records().map(|row| {
                let row = row.map_err(|error| wrong(format!("cannot be read as a table: {error}")))?;
                Ok(row.iter().collect::<Vec<_>>().join("\n"))
            });
            rows.collect::<Result<_, CorpusError>>()?
        }
        Kind::Text => read_text(path)?.split("\n\n").map(str::to_owned).collect(),
    };
    let items = (1u32..).zip(texts).filter(|(_, text)| !text.trim().is_empty());
    let items: Vec<Item> = items.map(|(place, text)| Item { place, text }).collect();
    if items.is_empty() {
        let which = if fields.is_empty() { String::new() } else { format!(" in the fields {}", fields.join(", ")) };
        return Err(wrong(format!("there is no text{which}")));
    }
    Ok(items)
}

/// The items in a file of JSON: of the list that it is, or the longest list that it has.
fn members(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        Value::Object(map) => {
            let lists = map.values().filter_map(Value::as_array);
            lists.max_by_key(|list| list.len()).cloned().unwrap_or_else(|| vec![value.clone()])
        }
        _ => vec![value.clone()],
    }
}

/// Every string, in order, of the fields named, or of all.
fn text_of(value: &Value, fields: &[String]) -> String {
    let mut out = Vec::new();
    match value {
        Value::Object(map) if !fields.is_empty() => {
            fields.iter().filter_map(|field| map.get(field)).for_each(|value| strings(value, &mut out));
        }
        _ => strings(value, &mut out),
    }
    out.join("\n")
}

fn strings<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(list) => list.iter().for_each(|value| strings(value, out)),
        Value::Object(map) => map.values().for_each(|value| strings(value, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use tutelage_testkit::Scratch;

    use super::*;

    #[test]
    fn sets_are_read_in_every_form() {
        let folder = Scratch::new("decontaminate-sets");
        let read = |name: &str, content: &str, fields: &[&str]| {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
            items(&path, &fields).map(|items| items.into_iter().map(|item| item.text).collect::<Vec<_>>())
        };
        let lines = "{\"q\":\"one\",\"a\":{\"x\":[\"two\",3]}}\n\n{\"q\":\"three\"}\n";
        assert_eq!(read("a.jsonl", lines, &[]).unwrap(), ["one\ntwo", "three"]);
        assert_eq!(read("a.jsonl", lines, &["q"]).unwrap(), ["one", "three"]);
        assert_eq!(read("lines.json", lines, &[]).unwrap(), ["one\ntwo", "three"]);
        assert_eq!(
            read("b.json", "{\"canary\":\"x\",\"examples\":[{\"i\":\"a\"},{\"i\":\"b\"}]}", &[]).unwrap(),
            ["a", "b"]
        );
        assert_eq!(read("c.json", "[\"a\",\"b\"]", &[]).unwrap(), ["a", "b"]);
        assert_eq!(read("d.csv", "\"a, b\",c\nd\n", &[]).unwrap(), ["a, b\nc", "d"]);
        assert_eq!(read("e.txt", "one\ntwo\n\nthree", &[]).unwrap(), ["one\ntwo", "three"]);
        assert!(read("f.jsonl", "{", &[]).unwrap_err().to_string().contains("line 1"));
        assert!(read("g.jsonl", "{\"q\":\"one\"}", &["z"]).unwrap_err().to_string().contains("fields z"));
        assert!(read("h.pdf", "", &[]).unwrap_err().to_string().contains("no kind"));
        assert_eq!(files(&folder).unwrap().len(), 8);
    }
}
