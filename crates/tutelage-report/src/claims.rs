//! What a recipe was to find out, and what its noise allows to be said.

use std::fmt::Write;

use tutelage_run::records::{ClaimRow, GroupSummary};

use crate::RunData;

/// Two-sided 5 % quantiles of Student's t with 1, 2, 3 ... degrees of freedom.
const QUANTILES: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/// Mean difference, its standard deviation, and whether it is larger than the noise of its seeds (paired t test, two-sided, 5 %).
fn decide(row: &ClaimRow) -> (f64, f64, bool) {
    let n = row.differences.len().max(1) as f64;
    let mean = row.differences.iter().sum::<f64>() / n;
    let deviation = (row.differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
    let quantile = QUANTILES.get(row.differences.len().saturating_sub(2)).copied().unwrap_or(1.96);
    (mean, deviation, mean.abs() > quantile * deviation / n.sqrt())
}

fn of_route(row: &ClaimRow) -> String {
    row.route.as_ref().map_or(String::new(), |route| format!(", on {route}"))
}

fn said(row: &ClaimRow) -> String {
    if row.differences.is_empty() {
        return "nothing of the kind is held out".to_owned();
    }
    let (mean, _, beyond) = decide(row);
    let word = if mean < 0.0 { "better" } else { "worse" };
    match beyond {
        true => format!("{word}, beyond the noise of {} seeds", row.differences.len()),
        false => format!("within the noise of {} seeds", row.differences.len()),
    }
}

/// One line a row.
pub fn claims(run: &RunData) -> Vec<String> {
    let mut out = Vec::new();
    for claim in &run.summary.claims {
        out.push(format!("{}:", claim.title));
        for row in &claim.rows {
            let (mean, deviation, _) = decide(row);
            out.push(format!(
                "  {} against {}{}: {mean:+.4} nats a token (deviation {deviation:.4}), {}; the paper: {}",
                row.group,
                row.against,
                of_route(row),
                said(row),
                row.paper
            ));
        }
    }
    out
}

/// All groups and claims of a run in Markdown.
pub fn markdown(run: &RunData) -> String {
    let corpus = &run.summary.corpus;
    let mut out = format!(
        "## {}\n\n{} tokens to learn from, {} held out, vocabulary {}, sequences of {}.\n\n",
        run.summary.recipe, corpus.train_tokens, corpus.heldout_tokens, corpus.vocab_size, corpus.seq_len
    );
    out.push_str(
        "| run | weights | tokens | learns from | held-out loss | calibration error |\n|---|---|---|---|---|---|\n",
    );
    for group in &run.summary.groups {
        let Some(model) = run.first_of(&group.name).map(|model| &model.summary) else { continue };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            group.name,
            model.parameters,
            model.tokens,
            model.objective,
            with_deviation(group, group.mean_loss, group.std_loss, 1.0, ""),
            with_deviation(group, group.mean_calibration_error, group.std_calibration_error, 100.0, " %")
        );
    }
    for claim in &run.summary.claims {
        let _ = write!(
            out,
            "\n**{}** (differences of held-out loss, seed by seed; negative is better)\n\n\
             | run | against | difference | what the noise allows to be said | the paper |\n|---|---|---|---|---|\n",
            claim.title
        );
        for row in &claim.rows {
            let (mean, deviation, _) = decide(row);
            let _ = writeln!(
                out,
                "| {} | {}{} | {mean:+.4} +- {deviation:.4} | {} | {} |",
                row.group,
                row.against,
                of_route(row),
                said(row),
                row.paper
            );
        }
    }
    out
}

fn with_deviation(group: &GroupSummary, mean: Option<f64>, deviation: Option<f64>, factor: f64, unit: &str) -> String {
    let Some(mean) = mean else { return String::new() };
    let digits = if unit.is_empty() { 4 } else { 2 };
    match deviation.filter(|_| group.n_seeds > 1) {
        Some(deviation) => format!("{:.digits$} +- {:.digits$}{unit}", factor * mean, factor * deviation),
        None => format!("{:.digits$}{unit}", factor * mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_those_of_a_paired_t_test() {
        let row = |differences: &[f64]| ClaimRow {
            group: "a".to_owned(),
            against: "b".to_owned(),
            route: None,
            paper: String::new(),
            differences: differences.to_vec(),
        };
        // t = 0.02 / (0.01 / sqrt 3) = 3.46, below 4.30; and 0.03 / (0.01 / sqrt 3) = 5.20, above.
        let (mean, deviation, beyond) = decide(&row(&[0.01, 0.02, 0.03]));
        assert!((mean - 0.02).abs() < 1e-12 && (deviation - 0.01).abs() < 1e-12 && !beyond);
        assert!(decide(&row(&[-0.02, -0.03, -0.04])).2);
        assert_eq!(said(&row(&[-0.02, -0.03, -0.04])), "better, beyond the noise of 3 seeds");
        assert_eq!(said(&row(&[0.01, -0.01])), "within the noise of 2 seeds");
    }
}
