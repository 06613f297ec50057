//! Which entries of a teacher's distribution are kept.

/// Keeps the most likely entries until their probabilities reach `top_p`, at most `top_k` of them: top-p
/// first, top-k inside it (2410.16215, section 2). At least one is kept, if there is one; of equal entries the lower id.
/// Returns ids by falling probability.
pub fn top_p_k(log_probs_v: &[f32], top_p: f32, top_k: usize) -> Vec<u32> {
    let descending = |&a: &u32, &b: &u32| log_probs_v[b as usize].total_cmp(&log_probs_v[a as usize]).then(a.cmp(&b));
    if log_probs_v.is_empty() {
        return Vec::new();
    }
    let k = top_k.clamp(1, log_probs_v.len());
    let bound = lower_bound(log_probs_v, k);
    let at_least = |&id: &u32| log_probs_v[id as usize] >= bound;
    let mut ids: Vec<u32> = (0..log_probs_v.len() as u32).filter(at_least).collect();
    ids.sort_unstable_by(descending);
    ids.truncate(k);
    ids.truncate(mass_end(ids.iter().map(|&id| log_probs_v[id as usize]), top_p));
    ids
}

/// How many of some log-probabilities, the largest first, reach `top_p` together; all if they do not.
pub fn mass_end(mut log_probs: impl ExactSizeIterator<Item = f32>, top_p: f32) -> usize {
    let (n, mut mass) = (log_probs.len(), 0.0);
    let last = log_probs.position(|log_p| {
        mass += f64::from(log_p).exp();
        mass >= f64::from(top_p)
    });
    last.map_or(n, |last| last + 1)
}

/// A value that at least `k` entries reach: the k-th largest of the maxima of pieces. Most entries of a long
/// row lie below it and need no sorting.
fn lower_bound(row: &[f32], k: usize) -> f32 {
    const PIECE: usize = 16;
    let mut maxima: Vec<f32> = row.chunks(PIECE).map(|p| p.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
    if maxima.len() < k {
        return f32::NEG_INFINITY;
    }
    *maxima.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
}

#[cfg(test)]
mod tests {
    use super::top_p_k;

    #[test]
    fn kept_sets_are_those_worked_out_by_hand() {
        let log_probs: Vec<f32> = [0.1f32, 0.4, 0.05, 0.3, 0.15].iter().map(|p| p.ln()).collect();
        assert_eq!(top_p_k(&log_probs, 0.95, 50), [1, 3, 4, 0]);
        assert_eq!(top_p_k(&log_probs, 0.69, 50), [1, 3]);
        assert_eq!(top_p_k(&log_probs, 0.95, 2), [1, 3]);
        assert_eq!(top_p_k(&log_probs, 1.1, 50), [1, 3, 4, 0, 2]);
        assert_eq!(top_p_k(&log_probs, 0.0, 50), [1]);
        assert_eq!(top_p_k(&[-1.0; 4], 0.9, 2), [0, 1]);
        assert!(top_p_k(&[], 0.9, 2).is_empty());
    }

    #[test]
    fn long_rows_agree_with_sorting_everything() {
        let row: Vec<f32> =
            tutelage_testkit::wave(3001, 5, 4.0).iter().map(|&x| (x * 8.0).round() as f32 / 8.0).collect();
        let mut sorted: Vec<u32> = (0..3001).collect();
        sorted.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]).then(a.cmp(&b)));
        for k in [1, 7, 50, 188, 189, 3001] {
            assert_eq!(top_p_k(&row, f32::INFINITY, k), sorted[..k], "{k}");
        }
    }
}
