//! Naive distance of attention maps, f64, from the maps themselves.

use super::super::reference::Inputs;

/// The sum over heads and chosen rows of `KL(A_teacher || A_student)`, and its gradient with respect to the student's `qkv`.
pub fn kl(
    student: &Inputs<'_>,
    qkv: &[f64],
    teacher: &Inputs<'_>,
    teacher_qkv: &[f64],
    chosen: &[bool],
) -> (f64, Vec<f64>) {
    let mut theirs = std::collections::BTreeMap::new();
    teacher.for_each_query(teacher_qkv, |t, kv, i, keys, p| {
        theirs.insert((t, kv * teacher.shape.group() + i), (keys.start, p.to_vec()));
    });
    let (s, width, d) = (student.shape, student.shape.qkv_width(), student.shape.d_head);
    let (mut value, mut out) = (0.0, vec![0.0; qkv.len()]);
    student.for_each_query(qkv, |t, kv, i, keys, p| {
        if !chosen[t] {
            return;
        }
        let (first, teacher_p) = &theirs[&(t, kv * s.group() + i)];
        let teacher_p = |u: usize| u.checked_sub(*first).map_or(0.0, |at| teacher_p[at]);
        let q = student.rotated(&qkv[t * width..][..width], s.query(kv, i), student.positions[t], 1.0);
        let mut dq = vec![0.0; d];
        for (u, p) in keys.zip(p) {
            let target = teacher_p(u);
            if target > 0.0 {
                value += target * (target / p).ln();
            }
            let ds = (p - target) / (d as f64).sqrt();
            let k = student.rotated(&qkv[u * width..][..width], s.key(kv), student.positions[u], 1.0);
            let dk: Vec<f64> = q.iter().map(|q| ds * q).collect();
            let dk = student.rotated(&dk, 0, student.positions[u], -1.0);
            for c in 0..d {
                out[u * width + s.key(kv) + c] += dk[c];
                dq[c] += ds * k[c];
            }
        }
        let dq = student.rotated(&dq, 0, student.positions[t], -1.0);
        (0..d).for_each(|c| out[t * width + s.query(kv, i) + c] += dq[c]);
    });
    (value, out)
}
