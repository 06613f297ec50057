//! Rotary position embedding (Su et al., 2104.09864), the half-rotation kind.

/// Cosines and sines of positions, of the first so many columns of a head; the others are not rotated.
#[derive(Debug)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Angles `position * theta^(-2i / d_head)`, computed in f64.
    pub fn new(d_head: usize, theta: f64, max_positions: usize) -> Self {
        Self::from_frequencies(&Self::frequencies(d_head, theta), 1.0, max_positions)
    }

    /// `theta^(-2i / d_head)`, `[d_head / 2]`.
    pub fn frequencies(d_head: usize, theta: f64) -> Vec<f64> {
        (0..d_head / 2).map(|i| theta.powf(-2.0 * i as f64 / d_head as f64)).collect()
    }

    /// Angles `position * frequencies[i]`; cosines and sines are multiplied by `factor`, with which the way back
    /// is the gradient of the rotation, no longer its inverse.
    pub fn from_frequencies(frequencies: &[f64], factor: f64, max_positions: usize) -> Self {
        Self::from_rows((0..max_positions).map(|position| (position as i32, frequencies)), factor)
    }

    /// The same for rows that have positions and frequencies of their own; a row's place takes the role of a position.
    pub fn from_rows<'a>(rows: impl Iterator<Item = (i32, &'a [f64])>, factor: f64) -> Self {
        let mut table = Self { half: 0, cos: Vec::new(), sin: Vec::new() };
        for (position, frequencies) in rows {
            table.half = frequencies.len();
            for frequency in frequencies {
                let (sin, cos) = (f64::from(position) * frequency).sin_cos();
                table.cos.push((factor * cos) as f32);
                table.sin.push((factor * sin) as f32);
            }
        }
        table
    }

    /// Positions that can be rotated to.
    pub fn max_positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Cosines and sines of a position.
    pub(super) fn at(&self, position: i32) -> (&[f32], &[f32]) {
        let range = position as usize * self.half..(position as usize + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }

    /// Rotates a head in place.
    pub(super) fn rotate(&self, head: &mut [f32], position: i32) {
        let (cos, sin) = self.at(position);
        let (low, high) = head[..2 * self.half].split_at_mut(self.half);
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
        }
    }

    /// The gradient's rotation, the inverse where angles alone are changed.
    pub(super) fn rotate_back(&self, head: &mut [f32], position: i32) {
        let (cos, sin) = self.at(position);
        let (low, high) = head[..2 * self.half].split_at_mut(self.half);
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            (*low, *high) = (*low * cos + *high * sin, *high * cos - *low * sin);
        }
    }
}
