//! Web addresses, which stay whole.

use regex::Regex;

use super::tables::LOWER;

/// What spaCy takes for a web or mail address.
#[derive(Debug)]
pub(super) struct WebAddress {
    pattern: Regex,
    private: Regex,
}

const HOST: &str =
    r"(?:(?:[A-Za-z0-9\x{a1}-\x{ffff}][A-Za-z0-9\x{a1}-\x{ffff}_-]{0,62})?[A-Za-z0-9\x{a1}-\x{ffff}]\.)+";
const NUMBERS: &str = r"(?P<ip>(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])(?:\.(?:1?\d{1,2}|2[0-4]\d|25[0-5])){2}\.(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-4]))";
/// Numbers of networks that are nobody's in particular.
const PRIVATE: &str =
    r"^(?:(?:10|127)(?:\.\d{1,3}){3}|(?:169\.254|192\.168)(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[0-1])(?:\.\d{1,3}){2})";

impl WebAddress {
    #[allow(clippy::expect_used, reason = "the patterns are constants, which a test compiles")]
    pub(super) fn new() -> Self {
        let lower: String = LOWER.iter().map(|(a, b)| format!(r"\x{{{a:x}}}-\x{{{b:x}}}")).collect();
        let scheme = r"(?:[\w+\-.]{2,}://)?(?:\S+(?::\S*)?@)?";
        let pattern = format!(r"^{scheme}(?:{NUMBERS}|{HOST}[{lower}]{{2,63}})(?::\d{{2,5}})?(?:[/?#]\S*)?$");
        let compile = |pattern: &str| Regex::new(pattern).expect("a constant");
        Self { pattern: compile(&pattern), private: compile(PRIVATE) }
    }

    pub(super) fn is_match(&self, word: &str) -> bool {
        // Every address has a dot inside, which most words do not.
        if !word.contains('.') {
            return false;
        }
        match self.pattern.captures(word) {
            Some(found) => !found.name("ip").is_some_and(|ip| self.private.is_match(ip.as_str())),
            None => false,
        }
    }
}
