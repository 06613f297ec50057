//! One stage of the report: reasons, lengths, languages, examples.

use std::fmt::Write;

use serde_json::Value;

use super::StageReport;
use super::page::{number, ranked};
use crate::bars::bar_chart;
use crate::chart::{Series, line_chart};
use crate::html::{escape, thousands};

/// Names that are drawn; the rest is one bar.
const MOST: usize = 16;

pub(super) fn section(stage: &StageReport) -> String {
    let manifest = &stage.manifest;
    let read = number(&manifest["read"]);
    let mut out = format!("<h2 id=\"{0}\">{0}</h2>", escape(&stage.name));
    for warning in manifest["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = write!(out, "<p class=\"verdict\">{}</p>", escape(warning));
    }
    out.push_str(&bar_chart("Dropped, by reason", &shortened(ranked(&manifest["dropped"])), Some(read)));
    out.push_str(&bar_chart(
        "What was looked for, and how often it was found",
        &shortened(ranked(&manifest["filters"])),
        None,
    ));
    out.push_str(&bar_chart("Counted besides", &shortened(ranked(&manifest["counts"])), None));
    out.push_str(&probability(&manifest["settings"]["probability"]));
    if let Some(mix) = &stage.mix {
        out.push_str(&mixture(mix));
    }
    if let Some(card) = &stage.card {
        out.push_str(&classifier(card));
    }
    if let Some(look) = &stage.look {
        out.push_str(&documents("kept", &look["kept"]));
        out.push_str(&documents("dropped", &look["dropped"]));
        out.push_str(&examples(&look["examples"]));
    }
    out.push_str(&damaged(&manifest["damaged"]));
    let settings = serde_json::to_string_pretty(&manifest["settings"]).unwrap_or_default();
    let _ = write!(out, "<details><summary>Settings</summary><pre>{}</pre></details>", escape(&settings));
    out
}

fn shortened(mut bars: Vec<(String, u64)>) -> Vec<(String, u64)> {
    if bars.len() > MOST {
        let rest: u64 = bars[MOST..].iter().map(|(_, n)| n).sum();
        let n = bars.len() - MOST;
        bars.truncate(MOST);
        bars.push((format!("{n} more"), rest));
    }
    bars
}

/// The curve by which near copies are found.
fn probability(curve: &Value) -> String {
    let point = |pair: &Value| Some((pair[0].as_f64()?, pair[1].as_f64()?));
    let points: Vec<(f64, f64)> = curve.as_array().into_iter().flatten().filter_map(point).collect();
    let series = [Series { name: "found".to_owned(), color: 1, points, dashed: false }];
    line_chart(
        "Probability that two documents are found",
        "Jaccard similarity of their shingles",
        "probability",
        &series,
    )
}

/// What documents are like.
fn documents(which: &str, stats: &Value) -> String {
    let n = number(&stats["documents"]);
    if n == 0 {
        return String::new();
    }
    let mut out = format!(
        "<h3>Documents {which}</h3><p>{} documents, {} characters, {} words, {} bytes of text.</p>",
        thousands(n),
        thousands(number(&stats["chars"])),
        thousands(number(&stats["words"])),
        thousands(number(&stats["bytes"]))
    );
    let bins = |bins: &Value| -> Vec<(String, u64)> {
        let bin = |bin: &Value| {
            (format!("{} to {}", number(&bin["from"]), number(&bin["to"]).saturating_sub(1)), number(&bin["count"]))
        };
        bins.as_array().into_iter().flatten().map(bin).collect()
    };
    out.push_str(&bar_chart("Characters of a document", &bins(&stats["lengths"]), Some(n)));
    out.push_str(&bar_chart("Languages", &shortened(ranked(&stats["languages"])), Some(n)));
    out.push_str(&bar_chart("Sizes of clusters of copies", &bins(&stats["copies"]), None));
    let host = |pair: &Value| Some((pair[0].as_str()?.to_owned(), number(&pair[1])));
    let hosts: Vec<(String, u64)> = stats["hosts"].as_array().into_iter().flatten().filter_map(host).collect();
    out.push_str(&bar_chart("Hosts with the most documents", &hosts, Some(n)));
    out
}

/// Documents before and after, side by side.
fn examples(changes: &Value) -> String {
    let changes: Vec<&Value> = changes.as_array().into_iter().flatten().collect();
    if changes.is_empty() {
        return String::new();
    }
    let mut out = "<h3>Before and after</h3>".to_owned();
    for change in changes {
        let fate = match &change["fate"] {
            Value::String(fate) => fate.clone(),
            fate => format!("dropped: {}", fate["dropped"].as_str().unwrap_or("reason not kept (keep_dropped)")),
        };
        let text = |name: &str| escape(change[name].as_str().unwrap_or_default());
        let _ = write!(
            out,
            "<h4>{}, {}</h4><div class=\"samples\"><article><p>{}</p></article><article><p>{}</p></article></div>",
            escape(change["id"].as_str().unwrap_or("?")),
            escape(&fate),
            text("before"),
            text("after")
        );
    }
    out
}

fn damaged(places: &Value) -> String {
    let places: Vec<&Value> = places.as_array().into_iter().flatten().take(50).collect();
    if places.is_empty() {
        return String::new();
    }
    let mut out =
        "<h3>Damaged documents</h3><div class=\"scroll\"><table><tr><th>file<th>place<th>reason<th>found</tr>"
            .to_owned();
    for place in places {
        let text = |name: &str| escape(place[name].as_str().unwrap_or_default());
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}</tr>",
            text("file"),
            thousands(number(&place["place"])),
            text("reason"),
            text("found")
        );
    }
    out.push_str("</table></div>");
    out
}

/// Tokens by phase and source.
fn mixture(mix: &Value) -> String {
    let mut out =
        "<h3>Phases</h3><div class=\"scroll\"><table><tr><th>phase<th>source<th>documents<th>tokens<th>share<th>passes\
                   <th>in short documents</tr>"
            .to_owned();
    let phases = mix["phases"].as_array().into_iter().flatten();
    for phase in phases.clone().chain(mix.get("heldout")) {
        for (source, counts) in phase["sources"].as_object().into_iter().flatten() {
            let float = |name: &str| counts[name].as_f64().unwrap_or(0.0);
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{:.1} %<td>{:.2}<td>{}</tr>",
                escape(phase["name"].as_str().unwrap_or("?")),
                escape(source),
                thousands(number(&counts["documents"])),
                thousands(number(&counts["tokens"])),
                100.0 * float("share"),
                float("epochs"),
                thousands(number(&counts["short_tokens"]))
            );
        }
    }
    out.push_str("</table></div>");
    for phase in phases {
        let tokens = |(source, counts): (&String, &Value)| (source.clone(), number(&counts["tokens"]));
        let bars: Vec<(String, u64)> = phase["sources"].as_object().into_iter().flatten().map(tokens).collect();
        let title = format!("Tokens of {}", phase["name"].as_str().unwrap_or("?"));
        out.push_str(&bar_chart(&title, &bars, Some(number(&phase["tokens"]))));
    }
    out
}

/// How far a classifier is right.
fn classifier(card: &Value) -> String {
    let mut out = "<h3>Beside known labels</h3><div class=\"scroll\"><table><tr><th>language<th>label<th>documents<th>accuracy<th>informedness\
                   <th>precision<th>recall</tr>"
        .to_owned();
    let evaluation = &card["evaluation"];
    let all = [("all".to_owned(), &evaluation["all"])];
    let languages =
        evaluation["languages"].as_object().into_iter().flatten().map(|(name, scores)| (name.clone(), scores));
    for (language, scores) in all.into_iter().chain(languages) {
        let of = |value: &Value, name: &str| value[name].as_f64().map_or(String::new(), |x| format!("{x:.3}"));
        let _ = write!(
            out,
            "<tr><td>{}<td><td>{}<td>{}<td>{}<td><td></tr>",
            escape(&language),
            thousands(number(&scores["documents"])),
            of(scores, "accuracy"),
            of(scores, "informedness")
        );
        for (label, scores) in scores["labels"].as_object().into_iter().flatten() {
            let _ = write!(
                out,
                "<tr><td><td>{}<td>{}<td><td><td>{}<td>{}</tr>",
                escape(label),
                thousands(number(&scores["documents"])),
                of(scores, "precision"),
                of(scores, "recall")
            );
        }
    }
    out.push_str("</table></div>");
    out
}
