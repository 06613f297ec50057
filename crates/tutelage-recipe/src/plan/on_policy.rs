//! How a run learns from its student's own texts.

use tutelage_loss::Divergence;
use tutelage_train::OnPolicy;

use super::TeacherSource;
use crate::RecipeError;
use crate::spec::{OnPolicySpec, RunSpec, TeacherSpec};

/// Hotter texts are noise, colder ones always the same.
const TEMPERATURES: (f64, f64) = (0.05, 5.0);

pub(super) fn on_policy(
    run: &RunSpec,
    (teacher, divergence): (&TeacherSpec, Divergence),
    source: &TeacherSource,
    (seq_len, steps): (usize, u64),
) -> Result<Option<OnPolicy>, RecipeError> {
    let name = format!("run '{}': teacher.on_policy", run.name);
    let fault = |found: &str| Err(RecipeError::request(format!("{name}: {found}")));
    let sampled = divergence.is_of_own_tokens();
    let Some(spec) = &teacher.on_policy else {
        return match sampled {
            true => fault("must be given for sampled_reverse_kl, which is of tokens that the student wrote"),
            false => Ok(None),
        };
    };
    if let Some(cache) = source.caches().first() {
        return fault(&format!(
            "cache '{cache}' knows nothing of texts that are not written yet; choose a live teacher"
        ));
    }
    if teacher.guided {
        return fault(
            "guided asks whether the teacher finds the text likely, and here the student wrote it; leave one out",
        );
    }
    let prompt_tokens = spec.prompt_tokens;
    if prompt_tokens == 0 || prompt_tokens >= seq_len {
        return fault(&format!(
            "prompt_tokens = {prompt_tokens}: must be at least 1, and less than data.seq_len = {seq_len}"
        ));
    }
    if !(spec.temperature >= TEMPERATURES.0 && spec.temperature <= TEMPERATURES.1) {
        let (least, most) = TEMPERATURES;
        return fault(&format!("temperature = {}: must be from {least} to {most}", spec.temperature));
    }
    if sampled && spec.temperature != 1.0 {
        return fault("temperature must be 1 for sampled_reverse_kl, whose estimate is of the student as it is");
    }
    let fraction = spec.fraction.resolve(&format!("{name}.fraction"), steps, (0.0, 1.0))?;
    Ok(Some(OnPolicy { fraction, prompt_tokens, temperature: spec.temperature }))
}

/// In words.
pub(super) fn describe(spec: &OnPolicySpec) -> String {
    let temperature = if spec.temperature == 1.0 { String::new() } else { format!(" at {}", spec.temperature) };
    format!(", own texts {} after {} tokens{temperature}", spec.fraction, spec.prompt_tokens)
}
