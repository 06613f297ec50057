//! How a teacher enters the loss of a run.

use tutelage_loss::{Divergence, Schedule, StudentTemperature};
use tutelage_model::DecoderConfig;
use tutelage_train::{Distillation, TemperatureSchedule, Weights};

use super::features::{describe, features};
use super::on_policy::{self, on_policy};
use super::online;
use super::{MemberPlan, TeacherSource};
use crate::RecipeError;
use crate::spec::{
    ChoiceSpec, RowTemperatureSpec, RunSpec, ScheduleSpec, StudentTemperatureSpec, TeacherSpec, TemperatureSpec,
};

/// No temperature is outside.
const TEMPERATURES: (f64, f64) = (1e-3, 1e3);
/// No explicit weight of text or teacher is outside.
pub(super) const WEIGHTS: (f64, f64) = (0.0, 1e3);

pub(super) fn distillation(
    run: &RunSpec,
    teacher: &TeacherSpec,
    (student, source): (&DecoderConfig, &TeacherSource),
    (seq_len, steps): (usize, u64),
) -> Result<Distillation, RecipeError> {
    let of = Of { run, steps };
    let student_temperature = match teacher.student_temperature {
        StudentTemperatureSpec::Teacher => StudentTemperature::Teacher,
        StudentTemperatureSpec::Number(number) if number >= TEMPERATURES.0 && number <= TEMPERATURES.1 => {
            StudentTemperature::Fixed(number as f32)
        }
        StudentTemperatureSpec::Number(number) => {
            return of.fault(
                "student_temperature",
                &format!("= {number}: must be from {:?} to {:?}", TEMPERATURES.0, TEMPERATURES.1),
            );
        }
    };
    let divergence = of.divergence(teacher)?;
    let distillation = Distillation {
        weights: of.weights(teacher)?,
        divergence,
        temperature: match &teacher.temperature {
            TemperatureSpec::Schedule(schedule) => TemperatureSchedule::Fixed(of.temperature("temperature", schedule)?),
            TemperatureSpec::PerRow(RowTemperatureSpec::Deviation { factor }) => {
                TemperatureSchedule::Deviation { factor: of.temperature("temperature.factor", factor)? }
            }
            TemperatureSpec::PerRow(RowTemperatureSpec::Entropy { certain, uncertain }) => {
                TemperatureSchedule::Entropy {
                    certain: of.temperature("temperature.certain", certain)?,
                    uncertain: of.temperature("temperature.uncertain", uncertain)?,
                }
            }
        },
        student_temperature,
        temperature_squared: teacher.temperature_squared,
        tail: teacher.tail,
        guided: teacher.guided,
        features: match &teacher.features {
            Some(spec) => features(run, spec, (student, source), steps)?,
            None => Vec::new(),
        },
        on_policy: on_policy(run, (teacher, divergence), source, (seq_len, steps))?,
    };
    let kind = source.targets();
    let wrong = distillation.objectives(steps).find_map(|objective| objective.check(kind).err());
    match wrong {
        Some(found) => Err(RecipeError::request(format!("run '{}': teacher: {found}", run.name))),
        None => Ok(distillation),
    }
}

/// Settings of a run's teacher, for errors.
struct Of<'a> {
    run: &'a RunSpec,
    steps: u64,
}

impl Of<'_> {
    fn fault<T>(&self, key: &str, found: &str) -> Result<T, RecipeError> {
        Err(RecipeError::request(format!("{} {found}", self.name(key))))
    }

    fn name(&self, key: &str) -> String {
        format!("run '{}': teacher.{key}", self.run.name)
    }

    fn temperature(&self, key: &str, schedule: &ScheduleSpec) -> Result<Schedule, RecipeError> {
        let schedule = schedule.resolve(&self.name(key), self.steps, TEMPERATURES)?;
        match schedule.warmup_steps {
            0 => Ok(schedule),
            _ => self.fault(key, ": warm-up begins at zero, which is no temperature"),
        }
    }

    fn weights(&self, teacher: &TeacherSpec) -> Result<Weights, RecipeError> {
        let resolve = |key: &str, schedule: &ScheduleSpec, range| schedule.resolve(&self.name(key), self.steps, range);
        match (&teacher.alpha, &teacher.text_weight, &teacher.teacher_weight) {
            (Some(alpha), None, None) => Ok(Weights::Alpha(resolve("alpha", alpha, (0.0, 1.0))?)),
            (None, Some(text), Some(teacher)) => Ok(Weights::Separate {
                text: resolve("text_weight", text, WEIGHTS)?,
                teacher: resolve("teacher_weight", teacher, WEIGHTS)?,
            }),
            _ => self.fault("alpha", "or both text_weight and teacher_weight must be given: one way to weigh, not two"),
        }
    }

    fn divergence(&self, teacher: &TeacherSpec) -> Result<Divergence, RecipeError> {
        let given = [("beta", teacher.beta), ("skew", teacher.skew)];
        let settings: Vec<(&str, f64)> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Divergence::named(&teacher.divergence, &settings)
            .map_err(|found| RecipeError::request(format!("{}: {found}", self.name("divergence"))))
    }
}

/// Several teachers in words.
fn several(members: &[MemberPlan]) -> String {
    let one = |member: &MemberPlan| {
        let kind = if member.source.live().is_empty() { "cached" } else { "live" };
        let weight = if member.weight == 1.0 { String::new() } else { format!(" (weight {})", member.weight) };
        let routes =
            if member.routes.is_empty() { String::new() } else { format!(" for {}", member.routes.join(", ")) };
        format!("{kind} {}{weight}{routes}", member.source.name())
    };
    members.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// What a run learns from, in words.
pub(super) fn objective(run: &RunSpec, taught: Option<(&TeacherSource, &Distillation)>) -> String {
    let mut out = learned_from(run, taught);
    if !run.routes.is_empty() {
        out += &format!(", on {}", run.routes.join(" and "));
    }
    if let Some(from) = &run.from {
        out += &format!(", going on from {from}");
    }
    out
}

fn learned_from(run: &RunSpec, taught: Option<(&TeacherSource, &Distillation)>) -> String {
    let (Some(teacher), Some((source, distillation))) = (&run.teacher, taught) else { return "text alone".to_owned() };
    let mut out = match source {
        TeacherSource::Live { teacher } => format!("live {}, whole vocabulary", teacher.name),
        TeacherSource::Cache { teacher, kept, .. } => format!("cached {}, {kept}", teacher.name()),
        TeacherSource::Server { server, kept } => format!("server {}, {kept}", server.name),
        TeacherSource::Several(members) => several(members),
    };
    if let Some(selection) = &teacher.selection {
        out += match selection.choice {
            ChoiceSpec::Each => ", chosen by what it does",
            ChoiceSpec::Weights => ", weighed by what it does",
        };
    }
    if teacher.tail {
        out += " and tail";
    }
    out += &match &teacher.temperature {
        TemperatureSpec::Schedule(schedule) => format!(", tau {schedule}"),
        TemperatureSpec::PerRow(RowTemperatureSpec::Deviation { factor }) => format!(", tau {factor} deviations"),
        TemperatureSpec::PerRow(RowTemperatureSpec::Entropy { certain, uncertain }) => {
            format!(", tau {certain} to {uncertain} by entropy")
        }
    };
    match teacher.student_temperature {
        StudentTemperatureSpec::Teacher => out += " on both sides",
        StudentTemperatureSpec::Number(1.0) => {}
        StudentTemperatureSpec::Number(tau) => out += &format!(", the student's {tau}"),
    }
    if teacher.temperature_squared {
        out += " times its square";
    }
    out += &format!(", {}", distillation.divergence);
    if teacher.guided {
        out += " where the teacher is right";
    }
    match (&teacher.alpha, &teacher.text_weight, &teacher.teacher_weight) {
        (None, Some(text), Some(teacher)) => out += &format!(", weights {text} and {teacher}"),
        (Some(alpha), ..) => out += &format!(", alpha {alpha}"),
        _ => {}
    }
    out += &teacher.features.as_ref().map(describe).unwrap_or_default();
    out += &teacher.on_policy.as_ref().map(on_policy::describe).unwrap_or_default();
    out + &teacher.online.as_ref().map(online::describe).unwrap_or_default()
}
