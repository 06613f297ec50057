//! Distance of attention maps (2406.19112, as in its published code): `sum KL(A_teacher || A_student) / (rows heads layers)`.
//!
//! Departures: rows are those whose next token is learned (the paper's code has the labels one place off); keys that the student does
//! not see are no part of the sum, where the code fills in 1e-9; heads must be as many as the teacher's, layers need not.

/// What a sum over rows and heads is divided by for a mean over `rows` rows and `pairs` pairs of layers.
pub fn divisor(rows: usize, heads: usize, pairs: usize) -> f64 {
    (rows.max(1) * heads.max(1) * pairs.max(1)) as f64
}
