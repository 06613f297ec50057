//! The settings of the stage: a preset, and what is different from it, everywhere, in a language, in a domain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Preset, RuleName, RuleSet};
use crate::CorpusError;
use crate::job::value_of;

/// Settings of the stage `rules`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesSettings {
    /// The rules to begin from.
    pub preset: Preset,
    /// Code of the language; `auto` for what each document's field `language` says, or else looks like.
    pub language: String,
    /// Field of a document, or of its `meta`, by which `by_domain` is chosen.
    pub domain_field: String,
    /// Which rules, in which order; the preset's if not given.
    pub order: Option<Vec<RuleName>>,
    /// Thresholds that are not the preset's.
    pub gopher_quality: Map<String, Value>,
    /// The same.
    pub gopher_repetition: Map<String, Value>,
    /// The same.
    pub c4: Map<String, Value>,
    /// The same.
    pub mc4_paragraphs: Map<String, Value>,
    /// The same.
    pub fineweb: Map<String, Value>,
    /// The same.
    pub refinedweb_quality: Map<String, Value>,
    /// The same.
    pub refinedweb_repetition: Map<String, Value>,
    /// The same.
    pub refinedweb_lines: Map<String, Value>,
    /// The same.
    pub slimpajama: Map<String, Value>,
    /// The same.
    pub signs: Map<String, Value>,
    /// Code of a language, and what is different in it: `order`, and rules as above.
    pub by_language: BTreeMap<String, Map<String, Value>>,
    /// A domain, and what is different in it, whatever the language.
    pub by_domain: BTreeMap<String, Map<String, Value>>,
}

impl Default for RulesSettings {
    fn default() -> Self {
        Self {
            preset: Preset::FineWeb,
            language: "auto".to_owned(),
            domain_field: "domain".to_owned(),
            order: None,
            gopher_quality: Map::new(),
            gopher_repetition: Map::new(),
            c4: Map::new(),
            mc4_paragraphs: Map::new(),
            fineweb: Map::new(),
            refinedweb_quality: Map::new(),
            refinedweb_repetition: Map::new(),
            refinedweb_lines: Map::new(),
            slimpajama: Map::new(),
            signs: Map::new(),
            by_language: BTreeMap::new(),
            by_domain: BTreeMap::new(),
        }
    }
}

impl RulesSettings {
    /// The rules for a language and a domain.
    pub(super) fn rules_of(&self, language: &str, domain: &str) -> Result<RuleSet, CorpusError> {
        // `zh_Hans` has what `zh` has, and its own.
        let short = language.split(['_', '-']).next().unwrap_or_default();
        let short = match short {
            "zho" | "cmn" => "zh",
            "eng" => "en",
            short => short,
        };
        let mut rules = value_of(&self.preset.rules());
        if let Some(other) = self.preset.of_language(short) {
            merge(&mut rules, other);
        }
        merge(&mut rules, Value::Object(self.everywhere()));
        let mut layers = vec![self.by_language.get(short)];
        if language != short {
            layers.push(self.by_language.get(language));
        }
        layers.push(self.by_domain.get(domain));
        for layer in layers.into_iter().flatten() {
            merge(&mut rules, Value::Object(layer.clone()));
        }
        serde_json::from_value(rules).map_err(|error| {
            let place = match (self.by_language.contains_key(language), self.by_domain.contains_key(domain)) {
                (_, true) => format!(" for domain '{domain}'"),
                (true, _) => format!(" for language '{language}'"),
                _ => String::new(),
            };
            CorpusError::request(format!("rules{place}: {error}"))
        })
    }

    fn everywhere(&self) -> Map<String, Value> {
        let Value::Object(mut all) = value_of(self) else { return Map::new() };
        all.retain(|name, value| !NOT_RULES.contains(&&name[..]) && !value.is_null());
        all
    }

    /// Every language and domain that is named gives rules that can be.
    pub(super) fn check(&self) -> Result<(), CorpusError> {
        let languages = self.by_language.keys().map(String::as_str).chain([&self.language[..], "zh"]);
        for language in languages {
            for domain in self.by_domain.keys().map(String::as_str).chain([""]) {
                self.rules_of(language, domain)?;
            }
        }
        Ok(())
    }

    /// The settings with every threshold that follows from them, as a manifest has them.
    pub(super) fn resolved(&self) -> Value {
        let mut all = value_of(self);
        // What was checked can be merged.
        let rules = self.rules_of(if self.language == "auto" { "en" } else { &self.language }, "").unwrap_or_default();
        merge(&mut all, value_of(&rules));
        all
    }
}

const NOT_RULES: [&str; 5] = ["preset", "language", "domain_field", "by_language", "by_domain"];

/// Puts `other` over `base`, field by field; lists are taken whole.
fn merge(base: &mut Value, other: Value) {
    match (base, other) {
        (Value::Object(base), Value::Object(other)) => {
            for (name, value) in other {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, other) => *base = other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: Value) -> RulesSettings {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn layers_lie_over_each_other() {
        let settings = settings(serde_json::json!({
            "preset": "fineweb",
            "gopher_quality": {"min_words": 30},
            "by_language": {"zh": {"gopher_quality": {"min_words": 20}}, "de": {"order": ["c4"]}},
            "by_domain": {"poems": {"fineweb": {"max_short_lines": 1.0}}},
        }));
        let rules = |language, domain| settings.rules_of(language, domain).unwrap();
        assert_eq!(rules("en", "").gopher_quality.min_words, 30);
        assert_eq!(rules("fr", "").order, Preset::FineWeb.rules().order);
        assert_eq!(rules("de", "").order, [RuleName::C4]);
        let chinese = rules("cmn_Hani", "poems");
        assert_eq!((chinese.gopher_quality.min_words, chinese.gopher_quality.max_mean_word_length), (20, 5.0));
        assert_eq!((chinese.fineweb.max_short_lines, chinese.fineweb.max_lines_per_word), (1.0, 0.178));
        assert_eq!(settings.resolved()["gopher_quality"]["min_words"], 30);
        assert_eq!(settings.resolved()["fineweb"]["max_short_lines"], 0.67);
    }

    #[test]
    fn wrong_thresholds_are_refused() {
        for (json, found) in [
            (serde_json::json!({"gopher_quality": {"min_word": 3}}), "min_word"),
            (serde_json::json!({"gopher_quality": {"min_words": "many"}}), "many"),
            (serde_json::json!({"by_language": {"de": {"c5": {}}}}), "language 'de'"),
            (serde_json::json!({"by_domain": {"news": {"c4": {"policy": 3}}}}), "domain 'news'"),
        ] {
            let error = settings(json).check().unwrap_err();
            assert!(error.is_request() && error.to_string().contains(found), "{error}");
        }
    }
}
