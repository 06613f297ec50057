//! Did teaching help, in words.

use tutelage_run::records::GroupSummary;

use crate::RunData;

/// One sentence for each taught group that has a baseline: same weights, same tokens, the text alone.
pub fn verdict(run: &RunData) -> Vec<String> {
    let mut out = Vec::new();
    for group in &run.summary.groups {
        let Some(model) = run.first_of(&group.name).map(|m| &m.summary) else { continue };
        if model.teacher.is_none() {
            continue;
        }
        let baseline = run.summary.groups.iter().find(|other| {
            run.first_of(&other.name).is_some_and(|m| {
                let m = &m.summary;
                m.teacher.is_none() && m.is_comparable(model)
            })
        });
        match baseline {
            Some(baseline) => out.push(sentence(baseline, group)),
            None => out.push(format!(
                "{}: no model of the same size learned from the text alone at equal tokens, so there is nothing to compare with.",
                group.name
            )),
        }
    }
    out
}

fn sentence(baseline: &GroupSummary, taught: &GroupSummary) -> String {
    let (base, mean) = (baseline.mean_bits_per_byte, taught.mean_bits_per_byte);
    let gain = base - mean;
    let share = 100.0 * gain / base;
    let word = if gain > 0.0 { "better" } else { "worse" };
    let change = format!(
        "{}: {mean:.4} bits a byte against {base:.4} of {}, {:.4} ({:.2} %) {word}",
        taught.name,
        baseline.name,
        gain.abs(),
        share.abs()
    );
    match (baseline.std_bits_per_byte, taught.std_bits_per_byte) {
        (Some(a), Some(b)) => {
            // Standard error of the difference of two means.
            let error = (a * a / baseline.n_seeds as f64 + b * b / taught.n_seeds as f64).sqrt().max(f64::MIN_POSITIVE);
            let ratio = gain.abs() / error;
            let judged = match (ratio >= 3.0, gain > 0.0) {
                (true, true) => "teaching helped",
                (true, false) => "teaching hurt",
                (false, _) => "too close to say",
            };
            format!("{change}; {ratio:.1} standard errors over {} seeds: {judged}.", taught.n_seeds)
        }
        _ => format!("{change}; one seed only, so small differences say nothing."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, n_seeds: usize, mean: f64, std: Option<f64>) -> GroupSummary {
        GroupSummary {
            name: name.to_owned(),
            n_seeds,
            mean_bits_per_byte: mean,
            std_bits_per_byte: std,
            mean_loss: None,
            std_loss: None,
            mean_calibration_error: None,
            std_calibration_error: None,
        }
    }

    #[test]
    fn words_follow_numbers() {
        let base = group("lm", 3, 2.0, Some(0.01));
        let say = |mean| sentence(&base, &group("kd", 3, mean, Some(0.01)));
        assert!(say(1.9).contains("0.1000 (5.00 %) better") && say(1.9).ends_with("teaching helped."));
        assert!(say(2.1).ends_with("teaching hurt."));
        assert!(say(1.999).ends_with("too close to say."));
        let one = sentence(&group("lm", 1, 2.0, None), &group("kd", 1, 1.9, None));
        assert!(one.contains("one seed only"));
    }
}
