//! Naive addition of columns, f64.

/// `x[t, n]` with `scale * y[t, m]` added: column `j` of `y` to column `map[j]`, to none where that is `None`.
pub fn forward(x: &[f64], y: &[f64], map: &[Option<usize>], n: usize, scale: f64) -> Vec<f64> {
    let mut out = x.to_vec();
    for (row, y) in out.chunks_mut(n).zip(y.chunks(map.len())) {
        for (to, y) in map.iter().zip(y).filter_map(|(to, y)| Some(((*to)?, y))) {
            row[to] += scale * y;
        }
    }
    out
}

/// `dy`; the gradient of `x` is that of the sum.
pub fn backward(grad: &[f64], map: &[Option<usize>], n: usize, scale: f64) -> Vec<f64> {
    grad.chunks(n).flat_map(|row| map.iter().map(move |to| to.map_or(0.0, |to| scale * row[to]))).collect()
}
