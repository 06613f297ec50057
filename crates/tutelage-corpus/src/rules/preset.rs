//! Whole sets of rules under the names they are published by.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    C4, FineWeb, GopherQuality, GopherRepetition, Mc4Paragraphs, RefinedWebLines, RefinedWebQuality,
    RefinedWebRepetition, Signs, SlimPajama,
};

/// One family of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is described where its settings are")]
pub enum RuleName {
    GopherQuality,
    GopherRepetition,
    C4,
    Mc4Paragraphs,
    #[serde(rename = "fineweb")]
    FineWeb,
    #[serde(rename = "refinedweb_quality")]
    RefinedWebQuality,
    #[serde(rename = "refinedweb_repetition")]
    RefinedWebRepetition,
    #[serde(rename = "refinedweb_lines")]
    RefinedWebLines,
    #[serde(rename = "slimpajama")]
    SlimPajama,
    Signs,
}

impl RuleName {
    /// As settings have it.
    pub(super) fn name(self) -> &'static str {
        self.fired().trim_start_matches("dropped_by_")
    }

    /// How the counts of what it cuts out of documents begin, where it does.
    pub(super) fn cuts(self) -> Option<&'static str> {
        match self {
            Self::C4 => Some("c4_"),
            Self::RefinedWebLines => Some("refinedweb_"),
            _ => None,
        }
    }

    /// As manifests count the documents that it drops.
    pub(super) fn fired(self) -> &'static str {
        match self {
            Self::GopherQuality => "dropped_by_gopher_quality",
            Self::GopherRepetition => "dropped_by_gopher_repetition",
            Self::C4 => "dropped_by_c4",
            Self::Mc4Paragraphs => "dropped_by_mc4_paragraphs",
            Self::FineWeb => "dropped_by_fineweb",
            Self::RefinedWebQuality => "dropped_by_refinedweb_quality",
            Self::RefinedWebRepetition => "dropped_by_refinedweb_repetition",
            Self::RefinedWebLines => "dropped_by_refinedweb_lines",
            Self::SlimPajama => "dropped_by_slimpajama",
            Self::Signs => "dropped_by_signs",
        }
    }
}

/// Which rules, in which order, and all their thresholds. The first rule that drops a document gives the reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each is described where its settings are")]
pub struct RuleSet {
    pub order: Vec<RuleName>,
    pub gopher_quality: GopherQuality,
    pub gopher_repetition: GopherRepetition,
    pub c4: C4,
    pub mc4_paragraphs: Mc4Paragraphs,
    pub fineweb: FineWeb,
    pub refinedweb_quality: RefinedWebQuality,
    pub refinedweb_repetition: RefinedWebRepetition,
    pub refinedweb_lines: RefinedWebLines,
    pub slimpajama: SlimPajama,
    pub signs: Signs,
}

/// `preset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Gopher's repetition and quality rules.
    Gopher,
    /// C4's rules.
    C4,
    /// FineWeb's rules for English: Gopher's, C4's without that of terminal punctuation, its own.
    #[serde(rename = "fineweb")]
    FineWeb,
    /// RefinedWeb's rules as DCLM-Baseline has them.
    #[serde(rename = "dclm-refinedweb")]
    DclmRefinedWeb,
    /// SlimPajama's rule of length.
    #[serde(rename = "slimpajama")]
    SlimPajama,
    /// In the manner of InternLM2: Gopher's and C4's, and rules of separators, characters and punctuation.
    #[serde(rename = "internlm2")]
    InternLm2,
}

impl Preset {
    /// Its rules.
    pub fn rules(self) -> RuleSet {
        use RuleName as Name;
        let order = match self {
            Self::Gopher => vec![Name::GopherRepetition, Name::GopherQuality],
            Self::C4 => vec![Name::C4],
            Self::FineWeb => vec![Name::GopherRepetition, Name::GopherQuality, Name::C4, Name::FineWeb],
            Self::DclmRefinedWeb => {
                vec![Name::RefinedWebQuality, Name::RefinedWebRepetition, Name::RefinedWebLines]
            }
            Self::SlimPajama => vec![Name::SlimPajama],
            Self::InternLm2 => vec![Name::Signs, Name::GopherRepetition, Name::GopherQuality, Name::C4],
        };
        let mut rules = RuleSet { order, ..RuleSet::default() };
        if matches!(self, Self::FineWeb | Self::InternLm2) {
            rules.c4.terminal_punctuation = false;
        }
        rules
    }

    /// What is different for a language, as settings have it.
    pub(super) fn of_language(self, language: &str) -> Option<Value> {
        match (self, language) {
            (Self::FineWeb | Self::InternLm2 | Self::Gopher, "zh") => Some(self.chinese()),
            _ => None,
        }
    }

    /// FineWeb-2's thresholds for Mandarin (huggingface/fineweb-2 at d0defb2, `configs/cmn_Hani.yml` and the pipeline beside
    /// it, which leaves out C4's rules).
    fn chinese(self) -> Value {
        let mut order = vec!["gopher_repetition", "gopher_quality"];
        match self {
            Self::FineWeb => order.insert(1, "fineweb"),
            Self::InternLm2 => order.insert(0, "signs"),
            _ => {}
        }
        json!({
            "order": order,
            "gopher_repetition": {
                "dup_line_frac": 0.287,
                "dup_para_frac": 0.0,
                "dup_line_char_frac": 0.0,
                "dup_para_char_frac": 0.0,
                "top_n_grams": [[2, 0.256], [3, 0.201], [4, 0.171]],
                "dup_n_grams": [[5, 0.198], [6, 0.182], [7, 0.167], [8, 0.154], [9, 0.14], [10, 0.127]],
            },
            "gopher_quality": {
                "min_mean_word_length": 1.0,
                "max_mean_word_length": 5.0,
                "min_alpha_words": 0.735,
                "stop_words": [
                    "的", "年", "在", "月", "是", "和", "日", "了", "於", "·", "為", "有", "被", "人", "中", "为", "他", "與", "後",
                    "也", "而", "由",
                ],
            },
            "fineweb": {
                "min_punctuated_lines": 0.106,
                "max_short_lines": 1.0,
                "max_dup_line_chars": 0.1,
                "max_lines_per_word": 0.178,
            },
        })
    }
}
