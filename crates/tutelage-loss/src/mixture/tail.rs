//! A truncated target with one more class for all that was not kept.
//!
//! With it the distance is one between two distributions over `k + 1` classes: never more than that over the whole
//! vocabulary, equal to it for `k = V`, and not pulled to the kept entries by renormalising them. Within the last class the
//! student's distribution is its own.

use tutelage_tensor::kernels::linear_loss::MISSING;
use tutelage_tensor::simd::{Entry, RowMath};

use super::general::TextGradient;
use super::target::Kept;
use super::{Mixture, Terms};
use crate::{Divergence, cross_entropy};

impl Mixture<'_> {
    pub(super) fn with_tail(
        &self,
        math: RowMath,
        label: usize,
        logits_v: &mut [f32],
        kept: &Kept<'_>,
        gradient: bool,
    ) -> Terms {
        let weights = self.kept_weights(kept, label);
        let scale = 1.0 / self.objective.student_temperature.of_row(1.0);
        let label_logit = logits_v[label];
        let text = if gradient { weights.text } else { 0.0 };
        let text = TextGradient::before(math, (label, text), scale == 1.0, logits_v);
        let logits_k: Vec<f32> = kept.logits(logits_v).collect();
        kept.ids.iter().for_each(|&id| logits_v[id as usize] = MISSING);

        let plain = Classes::new(math, logits_v, &logits_k, kept, 1.0);
        let tempered;
        let classes = match scale == 1.0 {
            true => &plain,
            false => {
                tempered = Classes::new(math, logits_v, &logits_k, kept, scale);
                &tempered
            }
        };
        let mut slopes = Vec::with_capacity(kept.ids.len() + 1);
        let kl = Divergence::ForwardKl.classes(math, &plain.entries, &mut slopes);
        slopes.clear();
        let kd = self.objective.divergence.classes(math, &classes.entries, &mut slopes);
        if gradient {
            let weight = weights.gradient * scale;
            let slope: f64 = slopes.iter().map(|&r| f64::from(r)).sum();
            let gradient = |(entry, r): (&Entry, &f32)| {
                weight * (f64::from(*r) - f64::from(entry.q) * slope) as f32 + text.of_q * entry.q
            };
            let mut gradients = classes.entries.iter().zip(&slopes).map(gradient);
            let of_kept: Vec<f32> = gradients.by_ref().take(kept.ids.len()).collect();
            // The last class shares its gradient out as the student shares its mass.
            math.softmax_times(logits_v, scale, gradients.next().unwrap_or(0.0));
            kept.ids.iter().zip(of_kept).for_each(|(&id, gradient)| logits_v[id as usize] = gradient);
        }
        text.add(math, logits_v);
        self.terms_of(weights, cross_entropy::value(plain.lse, label_logit), kd, kl)
    }
}

/// Both distributions over the kept entries and the rest.
struct Classes {
    entries: Vec<Entry>,
    /// Of the student's whole row.
    lse: f32,
}

impl Classes {
    /// `rest_v` are the student's logits with [`MISSING`] in the place of the kept ones.
    fn new(math: RowMath, rest_v: &[f32], logits_k: &[f32], kept: &Kept<'_>, scale: f32) -> Self {
        let lse_rest = f64::from(math.log_sum_exp(rest_v, scale));
        let scaled = logits_k.iter().map(|&x| f64::from(x * scale));
        let max = scaled.clone().fold(lse_rest, f64::max);
        let lse = max + (scaled.map(|x| (x - max).exp()).sum::<f64>() + (lse_rest - max).exp()).ln();
        let entry = |t: f64, log_q: f64| Entry {
            t: t as f32,
            log_t: (t.ln() as f32).max(Entry::LOWEST),
            q: log_q.exp() as f32,
            log_q: log_q as f32,
        };
        let kept_entry = |(&log_t, &logit): (&f32, &f32)| entry(f64::from(log_t).exp(), f64::from(logit * scale) - lse);
        let mut entries: Vec<Entry> = kept.log_t_k.iter().zip(logits_k).map(kept_entry).collect();
        if logits_k.len() < rest_v.len() {
            let kept_mass: f64 = kept.log_t_k.iter().map(|&log_t| f64::from(log_t).exp()).sum();
            entries.push(entry((1.0 - kept_mass).max(0.0), lse_rest - lse));
        }
        Self { entries, lse: lse as f32 }
    }
}
