//! What is compared inside of a run's model and its teacher.

use std::collections::BTreeSet;

use tutelage_loss::features::{FeatureKind, TapKind};
use tutelage_model::DecoderConfig;
use tutelage_tensor::DType;
use tutelage_train::FeatureSchedule;

use super::TeacherSource;
use crate::RecipeError;
use crate::spec::{AttentionSpec, FeaturesSpec, HiddenSpec, RunSpec, ScheduleSpec, SquareSpec};

/// No weight is outside.
const WEIGHTS: (f64, f64) = (0.0, 1e6);

/// One kind, as the recipe has it.
struct Asked<'a> {
    kind: FeatureKind,
    weight: &'a ScheduleSpec,
    layers: &'a Vec<(usize, usize)>,
    projection: bool,
    relative: bool,
}

fn asked(spec: &FeaturesSpec) -> Vec<Asked<'_>> {
    let mut out = Vec::new();
    let mut add = |kind, weight, layers, projection, relative| {
        out.push(Asked { kind, weight, layers, projection, relative });
    };
    if let Some(SquareSpec { weight, layers, projection, relative }) = &spec.hidden_mse {
        add(FeatureKind::HiddenMse, weight, layers, *projection, *relative);
    }
    if let Some(HiddenSpec { weight, layers, projection }) = &spec.hidden_cosine {
        add(FeatureKind::HiddenCosine, weight, layers, *projection, false);
    }
    if let Some(SquareSpec { weight, layers, projection, relative }) = &spec.channels {
        add(FeatureKind::Channels, weight, layers, *projection, *relative);
    }
    if let Some(AttentionSpec { weight, layers }) = &spec.attention_kl {
        add(FeatureKind::AttentionKl, weight, layers, false, false);
    }
    out
}

/// The comparisons of a run.
pub(super) fn features(
    run: &RunSpec,
    spec: &FeaturesSpec,
    (student, source): (&DecoderConfig, &TeacherSource),
    steps: u64,
) -> Result<Vec<FeatureSchedule>, RecipeError> {
    let fault = |found: String| Err(RecipeError::request(format!("run '{}': teacher.features: {found}", run.name)));
    let asked = asked(spec);
    if asked.is_empty() {
        return fault("names nothing to compare: give hidden_mse, hidden_cosine, channels or attention_kl".to_owned());
    }
    let TeacherSource::Live { teacher } = source else {
        return fault("only one live teacher can be seen from inside; give run or model".to_owned());
    };
    let teacher = &teacher.config;
    let mut out = Vec::new();
    for Asked { kind, weight, layers, projection, relative } in asked {
        let name = kind.name();
        let maps = kind.tap() == TapKind::Maps;
        let pairs = if layers.is_empty() { same_depth(student.n_layers, teacher.n_layers) } else { layers.clone() };
        if pairs.iter().collect::<BTreeSet<_>>().len() < pairs.len() {
            return fault(format!("{name}.layers names a pair twice"));
        }
        let first = usize::from(maps);
        for &(own, other) in &pairs {
            for (whose, layer, n) in [("the student", own, student.n_layers), ("the teacher", other, teacher.n_layers)]
            {
                if layer < first || layer > n {
                    return fault(format!("{name}.layers: {whose} has no layer {layer}; it has {first} to {n}"));
                }
            }
        }
        if maps {
            if student.n_heads != teacher.n_heads {
                let (own, other) = (student.n_heads, teacher.n_heads);
                return fault(format!(
                    "{name}: the student has {own} heads, the teacher {other}; they must be as many"
                ));
            }
            // A key that the teacher sees and the student does not would be at an infinite distance.
            let window =
                |config: &DecoderConfig, block: usize| config.options.window_of(block - 1).unwrap_or(usize::MAX);
            if let Some((own, other)) = pairs.iter().find(|pair| window(student, pair.0) < window(teacher, pair.1)) {
                return fault(format!(
                    "{name}: block {own} of the student sees fewer keys than block {other} of the teacher"
                ));
            }
        }
        if !maps && !projection && student.d_model != teacher.d_model {
            let (own, other) = (student.d_model, teacher.d_model);
            return fault(format!("{name}: widths of {own} and {other} cannot be compared without projection = true"));
        }
        let weight = weight.resolve(&format!("run '{}': teacher.features.{name}.weight", run.name), steps, WEIGHTS)?;
        let projection = projection.then_some(teacher.d_model);
        out.push(FeatureSchedule { kind, weight, relative, pairs, projection });
    }
    Ok(out)
}

/// Every block of the student with the teacher's at the same share of its depth, as near as can be.
fn same_depth(n_student: usize, n_teacher: usize) -> Vec<(usize, usize)> {
    let other = |own: usize| ((2 * own * n_teacher + n_student) / (2 * n_student)).max(1);
    (1..=n_student).map(|own| (own, other(own))).collect()
}

/// In words.
pub(super) fn describe(spec: &FeaturesSpec) -> String {
    let one = |asked: &Asked<'_>| {
        let squares = matches!(asked.kind, FeatureKind::HiddenMse | FeatureKind::Channels);
        let plain = if squares && !asked.relative { "plain " } else { "" };
        format!(", {plain}{} {}", asked.kind.name(), asked.weight)
    };
    asked(spec).iter().map(one).collect()
}

/// Memory of the comparisons.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FeatureBytes {
    /// Of projections, with gradients and moments.
    pub(super) state: u64,
    /// Of what is held while so many rows go through both models.
    pub(super) step: u64,
}

impl FeatureBytes {
    pub(super) fn of(
        features: &[FeatureSchedule],
        (student, teacher): (&DecoderConfig, &DecoderConfig),
        activation: DType,
        t: usize,
    ) -> Self {
        let (width, t) = (activation.size() as u64, t as u64);
        let mut out = Self::default();
        for feature in features {
            let pairs = feature.pairs.len() as u64;
            let (own, other) = (student.d_model as u64, teacher.d_model as u64);
            out.state += feature.projection.map_or(0, |_| 20 * own * other * pairs);
            out.step += pairs
                * match feature.kind.tap() {
                    // The student's rows, their projection, its gradient, and the teacher's.
                    TapKind::Rows => t * width * (own + 3 * other),
                    TapKind::Means => 0,
                    // The teacher's queries, keys and values, and a log-sum-exp of both for every query.
                    TapKind::Maps => {
                        let qkv = (teacher.n_heads + 2 * teacher.n_kv_heads) * teacher.d_head;
                        t * (width * qkv as u64 + 8 * student.n_heads as u64)
                    }
                };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::same_depth;

    #[test]
    fn layers_are_paired_by_depth() {
        assert_eq!(same_depth(2, 4), [(1, 2), (2, 4)]);
        assert_eq!(same_depth(3, 3), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(same_depth(4, 6), [(1, 2), (2, 3), (3, 5), (4, 6)]);
        assert_eq!(same_depth(6, 2), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]);
    }
}
