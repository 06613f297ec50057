//! Which language a text is in: by its letters and their groups of three (the library `whatlang`), or by a model.

use whatlang::{Detector, Lang};

use crate::classifier::rounded;
use crate::words::is_han;
use crate::{Classifier, ClassifierMemory};

/// What finds languages.
#[derive(Debug)]
pub(super) enum Finder {
    Letters,
    Model(Box<Classifier>),
}

impl Finder {
    /// The language and how certain that is, from 0 to 1: `und` where there is none.
    pub(super) fn of(&self, text: &str, memory: &mut ClassifierMemory) -> (String, f64) {
        let found = match self {
            Self::Letters => of(text).map(|(code, score)| (code.to_owned(), score)),
            Self::Model(model) => {
                let best = model.best(&sample(text), memory);
                best.map(|(label, score)| (label.to_owned(), rounded(f64::from(score).min(1.0))))
            }
        };
        found.unwrap_or_else(|| ("und".to_owned(), 0.0))
    }

    /// Every language that can be found.
    pub(super) fn languages(&self) -> Vec<&str> {
        match self {
            Self::Letters => codes().collect(),
            Self::Model(model) => model.labels().iter().map(String::as_str).collect(),
        }
    }
}

/// The language, by its code in ISO 639-1 (639-3 where it has none), and how certain that is, from 0 to 1.
fn of(text: &str) -> Option<(&'static str, f64)> {
    let found = Detector::new().detect(&own_script(sample(text)))?;
    Some((code(found.lang()), rounded(found.confidence())))
}

/// Without Latin letters where a third of all letters are Chinese, Japanese or Korean: one of those says as much as several of the
/// names and commands that stand between them.
fn own_script(text: String) -> String {
    let is_east_asian =
        |c: char| is_han(c) || matches!(u32::from(c), 0x3041..=0x30ff | 0x1100..=0x11ff | 0xac00..=0xd7a3);
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    match 3 * text.chars().filter(|&c| is_east_asian(c)).count() > letters {
        true => text.chars().filter(|c| !c.is_ascii_alphabetic()).collect(),
        false => text,
    }
}

/// Characters that are looked at; a language shows in fewer.
const LOOK: usize = 1200;

/// The text, or three parts of a long one: the beginning of a page may be in another language than the page.
fn sample(text: &str) -> String {
    if text.len() <= 3 * LOOK {
        return text.to_owned();
    }
    let part = LOOK / 3;
    let starts = [0, text.len() / 2, text.len() * 9 / 10];
    let parts = starts.map(|start| {
        let start = (start..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        text[start..].chars().take(part).collect::<String>()
    });
    parts.join(" ")
}

/// Every language that can be found.
fn codes() -> impl Iterator<Item = &'static str> {
    Lang::all().iter().map(|&lang| code(lang))
}

fn code(lang: Lang) -> &'static str {
    let three = lang.code();
    CODES.iter().find(|(long, _)| *long == three).map_or(three, |(_, two)| two)
}

/// ISO 639-3 and 639-1.
const CODES: [(&str, &str); 70] = [
    ("afr", "af"),
    ("aka", "ak"),
    ("amh", "am"),
    ("ara", "ar"),
    ("aze", "az"),
    ("bel", "be"),
    ("ben", "bn"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("ces", "cs"),
    ("cmn", "zh"),
    ("cym", "cy"),
    ("dan", "da"),
    ("deu", "de"),
    ("ell", "el"),
    ("eng", "en"),
    ("epo", "eo"),
    ("est", "et"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("guj", "gu"),
    ("heb", "he"),
    ("hin", "hi"),
    ("hrv", "hr"),
    ("hun", "hu"),
    ("hye", "hy"),
    ("ind", "id"),
    ("ita", "it"),
    ("jav", "jv"),
    ("jpn", "ja"),
    ("kan", "kn"),
    ("kat", "ka"),
    ("khm", "km"),
    ("kor", "ko"),
    ("lat", "la"),
    ("lav", "lv"),
    ("lit", "lt"),
    ("mal", "ml"),
    ("mar", "mr"),
    ("mkd", "mk"),
    ("mya", "my"),
    ("nep", "ne"),
    ("nld", "nl"),
    ("nob", "nb"),
    ("ori", "or"),
    ("pan", "pa"),
    ("pes", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rus", "ru"),
    ("sin", "si"),
    ("slk", "sk"),
    ("slv", "sl"),
    ("sna", "sn"),
    ("spa", "es"),
    ("srp", "sr"),
    ("swe", "sv"),
    ("tam", "ta"),
    ("tel", "te"),
    ("tgl", "tl"),
    ("tha", "th"),
    ("tuk", "tk"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("urd", "ur"),
    ("uzb", "uz"),
    ("vie", "vi"),
    ("yid", "yi"),
    ("zul", "zu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found() {
        for (text, code) in [
            ("The road goes over the bridge, and nobody knows where it ends.", "en"),
            ("Die Straße führt über die Brücke, und niemand weiß, wo sie endet.", "de"),
            ("La route passe sur le pont, et personne ne sait où elle finit.", "fr"),
            ("这条路穿过桥梁，没有人知道它在哪里结束。", "zh"),
            ("Дорога идёт через мост, и никто не знает, где она кончается.", "ru"),
            ("道は橋を渡り、どこで終わるのか誰も知らない。", "ja"),
        ] {
            assert_eq!(of(text).unwrap().0, code, "{text}");
        }
        assert_eq!(of("请使用 apt-get 命令安装 debian-handbook 软件包和它的配置文件").unwrap().0, "zh");
        assert!(of("123 456").is_none());
        let known = Finder::Letters.languages();
        assert!(known.contains(&"zh") && known.contains(&"en") && !known.contains(&"xx"));
        // Every code of three letters that the library has was given one of two, where there is one.
        assert!(codes().all(|code| code.len() == 2), "{:?}", codes().filter(|code| code.len() > 2).collect::<Vec<_>>());
    }

    #[test]
    fn long_texts_are_looked_at_in_three_places() {
        let text = format!("Menu | Login {}", "Der Weg führt über die Brücke und niemand weiß wohin. ".repeat(200));
        assert_eq!(of(&text).unwrap().0, "de");
        assert!(sample(&text).chars().count() <= LOOK + 2);
        assert!(sample(&"中".repeat(5000)).chars().count() <= LOOK + 2);
    }
}
