//! Reading a recipe, and `--set`.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use tutelage_run::{FileError, read_text};

use crate::RecipeError;
use crate::spec::{ModelSpec, RecipeSpec};

/// A recipe as read, with overrides applied.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its file.
    pub path: PathBuf,
    /// What it says; paths are absolute.
    pub spec: RecipeSpec,
}

impl Recipe {
    /// The whole recipe as TOML, defaults and overrides included: it can be run again.
    ///
    /// # Errors
    /// When it cannot be written as TOML.
    pub fn resolved(&self) -> Result<String, RecipeError> {
        toml::to_string_pretty(&self.spec).map_err(|e| RecipeError::request(format!("recipe as TOML: {e}")))
    }
}

/// Reads a recipe and applies `key=value` overrides, keys as `training.student.steps` or `runs.NAME.seeds`.
///
/// # Errors
/// When the file is missing or not a recipe, or an override does not fit.
pub fn load(path: &Path, overrides: &[String]) -> Result<Recipe, RecipeError> {
    let text = read_text(path)?;
    let wrong = |error: toml::de::Error| FileError::content(path, format!("not a recipe\n{error}"));
    let mut spec: RecipeSpec = toml::from_str(&text).map_err(wrong)?;
    if !overrides.is_empty() {
        let mut table: Table = text.parse().map_err(wrong)?;
        for item in overrides {
            apply(&mut table, item)?;
        }
        spec = Value::Table(table)
            .try_into()
            .map_err(|e| RecipeError::request(format!("--set {}: {e}", overrides.join(" --set "))))?;
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let stored = spec.models.values_mut().filter_map(|model| match model {
        ModelSpec::Stored(stored) => Some(&mut stored.from),
        ModelSpec::New(_) => None,
    });
    let keys = spec.servers.values_mut().filter_map(|server| server.api_key_file.as_mut());
    let captures = spec.caches.values_mut().filter_map(|cache| cache.capture.as_mut());
    let paths = spec
        .data
        .documents
        .iter_mut()
        .chain(&mut spec.data.mix)
        .chain(&mut spec.tokenizer.from)
        .chain(stored)
        .chain(keys)
        .chain(captures);
    for path in paths {
        let joined = folder.join(&*path);
        // A missing file is named later, with the path the recipe gives.
        *path = joined.canonicalize().unwrap_or(joined);
    }
    Ok(Recipe { path: path.to_path_buf(), spec })
}

/// Sets `key=value` in a table.
pub(crate) fn apply(table: &mut Table, item: &str) -> Result<(), RecipeError> {
    let (key, value) = item
        .split_once('=')
        .ok_or_else(|| RecipeError::request(format!("--set {item}: expected key=value, as in seed=3")))?;
    let fault = |found: String| RecipeError::request(format!("--set {item}: {found}"));
    // A bare word that is no TOML value is a string.
    let value = format!("v = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    let value = value.unwrap_or_else(|| Value::String(item[key.len() + 1..].to_owned()));
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    if last.is_empty() || parts.iter().any(|p| p.is_empty()) {
        return Err(fault("a part of the key is empty".to_owned()));
    }
    let mut at = table;
    for part in parts {
        let next = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
        at = match next {
            Value::Table(table) => table,
            Value::Array(_) => return apply_in_array(next, key, part, value).map_err(fault),
            _ => return Err(fault(format!("'{part}' is a value, not a table"))),
        };
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// Sets `ARRAY.NAME.key...` in the table of the array that has that name, or that index.
fn apply_in_array(array: &mut Value, key: &str, part: &str, value: Value) -> Result<(), String> {
    let rest: Vec<&str> = key.split('.').skip_while(|p| *p != part).skip(1).collect();
    let [name, inner @ .., last] = &rest[..] else {
        return Err(format!("'{part}' is a list; name one of its members, as in {part}.NAME.key"));
    };
    let members = array.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    let names: Vec<String> =
        members.iter().map(|m| m.get("name").and_then(Value::as_str).unwrap_or("?").to_owned()).collect();
    let index = names.iter().position(|n| n == name).or_else(|| name.parse().ok());
    let member = index.and_then(|i| members.get_mut(i)).and_then(Value::as_table_mut);
    let mut at = member.ok_or_else(|| format!("'{part}' has no '{name}'; it has {}", names.join(", ")))?;
    for part in inner {
        let next = at.entry(*part).or_insert_with(|| Value::Table(Table::new()));
        at = next.as_table_mut().ok_or_else(|| format!("'{part}' is a value, not a table"))?;
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, item: &str) -> Result<Table, RecipeError> {
        let mut table = text.parse().unwrap();
        apply(&mut table, item).map(|()| table)
    }

    #[test]
    fn overrides_reach_tables_and_named_members() {
        let text = "a = 1\n[b]\nc = 2\n[[runs]]\nname = 'x'\n[[runs]]\nname = 'y'\n";
        assert_eq!(set(text, "a=5").unwrap()["a"].as_integer(), Some(5));
        assert_eq!(set(text, "b.c=0.5").unwrap()["b"]["c"].as_float(), Some(0.5));
        assert_eq!(set(text, "b.d=word").unwrap()["b"]["d"].as_str(), Some("word"));
        assert_eq!(set(text, "runs.y.seeds=[1, 2]").unwrap()["runs"][1]["seeds"][1].as_integer(), Some(2));
        assert_eq!(set(text, "runs.0.teacher.alpha=1").unwrap()["runs"][0]["teacher"]["alpha"].as_integer(), Some(1));
        for wrong in ["a", "=1", "b..c=1", "a.b=1", "runs.z.name=1", "runs.x=3"] {
            let result = set(text, wrong);
            assert!(result.unwrap_err().is_request(), "{wrong}");
        }
    }
}
