//! A number, or a table with a shape.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tutelage_loss::{Schedule, Shape};

use crate::RecipeError;

/// A value over the steps: `0.9`, or `{ shape = "wsd", peak = 0.9, warmup = 0.1, decay = 0.01 }`.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleSpec {
    /// Always the same.
    Number(f64),
    /// Changing.
    Shape(ShapeSpec),
}

/// A changing value. `warmup`, `decay` and `every` are shares of all steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case", deny_unknown_fields)]
pub enum ShapeSpec {
    /// Stays after warm-up.
    Constant {
        /// Value after warm-up.
        peak: f64,
        /// Share of the steps of linear warm-up from zero.
        #[serde(default)]
        warmup: f64,
    },
    /// Straight to `end`.
    Linear {
        /// Value after warm-up.
        peak: f64,
        /// Last value.
        end: f64,
        /// Share of the steps of linear warm-up from zero.
        #[serde(default)]
        warmup: f64,
    },
    /// Half a cosine wave to `floor`.
    Cosine {
        /// Value after warm-up.
        peak: f64,
        /// Last value.
        #[serde(default)]
        floor: f64,
        /// Share of the steps of linear warm-up from zero.
        #[serde(default)]
        warmup: f64,
    },
    /// Warm-up, stable, cosine decay.
    Wsd {
        /// Value after warm-up.
        peak: f64,
        /// Last value.
        #[serde(default)]
        floor: f64,
        /// Share of the steps of linear warm-up from zero.
        warmup: f64,
        /// Share of the steps of decay.
        decay: f64,
    },
    /// Times `factor` after each `every`.
    StepDecay {
        /// Value after warm-up.
        peak: f64,
        /// What it is multiplied by.
        factor: f64,
        /// Share of the steps between drops.
        every: f64,
        /// Share of the steps at the beginning where the value is zero; drops are counted from the beginning.
        #[serde(default)]
        zero: f64,
        /// Share of the steps of linear warm-up from zero.
        #[serde(default)]
        warmup: f64,
    },
    /// In turn `peak` and `floor`.
    Period {
        /// Value of the first part of each period.
        peak: f64,
        /// Value of the rest.
        #[serde(default)]
        floor: f64,
        /// Share of the steps that a period takes.
        every: f64,
        /// Share of a period at `peak`.
        #[serde(default = "half")]
        high: f64,
        /// Share of the steps of linear warm-up from zero.
        #[serde(default)]
        warmup: f64,
    },
}

defaults! {
    half: f64 = 0.5;
}

impl ScheduleSpec {
    /// The schedule over `steps`, its values inside `range`; `name` is for errors.
    ///
    /// # Errors
    /// When a share is outside 0 to 1, or a value outside the range.
    pub(crate) fn resolve(&self, name: &str, steps: u64, range: (f64, f64)) -> Result<Schedule, RecipeError> {
        let fault = |what: &str, value: f64, allowed: String| {
            Err(RecipeError::request(format!("{name}: {what} = {value}: must be {allowed}")))
        };
        let (peak, warmup, other_values, other_shares) = match self {
            &ScheduleSpec::Number(value) => (value, 0.0, vec![], vec![]),
            ScheduleSpec::Shape(shape) => match *shape {
                ShapeSpec::Constant { peak, warmup } => (peak, warmup, vec![], vec![]),
                ShapeSpec::Linear { peak, end, warmup } => (peak, warmup, vec![("end", end)], vec![]),
                ShapeSpec::Cosine { peak, floor, warmup } => (peak, warmup, vec![("floor", floor)], vec![]),
                ShapeSpec::Wsd { peak, floor, warmup, decay } => {
                    (peak, warmup, vec![("floor", floor)], vec![("decay", decay), ("warmup + decay", warmup + decay)])
                }
                ShapeSpec::StepDecay { peak, factor, every, zero, warmup } => {
                    if !(factor.is_finite() && factor >= 0.0) {
                        return fault("factor", factor, "zero or positive".to_owned());
                    }
                    if warmup > 0.0 && zero > 0.0 {
                        return fault("zero", zero, "0 where there is warmup: both say how it begins".to_owned());
                    }
                    if zero > 0.0 && range.0 > 0.0 {
                        return fault("zero", zero, format!("0: the value must be from {} to {}", range.0, range.1));
                    }
                    (peak, warmup, vec![], vec![("every", every), ("zero", zero)])
                }
                ShapeSpec::Period { peak, floor, every, high, warmup } => {
                    (peak, warmup, vec![("floor", floor)], vec![("every", every), ("high", high)])
                }
            },
        };
        for (what, value) in [("peak", peak)].into_iter().chain(other_values) {
            if !(value >= range.0 && value <= range.1) {
                return fault(what, value, format!("from {} to {}", range.0, range.1));
            }
        }
        for (what, share) in [("warmup", warmup)].into_iter().chain(other_shares) {
            if !(0.0..=1.0).contains(&share) {
                return fault(what, share, "a share of the steps, from 0 to 1".to_owned());
            }
        }
        let of_steps = |share: f64| (share * steps as f64).round() as u64;
        let shape = match self {
            ScheduleSpec::Number(_) | ScheduleSpec::Shape(ShapeSpec::Constant { .. }) => Shape::Constant,
            &ScheduleSpec::Shape(ShapeSpec::Linear { end, .. }) => Shape::Linear { end },
            &ScheduleSpec::Shape(ShapeSpec::Cosine { floor, .. }) => Shape::Cosine { floor },
            &ScheduleSpec::Shape(ShapeSpec::Wsd { floor, decay, .. }) => {
                Shape::Wsd { decay_steps: of_steps(decay), floor }
            }
            &ScheduleSpec::Shape(ShapeSpec::StepDecay { factor, every, zero, .. }) => {
                Shape::StepDecay { every: of_steps(every).max(1), factor, zero_steps: of_steps(zero) }
            }
            &ScheduleSpec::Shape(ShapeSpec::Period { floor, every, high, .. }) => {
                let every = of_steps(every).max(1);
                Shape::Period { every, high: (high * every as f64).round() as u64, floor }
            }
        };
        Ok(Schedule { peak, warmup_steps: of_steps(warmup), shape })
    }
}

impl fmt::Display for ScheduleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleSpec::Number(value) => write!(f, "{value}"),
            ScheduleSpec::Shape(ShapeSpec::Constant { peak, .. }) => write!(f, "{peak}"),
            ScheduleSpec::Shape(ShapeSpec::Linear { peak, end, .. }) => write!(f, "linear {peak} to {end}"),
            ScheduleSpec::Shape(ShapeSpec::Cosine { peak, floor, .. }) => write!(f, "cosine {peak} to {floor}"),
            ScheduleSpec::Shape(ShapeSpec::Wsd { peak, floor, decay, .. }) => {
                write!(f, "WSD {peak} to {floor} (decay {decay})")
            }
            ScheduleSpec::Shape(ShapeSpec::StepDecay { peak, factor, zero, .. }) => {
                write!(f, "steps from {peak} by {factor}")?;
                if *zero > 0.0 { write!(f, ", zero for the first {zero}") } else { Ok(()) }
            }
            ScheduleSpec::Shape(ShapeSpec::Period { peak, floor, every, .. }) => {
                write!(f, "{peak} and {floor} in periods of {every}")
            }
        }
    }
}

impl Serialize for ScheduleSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ScheduleSpec::Number(value) => serializer.serialize_f64(*value),
            ScheduleSpec::Shape(shape) => shape.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ScheduleSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrTable;
        impl<'de> Visitor<'de> for NumberOrTable {
            type Value = ScheduleSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a table with 'shape' and 'peak'")
            }
            fn visit_f64<E>(self, value: f64) -> Result<ScheduleSpec, E> {
                Ok(ScheduleSpec::Number(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<ScheduleSpec, E> {
                Ok(ScheduleSpec::Number(value as f64))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ScheduleSpec, A::Error> {
                ShapeSpec::deserialize(MapAccessDeserializer::new(map)).map(ScheduleSpec::Shape)
            }
        }
        deserializer.deserialize_any(NumberOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct One {
        x: ScheduleSpec,
    }

    fn parse(text: &str) -> Result<ScheduleSpec, toml::de::Error> {
        toml::from_str::<One>(text).map(|one| one.x)
    }

    #[test]
    fn numbers_and_tables_are_read() {
        assert_eq!(parse("x = 1").unwrap(), ScheduleSpec::Number(1.0));
        let spec = parse("x = { shape = 'wsd', peak = 0.9, warmup = 0.1, decay = 0.01 }").unwrap();
        let schedule = spec.resolve("x", 200, (0.0, 1.0)).unwrap();
        assert_eq!((schedule.peak, schedule.warmup_steps), (0.9, 20));
        assert_eq!(schedule.shape, Shape::Wsd { decay_steps: 2, floor: 0.0 });
    }

    #[test]
    fn settings_that_would_be_ignored_are_refused() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message("x = { shape = 'cosine', peak = 1, decay = 0.1 }").contains("decay"));
        assert!(message("x = { shape = 'zigzag', peak = 1 }").contains("zigzag"));
        assert!(message("x = 'high'").contains("a number, or a table"));
        let wide = parse("x = { shape = 'wsd', peak = 1, warmup = 0.6, decay = 0.6 }").unwrap();
        assert!(wide.resolve("x", 10, (0.0, 1.0)).unwrap_err().to_string().contains("warmup + decay"));
        assert!(parse("x = 1.5").unwrap().resolve("alpha", 10, (0.0, 1.0)).is_err());
        assert!(parse("x = nan").unwrap().resolve("alpha", 10, (0.0, 1.0)).is_err());
    }
}
