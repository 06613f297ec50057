//! A teacher that learns beside its student.

use tutelage_loss::Schedule;
use tutelage_model::GgufFile;
use tutelage_train::{Distillation, TrainConfig, Weights};

use super::models::lora_config;
use super::objective::WEIGHTS;
use super::{OnlinePlan, TeacherSource};
use crate::RecipeError;
use crate::spec::{OnlineSpec, RunSpec, ScheduleSpec};

/// How the teacher of a run learns; `config` is how its student does.
pub(super) fn online(
    run: &RunSpec,
    source: &TeacherSource,
    config: &TrainConfig,
) -> Result<Option<Box<OnlinePlan>>, RecipeError> {
    let Some(spec) = run.teacher.as_ref().and_then(|teacher| teacher.online.as_ref()) else { return Ok(None) };
    let name = format!("run '{}': teacher.online", run.name);
    let fault = |found: &str| Err(RecipeError::request(format!("{name}: {found}")));
    let TeacherSource::Live { teacher } = source else {
        return fault("only one live teacher can learn; give run or model");
    };
    if teacher.stored.as_ref().is_some_and(|path| GgufFile::is_named(path)) {
        return fault("adapters name the modules of folders; convert the GGUF file to one first");
    }
    let OnlineSpec { lora, text_weight, student_weight, lr } = spec;
    let lora = lora_config(&format!("{name}.lora"), lora, None, &teacher.config)?;
    let resolve =
        |key: &str, schedule: &ScheduleSpec, range| schedule.resolve(&format!("{name}.{key}"), config.steps, range);
    let weights = Weights::Separate {
        text: resolve("text_weight", text_weight, WEIGHTS)?,
        teacher: resolve("student_weight", student_weight, WEIGHTS)?,
    };
    let mut own = config.clone();
    if let Some(lr) = lr {
        own.lr = resolve("lr", lr, (0.0, 1.0))?;
    }
    own.distillation = Some(Distillation { weights, ..Distillation::mix(Schedule::constant(0.0)) });
    Ok(Some(Box::new(OnlinePlan { lora, config: own })))
}

/// In words.
pub(super) fn describe(spec: &OnlineSpec) -> String {
    format!(", the teacher learns at rank {}, weights {} and {}", spec.lora.rank, spec.text_weight, spec.student_weight)
}
