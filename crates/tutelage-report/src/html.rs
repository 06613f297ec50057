//! Text into HTML.

/// Escapes what HTML would read as markup.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// A number with separators between thousands.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A short number: 1.2k, 3.4M.
pub(crate) fn short(x: f64) -> String {
    for (limit, unit) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if x.abs() >= limit {
            let scaled = format!("{:.1}", x / limit);
            return format!("{}{unit}", scaled.trim_end_matches(".0"));
        }
    }
    if x != 0.0 && x.abs() < 0.01 {
        return format!("{x:.1e}").replace(".0e", "e");
    }
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_expected() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
        assert_eq!([1, 999, 1000, 1_234_567].map(thousands), ["1", "999", "1,000", "1,234,567"]);
        let shorts = [0.0, 0.5, 12.0, 1500.0, 2e6, 0.0005, 0.0025].map(short);
        assert_eq!(shorts, ["0", "0.5", "12", "1.5k", "2M", "5e-4", "2.5e-3"]);
    }
}
