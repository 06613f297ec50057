//! What logits are divided by before their softmax.

/// A teacher's temperature, the same for all rows or each row's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Temperature {
    /// The same for all rows.
    Fixed(f64),
    /// `factor` times the standard deviation of the row's logits (NormKD, 2308.00520).
    ///
    /// Departures: of the teacher's logits alone, as 2410.16215 uses it, unless the student's temperature is the teacher's;
    /// the deviation is the root of the mean square; of a truncated row, over the kept entries.
    Deviation {
        /// Multiplies the deviation.
        factor: f64,
    },
    /// Between two values by the entropy of the row at temperature 1, as a share of the largest it could have.
    ///
    /// 2410.16215 (section 4.1, "AdaKD_H") gives no formula; this one is ours. Of a truncated row, over the kept entries.
    Entropy {
        /// Where one entry has all the mass.
        certain: f64,
        /// Where all have the same.
        uncertain: f64,
    },
}

/// No row's own temperature is lower: one kept entry has no deviation.
const LOWEST: f32 = 1e-2;

/// What a row's own temperature follows from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Standard deviation of the logits.
    pub(crate) deviation: f32,
    /// Entropy at temperature 1, nats.
    pub(crate) entropy: f32,
    /// Entries.
    pub(crate) n: usize,
}

impl Temperature {
    /// The temperature of a row; `shape` is only asked for where it matters.
    pub(crate) fn of_row(self, shape: impl FnOnce() -> Shape) -> f32 {
        match self {
            Temperature::Fixed(temperature) => temperature as f32,
            Temperature::Deviation { factor } => (factor as f32 * shape().deviation).max(LOWEST),
            Temperature::Entropy { certain, uncertain } => {
                let shape = shape();
                let largest = (shape.n.max(2) as f32).ln();
                let share = f64::from((shape.entropy / largest).clamp(0.0, 1.0));
                (certain + (uncertain - certain) * share) as f32
            }
        }
    }

    /// The one temperature of all rows, if they share it.
    pub fn fixed(self) -> Option<f64> {
        match self {
            Temperature::Fixed(temperature) => Some(temperature),
            _ => None,
        }
    }
}

/// The temperature of the student's distribution in the distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StudentTemperature {
    /// A number.
    Fixed(f32),
    /// That of the teacher in the same row (1503.02531).
    Teacher,
}

impl StudentTemperature {
    /// In a row whose teacher has this temperature.
    pub(crate) fn of_row(self, teacher: f32) -> f32 {
        match self {
            StudentTemperature::Fixed(temperature) => temperature,
            StudentTemperature::Teacher => teacher,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_are_those_worked_out_by_hand() {
        let shape = || Shape { deviation: 1.5, entropy: 0.5 * 16f32.ln(), n: 16 };
        assert_eq!(Temperature::Fixed(3.0).of_row(shape), 3.0);
        assert_eq!(Temperature::Deviation { factor: 2.0 }.of_row(shape), 3.0);
        assert!((Temperature::Entropy { certain: 4.0, uncertain: 1.0 }.of_row(shape) - 2.5).abs() < 1e-6);
        let one = || Shape { deviation: 0.0, entropy: 0.0, n: 1 };
        assert_eq!(Temperature::Deviation { factor: 2.0 }.of_row(one), LOWEST);
        assert_eq!(Temperature::Entropy { certain: 4.0, uncertain: 1.0 }.of_row(one), 4.0);
    }
}
