//! Attention of new tokens over a cache of earlier keys and values.

use super::super::by_dtype;
use super::{AttentionShape, RopeTable};
use crate::simd::RowMath;
use crate::{Device, Element, Tensor};

/// Rotated keys, and values, of one sequence in every layer: `[layer][kv head][capacity][d_head]`, f32.
#[derive(Debug)]
pub struct KvCache {
    capacity: usize,
    len: usize,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    shape: AttentionShape,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KvCache {
    /// An empty cache for `capacity` tokens in layers of these shapes.
    pub fn new(layers: Vec<AttentionShape>, capacity: usize) -> Self {
        let layer = |shape: AttentionShape| {
            let size = shape.n_kv_heads * capacity * shape.d_head;
            Layer { shape, keys: vec![0.0; size], values: vec![0.0; size] }
        };
        Self { capacity, len: 0, layers: layers.into_iter().map(layer).collect() }
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Counts `n` tokens as held, after every layer has stored them.
    pub fn advance(&mut self, n: usize) {
        self.len += n;
    }

    /// Stores the keys and values of the rows of `qkv`, which follow the tokens held, and attends; `positions` are
    /// the rows' places in the rotary table.
    ///
    /// # Panics
    /// When the rows do not fit.
    pub fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        qkv: &Tensor,
        (rope, positions): (&RopeTable, &[i32]),
    ) -> Tensor {
        let (n, _) = qkv.dims2();
        assert_eq!(n, positions.len(), "rows of qkv and positions");
        assert!(self.len + n <= self.capacity, "{} + {n} tokens in a cache of {}", self.len, self.capacity);
        by_dtype!(qkv.dtype(), T => {
            self.store::<T>(layer, qkv.slice(), (rope, positions));
            let width = self.layers[layer].shape.out_width();
            let mut out = device.buffer::<T>(n * width);
            self.read(device, layer, qkv.slice(), (rope, positions), &mut out);
            Tensor::new([n, width], out)
        })
    }

    fn store<T: Element>(&mut self, layer: usize, qkv: &[T], (rope, positions): (&RopeTable, &[i32])) {
        let Layer { shape: s, keys, values } = &mut self.layers[layer];
        let (s, d) = (*s, s.d_head);
        for (t, row) in qkv.chunks_exact(s.qkv_width()).enumerate() {
            for kv in 0..s.n_kv_heads {
                let at = (kv * self.capacity + self.len + t) * d;
                for c in 0..d {
                    keys[at + c] = row[s.key(kv) + c].to_f32();
                    values[at + c] = row[s.value(kv) + c].to_f32();
                }
                rope.rotate(&mut keys[at..at + d], positions[t]);
            }
        }
    }

    fn read<T: Element>(
        &self,
        device: &Device,
        layer: usize,
        qkv: &[T],
        (rope, positions): (&RopeTable, &[i32]),
        out: &mut [T],
    ) {
        let math = RowMath::new(device.isa());
        let Layer { shape: s, keys, values } = &self.layers[layer];
        let (s, d) = (*s, s.d_head);
        device.for_each_block(out, s.out_width(), |t, out| {
            let row = &qkv[t * s.qkv_width()..][..s.qkv_width()];
            let query_row = self.len + t;
            let visible = s.first_key(query_row)..query_row + 1;
            let (mut query, mut sum) = (vec![0.0; d], vec![0.0; d]);
            let mut scores = vec![0.0; visible.len()];
            for (head, out) in out.chunks_exact_mut(d).enumerate() {
                let (kv, i) = (head / s.group(), head % s.group());
                for (to, from) in query.iter_mut().zip(&row[s.query(kv, i)..]) {
                    *to = from.to_f32();
                }
                rope.rotate(&mut query, positions[t]);
                let first = (kv * self.capacity + visible.start) * d;
                for (score, key) in scores.iter_mut().zip(keys[first..].chunks_exact(d)) {
                    *score = math.dot(&query, key);
                }
                math.softmax(&mut scores, s.scale());
                sum.fill(0.0);
                for (&p, value) in scores.iter().zip(values[first..].chunks_exact(d)) {
                    math.add_scaled(&mut sum, value, p);
                }
                for (to, &from) in out.iter_mut().zip(&sum) {
                    *to = T::from_f32(from);
                }
            }
        });
    }
}
