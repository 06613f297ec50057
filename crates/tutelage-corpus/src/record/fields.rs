//! The fields of a JSON object, in order, each value as it was written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Names and values.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

type Pair = (String, Box<RawValue>);

impl Fields {
    pub(super) fn read(json: &str) -> Result<Self, serde_json::Error> {
        Parsed::read(json, "").map(|parsed| parsed.fields)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &name[..])
    }

    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub(super) fn set<T: Serialize>(&mut self, name: &str, value: &T) {
        // Only maps with keys that are no strings fail, which no caller has; null keeps the field's place then.
        let value = to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Where it stood.
    pub(super) fn remove(&mut self, name: &str) -> Option<usize> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        self.0.remove(at);
        Some(at)
    }

    pub(super) fn split_at(&self, at: usize) -> (&[Pair], &[Pair]) {
        self.0.split_at(at.min(self.0.len()))
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An object whose text is taken out.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) text: Option<String>,
    pub(super) text_at: usize,
    pub(super) fields: Fields,
}

impl Parsed {
    /// With an empty name no field is the text.
    pub(super) fn read(json: &str, text_field: &str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let parsed = deserializer.deserialize_map(Reader { text_field })?;
        deserializer.end()?;
        Ok(parsed)
    }
}

struct Reader<'n> {
    text_field: &'n str,
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyReader;
        impl<'de> Visitor<'de> for KeyReader {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyReader)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut parsed = Parsed { text: None, text_at: 0, fields: Fields::default() };
        let mut seen = false;
        while let Some(Key(name)) = map.next_key()? {
            if self.text_field.is_empty() || name != self.text_field {
                parsed.fields.0.push((name.into_owned(), map.next_value()?));
            } else if seen {
                return Err(A::Error::custom(format_args!("the field '{name}' stands there twice")));
            } else {
                seen = true;
                parsed.text = map.next_value()?;
                parsed.text_at = parsed.fields.len();
            }
        }
        Ok(parsed)
    }
}

pub(super) fn write_name(out: &mut Vec<u8>, first: &mut bool, name: &str) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    write_string(out, name);
    out.push(b':');
}

pub(super) fn write_field(out: &mut Vec<u8>, first: &mut bool, name: &str, value: &[u8]) {
    write_name(out, first, name);
    out.extend_from_slice(value);
}

pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}
