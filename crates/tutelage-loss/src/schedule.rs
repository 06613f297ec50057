//! One type for learning rate, alpha and temperature over the steps.
//!
//! WSD (warm-up, stable, decay) follows 2404.06395; as a schedule of alpha with cosine decay, 2410.16215
//! (section 4.3). Step decay from the first step is the early-decay teacher of 2006.01683 (section 3.3), whose published
//! code keeps the weights of labels and logits at zero for the first stage.

use std::f64::consts::PI;

/// A value that changes over the steps: linear warm-up from zero, then a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The value after warm-up.
    pub peak: f64,
    /// Steps of warm-up; the first step has `peak / warmup_steps`.
    pub warmup_steps: u64,
    /// What follows.
    pub shape: Shape,
}

/// How a value goes on after warm-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Stays.
    Constant,
    /// Straight to `end` at the last step.
    Linear {
        /// Last value.
        end: f64,
    },
    /// Half a cosine wave to `floor` at the last step.
    Cosine {
        /// Last value.
        floor: f64,
    },
    /// Stays, then half a cosine wave to `floor` over the last `decay_steps`.
    Wsd {
        /// Steps of decay.
        decay_steps: u64,
        /// Last value.
        floor: f64,
    },
    /// Times `factor` after every `every` steps.
    StepDecay {
        /// Steps between drops.
        every: u64,
        /// What it is multiplied by.
        factor: f64,
        /// Steps from the beginning at which the value is zero; drops are counted from the beginning all the same.
        zero_steps: u64,
    },
    /// In turn itself and `floor`: 2410.16215 (section 4.3, "Period") does not give the shape, this one is ours.
    Period {
        /// Steps from one beginning of a period to the next.
        every: u64,
        /// Steps at the value itself, with which each period begins.
        high: u64,
        /// The value in between.
        floor: f64,
    },
}

impl Schedule {
    /// The same value always.
    pub fn constant(value: f64) -> Self {
        Self { peak: value, warmup_steps: 0, shape: Shape::Constant }
    }

    /// The value of step `step` (from zero) of `n_steps`.
    pub fn at(&self, step: u64, n_steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        // Steps since warm-up, and how many there are until the last.
        let (i, n) = (step - self.warmup_steps, n_steps.saturating_sub(self.warmup_steps + 1));
        let fraction = |i: u64, n: u64| if n == 0 { 1.0 } else { (i as f64 / n as f64).min(1.0) };
        let cosine = |x: f64, floor: f64| floor + (self.peak - floor) * 0.5 * (1.0 + (PI * x).cos());
        match self.shape {
            Shape::Constant => self.peak,
            Shape::Linear { end } => self.peak + (end - self.peak) * fraction(i, n),
            Shape::Cosine { floor } => cosine(fraction(i, n), floor),
            Shape::Wsd { decay_steps, floor } => {
                let first = n_steps.saturating_sub(decay_steps);
                if step < first { self.peak } else { cosine(fraction(step - first + 1, decay_steps), floor) }
            }
            Shape::StepDecay { zero_steps, .. } if step < zero_steps => 0.0,
            Shape::StepDecay { every, factor, .. } => self.peak * factor.powf((i / every.max(1)) as f64),
            Shape::Period { every, high, floor } => {
                if i % every.max(1) < high {
                    self.peak
                } else {
                    floor
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tutelage_testkit::assert_close;

    fn values(warmup_steps: u64, shape: Shape, n: u64) -> Vec<f64> {
        let schedule = Schedule { peak: 2.0, warmup_steps, shape };
        (0..n).map(|step| schedule.at(step, n)).collect()
    }

    #[test]
    fn shapes_are_those_worked_out_by_hand() {
        let check = |what, found: Vec<f64>, expected: &[f64]| assert_close(what, &found, expected, 1e-12, 0.0);
        check("constant", values(2, Shape::Constant, 4), &[1.0, 2.0, 2.0, 2.0]);
        check("linear", values(0, Shape::Linear { end: 0.0 }, 5), &[2.0, 1.5, 1.0, 0.5, 0.0]);
        check("cosine", values(1, Shape::Cosine { floor: 1.0 }, 4), &[2.0, 2.0, 1.5, 1.0]);
        let wsd = Shape::Wsd { decay_steps: 2, floor: 0.0 };
        check("wsd", values(2, wsd, 6), &[1.0, 2.0, 2.0, 2.0, 1.0, 0.0]);
        let steps = |zero_steps| Shape::StepDecay { every: 2, factor: 0.5, zero_steps };
        check("step decay", values(0, steps(0), 5), &[2.0, 2.0, 1.0, 1.0, 0.5]);
        check("zero first stage", values(0, steps(2), 5), &[0.0, 0.0, 1.0, 1.0, 0.5]);
        let period = Shape::Period { every: 3, high: 1, floor: 0.5 };
        check("period", values(1, period, 6), &[2.0, 2.0, 0.5, 0.5, 2.0, 0.5]);
        check("one step", values(0, Shape::Cosine { floor: 0.5 }, 1), &[0.5]);
    }
}
