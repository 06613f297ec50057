//! The main text of a page.
//!
//! By the library `trafilatura`: of three that were compared on 990 real pages (`docs/data.md`) it leaves the least of what is not
//! text, at more than twice the speed of the Python program it comes from.

use std::panic::{AssertUnwindSafe, catch_unwind};

use trafilatura::{ExtractionFocus, Options, extract};

use super::{Focus, FormatSettings};
use crate::Reason;

/// A page without what is around its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) text: String,
    pub(super) title: String,
}

/// The text of a page.
pub(super) fn main_text(html: &str, settings: &FormatSettings) -> Result<Page, Reason> {
    if html.len() > settings.max_html_bytes {
        return Err(Reason::HtmlTooLong);
    }
    if depth(html) > settings.max_html_depth {
        return Err(Reason::HtmlTooDeep);
    }
    let focus = match settings.focus {
        Focus::Precision => ExtractionFocus::FavorPrecision,
        Focus::Balanced => ExtractionFocus::Balanced,
        Focus::Recall => ExtractionFocus::FavorRecall,
    };
    let options = Options::default().with_focus(focus).with_fallback(true).with_exclude_comments(true);
    // Pages are made by anyone; one that a library trips over is one document, not the end of the run.
    match catch_unwind(AssertUnwindSafe(|| extract(html, &options))) {
        Ok(Ok(found)) => match super::lines::text_of(&found.content_html) {
            text if text.is_empty() => Err(Reason::NoMainText),
            text => Ok(Page { text, title: found.metadata.title }),
        },
        Ok(Err(_)) => Err(Reason::NoMainText),
        Err(_) => Err(Reason::HtmlUnreadable),
    }
}

/// How many elements are within each other at most, of those that need an end of their own: more than there are, never fewer.
fn depth(html: &str) -> usize {
    let bytes = html.as_bytes();
    let (mut depth, mut deepest) = (0usize, 0);
    for at in memchr::memchr_iter(b'<', bytes) {
        let rest = &bytes[at + 1..];
        let is_end = rest.first() == Some(&b'/');
        let name = &rest[usize::from(is_end)..];
        let len = name.iter().take(12).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let name = name[..len].to_ascii_lowercase();
        if name.first().is_none_or(|byte| !byte.is_ascii_alphabetic()) || NO_END.contains(&&name[..]) {
            continue;
        }
        depth = if is_end { depth.saturating_sub(1) } else { depth + 1 };
        deepest = deepest.max(depth);
    }
    deepest
}

/// Elements that have no end, or end where the next one begins.
const NO_END: [&[u8]; 28] = [
    b"area",
    b"base",
    b"br",
    b"col",
    b"embed",
    b"hr",
    b"img",
    b"input",
    b"link",
    b"meta",
    b"source",
    b"track",
    b"wbr",
    b"p",
    b"li",
    b"td",
    b"th",
    b"tr",
    b"dt",
    b"dd",
    b"option",
    b"tbody",
    b"thead",
    b"tfoot",
    b"colgroup",
    b"param",
    b"frame",
    b"path",
];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<html><head><title>On bridges</title></head><body><nav><ul><li><a href=/>Home</a></ul></nav>\
        <article><h1>On bridges</h1><p>The road goes over the bridge, and nobody knows where it ends; once it had a name \
        that everyone in the valley knew.</p><p>Later the valley was left, and the name with it; but the bridge stands, as \
        bridges do, and waits for the road.</p></article><footer>Imprint and privacy</footer></body></html>";

    #[test]
    fn what_is_around_a_text_is_left() {
        let page = main_text(PAGE, &FormatSettings::default()).unwrap();
        // The library's own text has no lines.
        let lines: Vec<&str> = page.text.lines().collect();
        assert!(
            lines[lines.len() - 2].starts_with("The road") && lines[lines.len() - 1].ends_with("for the road."),
            "{lines:?}"
        );
        assert!(!page.text.contains("Home") && !page.text.contains("Imprint"), "{}", page.text);
        assert_eq!(page.title, "On bridges");
    }

    #[test]
    fn pages_that_are_none_are_told() {
        let settings = FormatSettings { max_html_bytes: 1 << 20, ..FormatSettings::default() };
        let say = |html: &str| main_text(html, &settings).unwrap_err();
        assert_eq!(say(""), Reason::NoMainText);
        assert_eq!(say("<html><body></body></html>"), Reason::NoMainText);
        assert_eq!(say(&"<div>".repeat(100_000)), Reason::HtmlTooDeep);
        assert_eq!(say(&"<p>word ".repeat(200_000)), Reason::HtmlTooLong);
        assert_eq!(depth("<p>a<br><div><b>c</b></div><!-- <i> --> 1 < 2 </p>"), 2);
    }
}
