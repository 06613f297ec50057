//! Naive output layer and losses, f64, with all logits at once.

/// Hidden states `[t, d]` and an output layer `[v, d]`.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// Hidden states.
    pub hidden: &'a [f64],
    /// Output layer.
    pub head: &'a [f64],
    /// Width of both.
    pub d: usize,
}

impl Layer<'_> {
    fn logits(self, row: usize) -> Vec<f64> {
        let hidden = &self.hidden[row * self.d..][..self.d];
        self.head.chunks(self.d).map(|w| w.iter().zip(hidden).map(|(a, b)| a * b).sum()).collect()
    }
}

/// Probabilities and their logarithm's normaliser.
fn softmax(logits: &[f64]) -> (Vec<f64>, f64) {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lse = max + logits.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    (logits.iter().map(|x| (x - lse).exp()).collect(), lse)
}

/// `(loss, dhidden, dhead)` of the student, summed over rows, each of which is
/// `text lse(a) + kd KL(softmax(heat b) || softmax(a)) - sum of weight a[id]` over its `picks`, with logits `a` of the
/// student and `b` of the teacher; rows without picks count for nothing.
pub fn softmax_loss(
    student: Layer<'_>,
    teacher: Option<(Layer<'_>, f64)>,
    (text, kd): (f64, f64),
    picks: &[Vec<(usize, f64)>],
) -> (f64, Vec<f64>, Vec<f64>) {
    let (mut loss, mut d_hidden, mut d_head) = (0.0, vec![0.0; student.hidden.len()], vec![0.0; student.head.len()]);
    let d = student.d;
    for (t, picks) in picks.iter().enumerate().filter(|(_, picks)| !picks.is_empty()) {
        let a = student.logits(t);
        let (q, lse) = softmax(&a);
        loss += text * lse;
        let mut gradient: Vec<f64> = q.iter().map(|q| text * q).collect();
        if let Some((teacher, heat)) = teacher {
            let b: Vec<f64> = teacher.logits(t).iter().map(|b| heat * b).collect();
            let (p, lse_b) = softmax(&b);
            for (j, p) in p.iter().enumerate() {
                loss += kd * p * ((b[j] - lse_b) - (a[j] - lse));
                gradient[j] += kd * (q[j] - p);
            }
        }
        for &(id, weight) in picks {
            loss -= weight * a[id];
            gradient[id] -= weight;
        }
        for (j, gradient) in gradient.iter().enumerate() {
            for i in 0..d {
                d_hidden[t * d + i] += gradient * student.head[j * d + i];
                d_head[j * d + i] += gradient * student.hidden[t * d + i];
            }
        }
    }
    (loss, d_hidden, d_head)
}

/// `(sum of cross-entropies, dhidden, dhead)` of `logits = hidden head^T`, hidden `[t, d]`, head `[v, d]`;
/// rows with a negative label count for nothing, and gradients are multiplied by `scale`.
pub fn cross_entropy(hidden: &[f64], head: &[f64], d: usize, labels: &[i32], scale: f64) -> (f64, Vec<f64>, Vec<f64>) {
    let pick = |&label: &i32| usize::try_from(label).map_or_else(|_| Vec::new(), |label| vec![(label, 1.0)]);
    let picks: Vec<_> = labels.iter().map(pick).collect();
    let (loss, mut d_hidden, mut d_head) = softmax_loss(Layer { hidden, head, d }, None, (1.0, 0.0), &picks);
    d_hidden.iter_mut().chain(&mut d_head).for_each(|x| *x *= scale);
    (loss, d_hidden, d_head)
}
