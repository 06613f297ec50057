//! Why a document was dropped: the keys of `dropped` in a manifest.

use std::fmt;

/// Every reason there is. Its name, which manifests and dropped documents carry, is that of [`fmt::Display`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it, and docs/data.md has the table")]
pub enum Reason {
    // Damage, in any stage.
    NotUtf8,
    NotJson,
    NoText,
    TooLong,
    Truncated,
    NotWarc,
    NotHttp,
    NotDecodable,
    // Read.
    Empty,
    NotText,
    HttpStatus,
    // Format.
    HtmlTooLong,
    HtmlTooDeep,
    HtmlUnreadable,
    NoMainText,
    Language,
    LanguageScore,
    // Gopher's quality rules.
    GopherShortDoc,
    GopherLongDoc,
    GopherBelowAvgThreshold,
    GopherAboveAvgThreshold,
    GopherTooManyHashes,
    GopherTooManyEllipsis,
    GopherTooManyBullets,
    GopherTooManyEndEllipsis,
    GopherBelowAlphaThreshold,
    GopherEnoughStopWords,
    // Gopher's repetition rules; those of n-grams carry n.
    DupParaFrac,
    DupParaCharFrac,
    DupLineFrac,
    DupLineCharFrac,
    TopNGram(u8),
    DuplicatedNGrams(u8),
    // C4 and mC4.
    LoremIpsum,
    CurlyBracket,
    TooFewSentences,
    FewLongParagraphs,
    // FineWeb.
    LinePunctRatio,
    ShortLineRatio,
    CharDupRatio,
    ListRatio,
    // RefinedWeb, as DCLM has it.
    PageLength,
    WordLength,
    SymbolRatio,
    BulletRatio,
    EllipsisRatio,
    AlphabeticRatio,
    StopWords,
    DupLines,
    DupLineChars,
    DupParagraphs,
    DupParagraphChars,
    TopWords(u8),
    DupWords(u8),
    NothingLeft,
    WordsRemoved,
    // Copies.
    NearDuplicate,
    ExactDuplicate,
    RepeatedText,
    // Safety.
    BlockedDomain,
    BlockedWords,
    // Quality.
    Classifier,
    NoLabel,
    // Tokens and mixing.
    NotTokenized,
    NotDrawn,
    // Decontamination.
    Contaminated,
    // SlimPajama.
    ShortDoc,
    // Separators, abnormal characters, punctuation.
    TooManyLineBreaks,
    TooManySeparators,
    AbnormalCharacters,
    TooLittlePunctuation,
    TooMuchPunctuation,
    OnePunctuation,
}

impl Reason {
    const DAMAGE: [Self; 8] = [
        Self::NotUtf8,
        Self::NotJson,
        Self::NoText,
        Self::TooLong,
        Self::Truncated,
        Self::NotWarc,
        Self::NotHttp,
        Self::NotDecodable,
    ];

    /// Whether the file is at fault, rather than what the document says.
    pub fn is_damage(self) -> bool {
        Self::DAMAGE.contains(&self)
    }

    /// Whether this is the name of damage.
    pub fn names_damage(name: &str) -> bool {
        Self::DAMAGE.iter().any(|reason| reason.to_string() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NoText => "no_text",
            Self::TooLong => "too_long",
            Self::Truncated => "truncated",
            Self::NotWarc => "not_warc",
            Self::NotHttp => "not_http",
            Self::NotDecodable => "not_decodable",
            Self::Empty => "empty",
            Self::NotText => "not_text",
            Self::HttpStatus => "http_status",
            Self::HtmlTooLong => "html_too_long",
            Self::HtmlTooDeep => "html_too_deep",
            Self::HtmlUnreadable => "html_unreadable",
            Self::NoMainText => "no_main_text",
            Self::Language => "language",
            Self::LanguageScore => "language_score",
            Self::GopherShortDoc => "gopher_short_doc",
            Self::GopherLongDoc => "gopher_long_doc",
            Self::GopherBelowAvgThreshold => "gopher_below_avg_threshold",
            Self::GopherAboveAvgThreshold => "gopher_above_avg_threshold",
            Self::GopherTooManyHashes => "gopher_too_many_hashes",
            Self::GopherTooManyEllipsis => "gopher_too_many_ellipsis",
            Self::GopherTooManyBullets => "gopher_too_many_bullets",
            Self::GopherTooManyEndEllipsis => "gopher_too_many_end_ellipsis",
            Self::GopherBelowAlphaThreshold => "gopher_below_alpha_threshold",
            Self::GopherEnoughStopWords => "gopher_enough_stop_words",
            Self::DupParaFrac => "dup_para_frac",
            Self::DupParaCharFrac => "dup_para_char_frac",
            Self::DupLineFrac => "dup_line_frac",
            Self::DupLineCharFrac => "dup_line_char_frac",
            Self::TopNGram(n) => return write!(f, "top_{n}_gram"),
            Self::DuplicatedNGrams(n) => return write!(f, "duplicated_{n}_n_grams"),
            Self::LoremIpsum => "lorem_ipsum",
            Self::CurlyBracket => "curly_bracket",
            Self::TooFewSentences => "too_few_sentences",
            Self::FewLongParagraphs => "few_long_paragraphs",
            Self::LinePunctRatio => "line_punct_ratio",
            Self::ShortLineRatio => "short_line_ratio",
            Self::CharDupRatio => "char_dup_ratio",
            Self::ListRatio => "list_ratio",
            Self::PageLength => "page_length",
            Self::WordLength => "word_length",
            Self::SymbolRatio => "symbol_ratio",
            Self::BulletRatio => "bullet_ratio",
            Self::EllipsisRatio => "ellipsis_ratio",
            Self::AlphabeticRatio => "alphabetic_ratio",
            Self::StopWords => "stop_words",
            Self::DupLines => "dup_lines",
            Self::DupLineChars => "dup_line_chars",
            Self::DupParagraphs => "dup_paragraphs",
            Self::DupParagraphChars => "dup_paragraph_chars",
            Self::TopWords(n) => return write!(f, "top_{n}_words"),
            Self::DupWords(n) => return write!(f, "dup_{n}_words"),
            Self::NothingLeft => "nothing_left",
            Self::WordsRemoved => "words_removed",
            Self::NearDuplicate => "near_duplicate",
            Self::ExactDuplicate => "exact_duplicate",
            Self::RepeatedText => "repeated_text",
            Self::BlockedDomain => "blocked_domain",
            Self::BlockedWords => "blocked_words",
            Self::Classifier => "classifier",
            Self::NoLabel => "no_label",
            Self::NotTokenized => "not_tokenized",
            Self::NotDrawn => "not_drawn",
            Self::Contaminated => "contaminated",
            Self::ShortDoc => "short_doc",
            Self::TooManyLineBreaks => "too_many_line_breaks",
            Self::TooManySeparators => "too_many_separators",
            Self::AbnormalCharacters => "abnormal_characters",
            Self::TooLittlePunctuation => "too_little_punctuation",
            Self::TooMuchPunctuation => "too_much_punctuation",
            Self::OnePunctuation => "one_punctuation",
        })
    }
}
