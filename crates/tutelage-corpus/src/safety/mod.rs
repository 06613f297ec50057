//! The stage `safety`: blocked domains, blocked words, personal data.

mod domains;
mod mask;
mod words;

pub use mask::Personal;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tutelage_run::{Hash, hash_file};

use crate::job::{At, DocumentStage, Tally, value_of};
use crate::{CorpusError, Manifest, Reason, Record};
use domains::Domains;
pub use domains::host;
use mask::Mask;
use words::BlockedWords;

/// Settings of the stage `safety`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SafetySettings {
    /// Lists of domains, a name a line: documents from them, and from what is below them, are dropped.
    pub blocked_domains: Vec<PathBuf>,
    /// Field of the document, or of its `meta`, that holds the address it came from.
    pub url_field: String,
    /// Lists of words, one a line, for documents of every language.
    pub blocked_words: Vec<PathBuf>,
    /// Code of a language, and lists for documents of that language.
    pub blocked_words_of: BTreeMap<String, Vec<PathBuf>>,
    /// How many blocked words a document is dropped for.
    pub min_blocked_words: usize,
    /// What is replaced by `<EMAIL>`, `<IP>` and `<PHONE>`.
    pub mask: Vec<Personal>,
}

impl Default for SafetySettings {
    fn default() -> Self {
        Self {
            blocked_domains: Vec::new(),
            url_field: "url".to_owned(),
            blocked_words: Vec::new(),
            blocked_words_of: BTreeMap::new(),
            min_blocked_words: 1,
            mask: Vec::new(),
        }
    }
}

/// The stage, with its lists read.
#[derive(Debug)]
pub struct Safety {
    settings: SafetySettings,
    /// What each list was, and how many entries all of a kind have.
    lists: Vec<(PathBuf, Hash)>,
    domains: Option<Domains>,
    words: Option<BlockedWords>,
    words_of: BTreeMap<String, BlockedWords>,
    mask: Mask,
}

impl Safety {
    /// Reads the lists.
    ///
    /// # Errors
    /// When one cannot be read or is empty, or the stage has nothing to do.
    pub fn new(settings: SafetySettings) -> Result<Self, CorpusError> {
        let SafetySettings { blocked_domains, blocked_words, blocked_words_of, .. } = &settings;
        if blocked_domains.is_empty()
            && blocked_words.is_empty()
            && blocked_words_of.is_empty()
            && settings.mask.is_empty()
        {
            return Err(CorpusError::request(
                "nothing to do: set blocked_domains, blocked_words, blocked_words_of.LANGUAGE or mask, as in \
                 --set 'mask=[\"email\",\"ip\"]'",
            ));
        }
        if settings.min_blocked_words == 0 {
            return Err(CorpusError::request("min_blocked_words = 0 would drop every document: expected 1 or more"));
        }
        let of_languages = blocked_words_of.values().flatten();
        let paths = blocked_domains.iter().chain(blocked_words).chain(of_languages);
        let lists = paths.map(|path| Ok((path.clone(), hash_file(path)?))).collect::<Result<_, CorpusError>>()?;
        let domains = match blocked_domains.is_empty() {
            true => None,
            false => Some(Domains::read(blocked_domains)?),
        };
        let words = match blocked_words.is_empty() {
            true => None,
            false => Some(words_in(blocked_words)?),
        };
        let mut words_of = BTreeMap::new();
        for (language, paths) in blocked_words_of {
            words_of.insert(language.clone(), words_in(paths)?);
        }
        if domains.as_ref().is_some_and(|domains| domains.len() == 0) {
            return Err(CorpusError::request("blocked_domains: there is no domain in the lists"));
        }
        Ok(Self { settings, lists, domains, words, words_of, mask: Mask::new() })
    }

    fn blocked_words(&self, record: &Record) -> usize {
        let most = self.settings.min_blocked_words;
        let count = |words: &BlockedWords| words.count(&record.text, most);
        let of_language = match self.words_of.is_empty() {
            true => None,
            false => record.string("language").and_then(|language| self.words_of.get(&language)),
        };
        self.words.as_ref().map_or(0, count) + of_language.map_or(0, count)
    }
}

fn words_in(paths: &[PathBuf]) -> Result<BlockedWords, CorpusError> {
    let words = BlockedWords::read(paths)?;
    match words.len() {
        0 => Err(CorpusError::request(format!("{}: there is no word in the list", paths[0].display()))),
        _ => Ok(words),
    }
}

impl DocumentStage for Safety {
    type Worker = ();

    fn name(&self) -> &'static str {
        "safety"
    }

    fn settings(&self) -> serde_json::Value {
        let mut all = value_of(&self.settings);
        let lists = self.lists.iter().map(|(path, hash)| (path.display().to_string(), serde_json::json!(hash)));
        all["list_hashes"] = serde_json::Value::Object(lists.collect());
        all
    }

    fn worker(&self) {}

    fn apply(&self, (): &mut (), record: &mut Record, _: At, tally: &mut Tally) -> Result<(), Reason> {
        if let Some(domains) = &self.domains {
            match record.string(&self.settings.url_field) {
                Some(url) if domains.blocks(&url) => return Err(Reason::BlockedDomain),
                Some(_) => {}
                None => tally.add("safety_documents_without_url", 1),
            }
        }
        if self.blocked_words(record) >= self.settings.min_blocked_words {
            return Err(Reason::BlockedWords);
        }
        for &what in &self.settings.mask {
            let (text, count) = self.mask.apply(what, &record.text);
            if let Cow::Owned(text) = text {
                tally.add(what.masked(), count);
                record.text = text;
            }
        }
        Ok(())
    }

    fn filters(&self, manifest: &Manifest) -> Vec<(String, u64)> {
        let words = self.words.is_some() || !self.words_of.is_empty();
        let mut filters = manifest.dropped_by([
            (self.domains.is_some(), "blocked domains", Reason::BlockedDomain),
            (words, "blocked words", Reason::BlockedWords),
        ]);
        let masked = |what: &Personal| (what.masked().replace("safety_", ""), manifest.counted(what.masked()));
        filters.extend(self.settings.mask.iter().map(masked));
        filters
    }

    fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let mut warnings = Vec::new();
        let without = manifest.counts.get("safety_documents_without_url").copied().unwrap_or(0);
        if without > 0 {
            warnings.push(format!(
                "{without} of {} documents have no address in '{}': blocked domains say nothing of them",
                manifest.read, self.settings.url_field
            ));
        }
        let unread = self.domains.as_ref().map_or(0, Domains::unread);
        if unread > 0 {
            warnings.push(format!("{unread} lines of the lists of domains are not UTF-8, and were passed over"));
        }
        if !self.words_of.is_empty() && manifest.read > 0 && manifest.dropped.is_empty() && self.words.is_none() {
            warnings.push(
                "no document was dropped for words of its language: is there a field 'language'? 'data format' makes one"
                    .to_owned(),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use tutelage_testkit::Scratch;

    use super::*;

    fn say(safety: &Safety, line: &str) -> Result<String, Reason> {
        let mut record = Record::parse(line.as_bytes(), "text").unwrap();
        let at = At { unit: 0, index: 0 };
        safety.apply(&mut (), &mut record, at, &mut Tally::default()).map(|()| record.text)
    }

    #[test]
    fn lists_and_masks_work_together() {
        let folder = Scratch::new("safety");
        let [domains, words, german] = ["domains.txt", "words.txt", "de.txt"].map(|name| folder.join(name));
        std::fs::write(&domains, "bad.com\n").unwrap();
        std::fs::write(&words, "casino\n").unwrap();
        std::fs::write(&german, "glücksspiel\n").unwrap();
        let settings = SafetySettings {
            blocked_domains: vec![domains],
            blocked_words: vec![words],
            blocked_words_of: [("de".to_owned(), vec![german])].into(),
            min_blocked_words: 2,
            mask: vec![Personal::Email, Personal::Ip],
            ..SafetySettings::default()
        };
        let safety = Safety::new(settings).unwrap();
        assert_eq!(say(&safety, r#"{"text":"a","meta":{"url":"http://www.bad.com/x"}}"#), Err(Reason::BlockedDomain));
        assert_eq!(say(&safety, r#"{"text":"Casino, casino","url":"http://good.com"}"#), Err(Reason::BlockedWords));
        assert_eq!(say(&safety, r#"{"text":"one casino"}"#), Ok("one casino".to_owned()));
        let mixed = r#"{"text":"Glücksspiel im Casino","language":"de"}"#;
        assert_eq!(say(&safety, mixed), Err(Reason::BlockedWords));
        assert!(say(&safety, &mixed.replace("\"de\"", "\"en\"")).is_ok());
        assert_eq!(say(&safety, r#"{"text":"a@b.org at 8.8.8.8"}"#), Ok("<EMAIL> at <IP>".to_owned()));
        assert!(safety.settings()["list_hashes"].as_object().unwrap().len() == 3);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let folder = Scratch::new("safety-refused");
        let empty = folder.join("empty.txt");
        std::fs::write(&empty, "# nothing\n").unwrap();
        let with = |settings: SafetySettings| Safety::new(settings).unwrap_err().to_string();
        let none = SafetySettings::default();
        assert!(with(none.clone()).contains("nothing to do"));
        assert!(with(SafetySettings { blocked_words: vec![empty.clone()], ..none.clone() }).contains("no word"));
        assert!(with(SafetySettings { blocked_domains: vec![empty], ..none.clone() }).contains("no domain"));
        assert!(
            with(SafetySettings { blocked_words: vec![folder.join("missing")], ..none.clone() })
                .contains("cannot read")
        );
        assert!(
            with(SafetySettings { min_blocked_words: 0, mask: vec![Personal::Ip], ..none }).contains("every document")
        );
    }
}
