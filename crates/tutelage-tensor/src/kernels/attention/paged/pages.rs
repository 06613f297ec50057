//! What a page holds: for each key-value head its keys by columns, `[d_padded][PAGE]`, and its values by rows,
//! `[PAGE][d_padded]`. A query then meets the keys of a page side by side, and so do tiles.

use super::super::AttentionShape;
use super::{PAGE, Rows, Span, padded};
use crate::device::DisjointOut;
use crate::{Device, Element};

/// The pages of a layer.
pub(in super::super) struct Pages<'a, T> {
    pub(super) shape: AttentionShape,
    pub(super) keys: &'a [T],
    pub(super) values: &'a [T],
}

impl<T> Pages<'_, T> {
    /// Columns of a head as they are kept.
    pub(in super::super) fn d_padded(&self) -> usize {
        padded(self.shape)
    }

    /// Keys of a head by columns, `[d_padded][PAGE]`.
    pub(in super::super) fn keys(&self, page: u32, kv: usize) -> &[T] {
        &self.keys[start(self.shape, page, kv)..][..self.d_padded() * PAGE]
    }

    /// Values of a head by rows, `[PAGE][d_padded]`.
    pub(in super::super) fn values(&self, page: u32, kv: usize) -> &[T] {
        &self.values[start(self.shape, page, kv)..][..self.d_padded() * PAGE]
    }
}

fn start(shape: AttentionShape, page: u32, kv: usize) -> usize {
    (page as usize * shape.n_kv_heads + kv) * padded(shape) * PAGE
}

/// Stores keys and values of all spans; no page is in two of them.
pub(super) fn store<T: Element>(
    device: &Device,
    rows: &Rows<'_, T>,
    spans: &[Span<'_>],
    keys: &mut [T],
    values: &mut [T],
) {
    let (s, d, dp) = (rows.shape, rows.shape.d_head, padded(rows.shape));
    let (keys, values) = (DisjointOut::new(keys), DisjointOut::new(values));
    let task = |index: usize| {
        let (span, kv) = (&spans[index / s.n_kv_heads], index % s.n_kv_heads);
        let mut key = vec![0.0; d];
        for (row, position) in span.rows.clone().zip(span.first..) {
            let (at, slot) = (start(s, span.pages[position / PAGE], kv), position % PAGE);
            // SAFETY: `check` found that no page is written by two spans, and tasks of one span differ in their head.
            let (keys, values) = unsafe { (keys.slice(at, dp * PAGE), values.slice(at, dp * PAGE)) };
            rows.rotated(row, s.key(kv), 1.0, &mut key);
            for (c, &x) in key.iter().enumerate() {
                keys[c * PAGE + slot] = T::from_f32(x);
            }
            let from = &rows.qkv[row * s.qkv_width() + s.value(kv)..][..d];
            values[slot * dp..][..d].copy_from_slice(from);
        }
    };
    let n = spans.len() * s.n_kv_heads;
    // Of few rows, waking a thread takes longer.
    if spans.iter().map(|span| span.rows.len()).sum::<usize>() * s.n_kv_heads <= 16 {
        (0..n).for_each(task);
    } else {
        device.for_each(n, task);
    }
}
