//! Texts that end a text, wherever the borders of tokens are.

/// Text as it comes, up to the first of some stop strings.
#[derive(Debug, Clone)]
pub(crate) struct StopText {
    stops: Vec<String>,
    /// The end of what came that may be the beginning of a stop string.
    held: String,
}

impl StopText {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(), held: String::new() }
    }

    /// Takes text; gives what can be shown, and the stop string that was met, of several the first in the text.
    pub(crate) fn push(&mut self, text: &str) -> (String, Option<String>) {
        self.held.push_str(text);
        let met = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop)));
        if let Some((at, stop)) = met.min_by_key(|(at, stop)| (*at, std::cmp::Reverse(stop.len()))) {
            let stop = stop.clone();
            let shown = self.held[..at].to_owned();
            self.held.clear();
            return (shown, Some(stop));
        }
        let begins = |at: usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[at..]));
        let keep = self.held.char_indices().map(|(at, _)| at).find(|&at| begins(at)).unwrap_or(self.held.len());
        let rest = self.held.split_off(keep);
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// What was held back, at the end.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stops: &[&str], parts: &[&str]) -> (Vec<String>, Option<String>) {
        let mut text = StopText::new(stops.iter().map(|&s| s.to_owned()).collect());
        let mut out = Vec::new();
        for part in parts {
            let (shown, met) = text.push(part);
            out.push(shown);
            if met.is_some() {
                return (out, met);
            }
        }
        out.push(text.finish());
        (out, None)
    }

    #[test]
    fn stops_are_found_across_parts_and_nothing_of_them_is_shown() {
        let (parts, met) = shown(&["END"], &["a E", "N", "x E", "ND b"]);
        assert_eq!(
            (parts, met.as_deref()),
            (vec!["a ".into(), String::new(), "ENx ".into(), String::new()], Some("END"))
        );
        let (parts, met) = shown(&["END"], &["the E", "N"]);
        assert_eq!((parts.concat().as_str(), met), ("the EN", None));
        assert_eq!(shown(&["b", "ab"], &["xab"]).1.as_deref(), Some("ab"), "the first in the text");
        assert_eq!(shown(&["a", "ab"], &["xab"]).1.as_deref(), Some("ab"), "the longer of two at one place");
        assert_eq!(shown(&["\u{1f408}!"], &["\u{1f408}", "?"]).0.concat(), "\u{1f408}?");
        assert_eq!(shown(&[""], &["a"]).0, ["a", ""]);
    }
}
