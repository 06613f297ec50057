//! A line chart as SVG.

use std::fmt::Write;

use crate::html::{escape, short};

/// One line.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Index of its colour.
    pub(crate) color: usize,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) dashed: bool,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// A chart; empty where no series has a point.
pub(crate) fn line_chart(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|s| s.points.iter());
    let Some((x_range, y_range)) = ranges(points()) else { return String::new() };
    let x = |value: f64| LEFT + (value - x_range.0) / (x_range.1 - x_range.0) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - (value - y_range.0) / (y_range.1 - y_range.0) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(title),
        escape(title)
    );
    for tick in ticks(y_range) {
        let at = y(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            short(tick)
        );
    }
    for tick in ticks(x_range) {
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(tick),
            HEIGHT - BOTTOM + 16.0,
            short(tick)
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <text class=\"tick\" x=\"14\" y=\"{}\" transform=\"rotate(-90 14 {})\" text-anchor=\"middle\">{}</text>",
        WIDTH - RIGHT,
        HEIGHT - 6.0,
        escape(x_label),
        HEIGHT / 2.0,
        HEIGHT / 2.0,
        escape(y_label)
    );
    for line in series.iter().filter(|line| !line.points.is_empty()) {
        let path: Vec<String> = line.points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b))).collect();
        let dashed = if line.dashed { " dashed" } else { "" };
        let _ = write!(
            out,
            "<polyline class=\"line c{}{dashed}\" points=\"{}\"><title>{}</title></polyline>",
            line.color % 8,
            path.join(" "),
            escape(&line.name)
        );
    }
    out.push_str("</svg><p class=\"legend\">");
    for line in series.iter().filter(|line| !line.points.is_empty()) {
        let kind = if line.dashed { "key dashed" } else { "key" };
        let _ = write!(out, "<span><i class=\"{kind} k{}\"></i>{}</span>", line.color % 8, escape(&line.name));
    }
    out.push_str("</p></figure>");
    out
}

type Range = (f64, f64);

fn ranges<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Option<(Range, Range)> {
    let mut found: Option<(Range, Range)> = None;
    for &(x, y) in points.filter(|p| p.0.is_finite() && p.1.is_finite()) {
        let ((x0, x1), (y0, y1)) = found.unwrap_or(((x, x), (y, y)));
        found = Some(((x0.min(x), x1.max(x)), (y0.min(y), y1.max(y))));
    }
    let ((x0, x1), (y0, y1)) = found?;
    let margin = ((y1 - y0) * 0.05).max(1e-9);
    // A flat line still needs a height; values that begin at zero keep it as the floor.
    let floor = if y0 >= 0.0 && y0 < margin * 2.0 { 0.0 } else { y0 - margin };
    Some(((x0, if x1 > x0 { x1 } else { x0 + 1.0 }), (floor, y1 + margin)))
}

/// Round values inside a range: 1, 2 or 5 times a power of ten apart.
fn ticks((low, high): Range) -> Vec<f64> {
    let raw = (high - low) / 7.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|t| *t <= high + step * 1e-9).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((1.3, 2.4)).len(), 6);
    }

    #[test]
    fn every_series_with_points_is_drawn() {
        let line =
            |points: &[(f64, f64)]| Series { name: "<a>".into(), color: 1, points: points.to_vec(), dashed: false };
        let svg = line_chart("t", "x", "y", &[line(&[(0.0, 1.0), (1.0, 2.0)]), line(&[]), line(&[(0.0, 1.0)])]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("&lt;a&gt;") && !svg.contains("NaN"));
        assert_eq!(line_chart("t", "x", "y", &[line(&[])]), "");
    }
}
