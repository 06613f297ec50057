//! One document on its way through the stages: a text, and every other field as it was written.

mod fields;
mod surrogates;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::Reason;
use fields::{Fields, Parsed};

/// A document. Its other fields keep their order and, digit by digit, what was written.
#[derive(Debug, Clone)]
pub struct Record {
    /// The text.
    pub text: String,
    /// Name of the field that holds it.
    text_field: String,
    /// Whether the field was there.
    has_text: bool,
    /// How many fields stand before it.
    text_at: usize,
    fields: Fields,
    /// Whether halves of surrogate pairs were replaced, so that the line could be read.
    repaired: bool,
}

/// Why a line is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Under what it is counted.
    pub reason: Reason,
    /// What was found.
    pub found: String,
}

impl Record {
    /// A document of a text alone.
    pub fn new(text_field: &str, text: String) -> Self {
        let (text_field, fields) = (text_field.to_owned(), Fields::default());
        Self { text, text_field, has_text: true, text_at: 0, fields, repaired: false }
    }

    /// A document without a text as yet: a page that is still to be read.
    pub fn without_text(text_field: &str) -> Self {
        Self { has_text: false, ..Self::new(text_field, String::new()) }
    }

    /// Reads a line of JSONL. Escapes of half a surrogate pair, which JSON of other programs has, become U+FFFD.
    ///
    /// # Errors
    /// When it is no JSON object, or its field `text_field` is no string or stands there twice.
    pub fn parse(line: &[u8], text_field: &str) -> Result<Self, Fault> {
        let fault = |reason, found: String| Fault { reason, found };
        let line = std::str::from_utf8(line)
            .map_err(|error| fault(Reason::NotUtf8, format!("byte {} is not UTF-8", error.valid_up_to())))?;
        let (parsed, repaired) = match Parsed::read(line, text_field) {
            Ok(parsed) => (parsed, false),
            Err(error) => match surrogates::replaced(line).map(|line| Parsed::read(&line, text_field)) {
                Some(Ok(parsed)) => (parsed, true),
                _ => return Err(fault(Reason::NotJson, error.to_string())),
            },
        };
        let Parsed { text, text_at, fields } = parsed;
        let has_text = text.is_some();
        let text = text.unwrap_or_default();
        Ok(Self { text, text_field: text_field.to_owned(), has_text, text_at, fields, repaired })
    }

    /// The same document, for stages that need a text.
    ///
    /// # Errors
    /// When there is none.
    pub fn with_text(self) -> Result<Self, Fault> {
        if self.has_text {
            return Ok(self);
        }
        let names: Vec<&str> = self.fields.names().collect();
        let found = match names[..] {
            [] => format!("no field '{}'; the object is empty", self.text_field),
            _ => format!("no field '{}'; found: {}", self.text_field, names.join(", ")),
        };
        Err(Fault { reason: Reason::NoText, found })
    }

    /// Whether there is a text.
    pub fn has_text(&self) -> bool {
        self.has_text
    }

    /// Whether the line had halves of surrogate pairs.
    pub fn is_repaired(&self) -> bool {
        self.repaired
    }

    /// Gives it a text.
    pub fn set_text(&mut self, text: String) {
        if !self.has_text {
            (self.has_text, self.text_at) = (true, self.fields.len());
        }
        self.text = text;
    }

    /// A field of the document, or of its `meta`.
    pub fn get(&self, name: &str) -> Option<Box<RawValue>> {
        self.fields.get(name).map(ToOwned::to_owned).or_else(|| self.meta()?.get(name).map(ToOwned::to_owned))
    }

    /// The same, where it is a string or a number.
    pub fn string(&self, name: &str) -> Option<String> {
        match serde_json::from_str(self.get(name)?.get()).ok()? {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The same, where it is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    fn meta(&self) -> Option<Fields> {
        Fields::read(self.fields.get("meta")?.get()).ok()
    }

    /// Sets a field beside the text.
    pub fn set<T: Serialize>(&mut self, name: &str, value: &T) {
        self.fields.set(name, value);
    }

    /// Sets a field where the document has one of that name, and in its `meta` otherwise.
    pub fn note<T: Serialize>(&mut self, name: &str, value: &T) {
        if self.fields.get(name).is_some() {
            return self.fields.set(name, value);
        }
        let mut meta = self.meta().unwrap_or_default();
        meta.set(name, value);
        self.fields.set("meta", &meta);
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) {
        if let Some(at) = self.fields.remove(name)
            && at < self.text_at
        {
            self.text_at -= 1;
        }
    }

    /// Its fields but the text and `id`, as one JSON object: those of its `meta`, and those beside it; nothing where there are none.
    #[cfg(feature = "parquet")]
    pub(crate) fn others(&self) -> Option<String> {
        let mut all = self.meta().unwrap_or_default();
        let has_meta = self.meta().is_some();
        for (name, value) in self.fields.split_at(usize::MAX).0 {
            if name != "id" && !(has_meta && name == "meta") {
                all.set(name, value);
            }
        }
        // Names are strings, so this is always an object.
        if all.len() == 0 { None } else { serde_json::to_string(&all).ok() }
    }

    /// Appends it as a line of JSONL.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        let (before, after) = self.fields.split_at(self.text_at);
        for (name, value) in before {
            fields::write_field(out, &mut first, name, value.get().as_bytes());
        }
        if self.has_text {
            fields::write_name(out, &mut first, &self.text_field);
            fields::write_string(out, &self.text);
        }
        for (name, value) in after {
            fields::write_field(out, &mut first, name, value.get().as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(line: &str) -> String {
        let mut out = Vec::new();
        Record::parse(line.as_bytes(), "text").unwrap().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_comes_back_as_it_was_written() {
        // A number of 30 digits and one with an exponent would not live through any number type.
        let line =
            r#"{"id":"a/1","n":123456789012345678901234567890,"text":"one\ntwo \"x\"","meta":{"x":1.50e3,"y":[1, 2]}}"#;
        assert_eq!(round(line), format!("{line}\n"));
        assert_eq!(round("{\"text\":\"\"}"), "{\"text\":\"\"}\n");
        assert_eq!(round("{\"html\":\"<p>\"}"), "{\"html\":\"<p>\"}\n");
        assert_eq!(round("{}"), "{}\n");
    }

    #[test]
    fn halves_of_surrogate_pairs_are_replaced() {
        // A whole pair, a high half alone, a low half alone, and an escaped backslash before what only looks like one.
        let line = br#"{"text":"\ud83d\ude00 \ud83dx \ude00 \\ud83d"}"#;
        let record = Record::parse(line, "text").unwrap();
        assert_eq!(record.text, "\u{1f600} \u{fffd}x \u{fffd} \\ud83d");
        assert!(record.is_repaired());
        assert!(!Record::parse(br#"{"text":"\ud83d\ude00"}"#, "text").unwrap().is_repaired());
    }

    #[test]
    fn faults_are_told_apart() {
        for (line, reason, found) in [
            (&b"{\"text\":"[..], Reason::NotJson, "EOF"),
            (b"[1]", Reason::NotJson, "expected"),
            (b"{\"text\":3}", Reason::NotJson, "string"),
            (b"{\"text\":\"a\",\"text\":\"b\"}", Reason::NotJson, "twice"),
            (b"{\"text\":\"\xff\"}", Reason::NotUtf8, "byte 9"),
            (b"{\"body\":\"a\"}", Reason::NoText, "found: body"),
            (b"{\"text\":null}", Reason::NoText, "no field 'text'"),
        ] {
            let fault = Record::parse(line, "text").and_then(Record::with_text).unwrap_err();
            assert_eq!(fault.reason, reason, "{}", fault.found);
            assert!(fault.found.contains(found), "{}", fault.found);
        }
    }

    #[test]
    fn fields_are_found_and_set_in_meta() {
        let mut record = Record::parse(br#"{"id":7,"text":"a","meta":{"url":"http://x"}}"#, "text").unwrap();
        assert_eq!(record.string("url").as_deref(), Some("http://x"));
        assert_eq!(record.string("id").as_deref(), Some("7"));
        record.note("language", &"en");
        record.note("id", &"b");
        record.remove("url");
        let mut out = Vec::new();
        record.write(&mut out);
        assert_eq!(out, b"{\"id\":\"b\",\"text\":\"a\",\"meta\":{\"url\":\"http://x\",\"language\":\"en\"}}\n");
        record.remove("id");
        record.set_text("z".to_owned());
        let mut out = Vec::new();
        record.write(&mut out);
        assert_eq!(out, b"{\"text\":\"z\",\"meta\":{\"url\":\"http://x\",\"language\":\"en\"}}\n");
    }
}
