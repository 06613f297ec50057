//! `report.html` of stages over documents.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;
use tutelage_run::write_atomic;

use super::stage::section;
use super::{DataReport, StageReport};
use crate::ReportError;
use crate::bars::bar_chart;
use crate::html::{escape, short, thousands};

/// Writes `report.html` into the folder; returns its path.
///
/// # Errors
/// When it cannot be written.
pub fn write_data_html(report: &DataReport) -> Result<PathBuf, ReportError> {
    let path = report.folder.join("report.html");
    write_atomic(&path, page(report).as_bytes())?;
    Ok(path)
}

fn page(report: &DataReport) -> String {
    let name = report.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{0}: tutelage</title>\
         <style>{1}</style></head><body><main><h1>{0}</h1>",
        escape(&name),
        include_str!("../page.css")
    );
    out.push_str(&overview(report));
    report.stages.iter().for_each(|stage| out.push_str(&section(stage)));
    out.push_str("</main></body></html>\n");
    out
}

/// A number of a manifest.
pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Bytes that a stage wrote.
fn bytes(stage: &StageReport) -> u64 {
    stage.manifest["outputs"].as_array().into_iter().flatten().map(|output| number(&output["bytes"])).sum()
}

/// Names with their numbers, the largest first.
pub(super) fn ranked(counts: &Value) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> =
        counts.as_object().into_iter().flatten().map(|(name, n)| (name.clone(), number(n))).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn overview(report: &DataReport) -> String {
    let mut out = "<div class=\"scroll\"><table><tr><th>stage<th>what it does<th>read<th>kept<th><th>written<th>most dropped for</tr>"
        .to_owned();
    for stage in &report.stages {
        let manifest = &stage.manifest;
        let (read, kept) = (number(&manifest["read"]), number(&manifest["kept"]));
        let most = ranked(&manifest["dropped"]).into_iter().next();
        let most = most.map_or(String::new(), |(reason, n)| format!("{} ({})", escape(&reason), thousands(n)));
        let _ = write!(
            out,
            "<tr><td><a href=\"#{0}\">{0}</a><td>{1}<td>{2}<td>{3}<td>{4:.1} %<td>{5}B<td>{most}</tr>",
            escape(&stage.name),
            escape(manifest["stage"].as_str().unwrap_or("?")),
            thousands(read),
            thousands(kept),
            100.0 * kept as f64 / read.max(1) as f64,
            short(bytes(stage) as f64)
        );
    }
    out.push_str("</table></div>");
    if report.stages.len() > 1 {
        let first = report.stages.first().map(|stage| number(&stage.manifest["read"]));
        let bars = report.stages.iter().map(|stage| (stage.name.clone(), number(&stage.manifest["kept"])));
        out.push_str(&bar_chart("Documents kept by each stage", &bars.collect::<Vec<_>>(), first));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_stage_has_its_place() {
        let manifest = json!({
            "stage": "rules", "read": 10, "kept": 6, "dropped": {"curly_bracket": 3, "<short>": 1},
            "warnings": ["mind <this>"], "counts": {"lines": 7}, "settings": {"preset": "c4"},
            "damaged": [{"file": "a", "place": 3, "reason": "not_json", "found": "EOF"}],
            "outputs": [{"file": "x.jsonl", "bytes": 1500}],
        });
        let look = json!({
            "kept": {"documents": 6, "chars": 60, "bytes": 70, "words": 12, "lengths": [{"from": 8, "to": 16, "count": 6}],
                "languages": {"en": 4, "zh": 2}, "hosts": [["a.com", 5]], "copies": [], "reasons": {}},
            "examples": [{"id": "7", "fate": {"dropped": "curly_bracket"}, "before": "x { y", "after": ""},
                {"id": "8", "fate": "changed", "before": "one\ntwo", "after": "one"}],
        });
        let curve = json!({"stage": "dedup", "read": 6, "kept": 5, "dropped": {"near_duplicate": 1}, "outputs": [],
            "settings": {"probability": [[0.5, 0.1], [0.7, 0.5], [0.9, 1.0]]}});
        let stage = |name: &str, manifest: Value, look: Option<Value>| StageReport {
            name: name.to_owned(),
            manifest,
            look,
            mix: None,
            card: None,
        };
        let report = DataReport {
            folder: PathBuf::from("runs/web"),
            stages: vec![stage("rules", manifest, Some(look)), stage("dedup", curve, None)],
        };
        let html = page(&report);
        for found in [
            "60.0 %",
            "curly_bracket (3)",
            "&lt;short&gt;",
            "mind &lt;this&gt;",
            "8 to 15",
            "a.com",
            "1.5kB",
            "Documents kept by each stage",
            "x { y",
            "dropped: curly_bracket",
            "EOF",
            "id=\"dedup\"",
            "Probability",
        ] {
            assert!(html.contains(found), "{found}");
        }
        assert!(!html.contains("mind <this>") && !html.contains("NaN"));
    }
}
