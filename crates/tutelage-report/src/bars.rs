//! Horizontal bars as SVG.

use std::fmt::Write;

use crate::html::{escape, thousands};

const WIDTH: f64 = 720.0;
const ROW: f64 = 22.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 130.0;

/// A bar for each name, as long as its number is large; `of` is the whole of which shares are told, if there is one.
pub(crate) fn bar_chart(title: &str, bars: &[(String, u64)], of: Option<u64>) -> String {
    let most = bars.iter().map(|(_, n)| *n).max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let height = ROW * bars.len() as f64 + 8.0;
    let mut out = format!(
        "<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\">",
        escape(title)
    );
    for (i, (name, n)) in bars.iter().enumerate() {
        let y = 4.0 + ROW * i as f64;
        let width = (WIDTH - LEFT - RIGHT) * *n as f64 / most as f64;
        let share =
            of.filter(|of| *of > 0).map_or(String::new(), |of| format!(" ({:.1} %)", 100.0 * *n as f64 / of as f64));
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"bar\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}{share}</text>",
            LEFT - 8.0,
            y + 15.0,
            escape(name),
            y + 3.0,
            width.max(1.0),
            ROW - 6.0,
            LEFT + width.max(1.0) + 6.0,
            y + 15.0,
            thousands(*n)
        );
    }
    out.push_str("</svg></figure>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_fills_the_width() {
        let svg = bar_chart("t", &[("<a>".to_owned(), 10), ("b".to_owned(), 5)], Some(20));
        assert!(svg.contains("width=\"380.0\"") && svg.contains("width=\"190.0\""), "{svg}");
        assert!(svg.contains("&lt;a&gt;") && svg.contains("10 (50.0 %)"));
        assert_eq!(bar_chart("t", &[("a".to_owned(), 0)], None), "");
    }
}
