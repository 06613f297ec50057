//! Queries, keys and values in one matrix: by key-value head, its query heads, its key, its value.

use super::DecoderConfig;

/// Rows of the fused matrix in order: from which part (0 queries, 1 keys, 2 values), and which head of it.
fn heads(config: &DecoderConfig) -> impl Iterator<Item = (usize, usize)> {
    let group = config.n_heads / config.n_kv_heads;
    (0..config.n_kv_heads).flat_map(move |kv| (0..group).map(move |i| (0, kv * group + i)).chain([(1, kv), (2, kv)]))
}

/// Rows of queries, keys and values.
pub(crate) fn part_rows(config: &DecoderConfig) -> [usize; 3] {
    [config.n_heads, config.n_kv_heads, config.n_kv_heads].map(|n| n * config.d_head)
}

/// The fused matrix of three.
pub(crate) fn fuse(config: &DecoderConfig, parts: &[Vec<f32>; 3]) -> Vec<f32> {
    let head = config.d_head * config.d_model;
    heads(config).flat_map(|(part, i)| &parts[part][i * head..][..head]).copied().collect()
}

/// Queries, keys and values of a fused matrix.
pub(crate) fn split(config: &DecoderConfig, fused: &[f32]) -> [Vec<f32>; 3] {
    let head = config.d_head * config.d_model;
    let mut parts = part_rows(config).map(|rows| vec![0.0; rows * config.d_model]);
    for ((part, i), from) in heads(config).zip(fused.chunks_exact(head)) {
        parts[part][i * head..][..head].copy_from_slice(from);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::tiny;
    use super::*;

    #[test]
    fn heads_interleave_and_come_back() {
        // Two key-value heads of two query heads each.
        let config = DecoderConfig { d_model: 1, d_head: 1, ..tiny() };
        let parts = [vec![1.0, 2.0, 3.0, 4.0], vec![10.0, 20.0], vec![100.0, 200.0]];
        let fused = fuse(&config, &parts);
        assert_eq!(fused, [1.0, 2.0, 10.0, 100.0, 3.0, 4.0, 20.0, 200.0]);
        assert_eq!(split(&config, &fused), parts);
    }
}
