//! Naive attention, f64, with the whole score matrix of a document.

use std::ops::Range;

use super::AttentionShape;

/// What attention is computed over.
pub struct Inputs<'a> {
    /// Heads.
    pub shape: AttentionShape,
    /// Base of the rotary angles.
    pub theta: f64,
    /// Columns of a head that are rotated, from the first on.
    pub d_rotary: usize,
    /// Position of each row.
    pub positions: &'a [i32],
    /// Rows of each document.
    pub documents: &'a [Range<usize>],
}

impl Inputs<'_> {
    pub(super) fn rotated(&self, row: &[f64], column: usize, position: i32, sign: f64) -> Vec<f64> {
        let d = self.shape.d_head;
        let head = &row[column..column + d];
        let half = self.d_rotary / 2;
        let mut out = head.to_vec();
        for i in 0..half {
            let angle = sign * f64::from(position) * self.theta.powf(-2.0 * i as f64 / self.d_rotary as f64);
            out[i] = head[i] * angle.cos() - head[i + half] * angle.sin();
            out[i + half] = head[i + half] * angle.cos() + head[i] * angle.sin();
        }
        out
    }

    /// Calls `visit(row, query, kv, i, keys' rows, probabilities)` for each query.
    pub(super) fn for_each_query(&self, qkv: &[f64], mut visit: impl FnMut(usize, usize, usize, Range<usize>, &[f64])) {
        let (s, width) = (self.shape, self.shape.qkv_width());
        let row = |t: usize| &qkv[t * width..(t + 1) * width];
        for document in self.documents {
            for t in document.clone() {
                for kv in 0..s.n_kv_heads {
                    for i in 0..s.group() {
                        let q = self.rotated(row(t), s.query(kv, i), self.positions[t], 1.0);
                        let first = (t + 1).saturating_sub(s.window.unwrap_or(usize::MAX)).max(document.start);
                        let scores: Vec<f64> = (first..=t)
                            .map(|u| {
                                let k = self.rotated(row(u), s.key(kv), self.positions[u], 1.0);
                                q.iter().zip(&k).map(|(a, b)| a * b).sum::<f64>() / (s.d_head as f64).sqrt()
                            })
                            .collect();
                        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        let exps: Vec<f64> = scores.iter().map(|x| (x - max).exp()).collect();
                        let sum: f64 = exps.iter().sum();
                        let p: Vec<f64> = exps.iter().map(|x| x / sum).collect();
                        visit(t, kv, i, first..t + 1, &p);
                    }
                }
            }
        }
    }

    /// `out[t, n_heads * d_head]`.
    pub fn forward(&self, qkv: &[f64]) -> Vec<f64> {
        let (s, width) = (self.shape, self.shape.qkv_width());
        let mut out = vec![0.0; self.positions.len() * s.out_width()];
        self.for_each_query(qkv, |t, kv, i, keys, p| {
            let to = t * s.out_width() + (kv * s.group() + i) * s.d_head;
            for (u, p) in keys.zip(p) {
                for c in 0..s.d_head {
                    out[to + c] += p * qkv[u * width + s.value(kv) + c];
                }
            }
        });
        out
    }

    /// `dqkv`.
    pub fn backward(&self, qkv: &[f64], grad: &[f64]) -> Vec<f64> {
        let (s, width, d) = (self.shape, self.shape.qkv_width(), self.shape.d_head);
        let mut out = vec![0.0; qkv.len()];
        self.for_each_query(qkv, |t, kv, i, keys, p| {
            let go = &grad[t * s.out_width() + (kv * s.group() + i) * d..][..d];
            let dp: Vec<f64> =
                keys.clone().map(|u| (0..d).map(|c| go[c] * qkv[u * width + s.value(kv) + c]).sum()).collect();
            let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            let q = self.rotated(&qkv[t * width..(t + 1) * width], s.query(kv, i), self.positions[t], 1.0);
            let mut dq = vec![0.0; d];
            for ((u, p), dp) in keys.zip(p).zip(&dp) {
                let ds = p * (dp - mean) / (d as f64).sqrt();
                let k = self.rotated(&qkv[u * width..(u + 1) * width], s.key(kv), self.positions[u], 1.0);
                let dk: Vec<f64> = q.iter().map(|q| ds * q).collect();
                let dk = self.rotated(&dk, 0, self.positions[u], -1.0);
                for c in 0..d {
                    out[u * width + s.value(kv) + c] += p * go[c];
                    out[u * width + s.key(kv) + c] += dk[c];
                    dq[c] += ds * k[c];
                }
            }
            let dq = self.rotated(&dq, 0, self.positions[t], -1.0);
            for c in 0..d {
                out[t * width + s.query(kv, i) + c] += dq[c];
            }
        });
        out
    }
}
