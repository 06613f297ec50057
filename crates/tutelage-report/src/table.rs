//! The comparison as text.

use std::fmt::Write;

use crate::RunData;

/// One line a model.
pub fn table(run: &RunData) -> String {
    let width = run.models.iter().map(|m| m.summary.name.len()).max().unwrap_or(0).max(5);
    let mut out = format!(
        "{:width$}  {:>10}  {:>10}  {:>8}  {:>9}  {:>10}  {:>9}  {:>6}  learns from\n",
        "model", "weights", "tokens", "seconds", "loss", "perplexity", "bits/byte", "ECE %"
    );
    for model in &run.models {
        let m = &model.summary;
        let _ = writeln!(
            out,
            "{:width$}  {:>10}  {:>10}  {:>8.1}  {:>9.4}  {:>10.2}  {:>9.4}  {:>6}  {}",
            m.name,
            m.parameters,
            m.tokens,
            m.seconds,
            m.heldout_loss,
            m.heldout_perplexity,
            m.heldout_bits_per_byte,
            m.heldout_calibration_error.map_or(String::new(), |error| format!("{:.2}", 100.0 * error)),
            m.objective
        );
    }
    for group in run.summary.groups.iter().filter(|group| group.n_seeds > 1) {
        let std = group.std_bits_per_byte.unwrap_or(f64::NAN);
        let _ = writeln!(
            out,
            "{}: {:.4} +- {std:.4} bits/byte over {} seeds",
            group.name, group.mean_bits_per_byte, group.n_seeds
        );
    }
    out
}
