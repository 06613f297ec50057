//! Naive embedding, f64.

/// `out[t] = table[ids[t]]`, table `[v, d]`.
pub fn forward(ids: &[i32], table: &[f64], d: usize) -> Vec<f64> {
    ids.iter().flat_map(|&id| table[id as usize * d..][..d].to_vec()).collect()
}

/// Gradient of the table.
pub fn backward(ids: &[i32], grad: &[f64], v: usize, d: usize) -> Vec<f64> {
    let mut table = vec![0.0; v * d];
    for (t, &id) in ids.iter().enumerate() {
        for i in 0..d {
            table[id as usize * d + i] += grad[t * d + i];
        }
    }
    table
}
