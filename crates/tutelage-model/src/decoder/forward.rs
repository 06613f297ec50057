//! Ids to last hidden states.

use std::ops::Range;
use std::sync::Arc;

use tutelage_tensor::kernels::attention::{KvCache, RopeTable};
use tutelage_tensor::kernels::feed_forward::FeedForward;
use tutelage_tensor::{Tape, Tensor, Var};

use super::Decoder;
use super::weights::Layer;

/// Packed documents.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Token ids `[t]`.
    pub ids: &'a [i32],
    /// Position of each row in its document `[t]`.
    pub positions: &'a [i32],
    /// Rows of each document; attention stays inside.
    pub documents: &'a [Range<usize>],
}

impl Decoder {
    /// Last hidden states after the final norm, activations `[t, d_model]`; the head is left to the loss.
    ///
    /// # Panics
    /// When an id is outside the vocabulary or a position beyond `max_positions`.
    pub fn hidden<'p>(&'p self, tape: &mut Tape<'p>, input: Input<'_>) -> Var {
        let mut x = tape.embedding(input.ids, self.weights.embeddings);
        let rows: Arc<Rows> = Arc::new((input.positions.to_vec(), input.documents.to_vec()));
        for layer in &self.weights.layers {
            x = if self.recompute {
                let rows = Arc::clone(&rows);
                tape.recompute(&x, move |tape, x| self.block(tape, x, layer, &self.rope, &rows))
            } else {
                self.block(tape, &x, layer, &self.rope, &rows)
            };
        }
        tape.rms_norm(&x, self.weights.norm, self.eps())
    }

    fn block(&self, tape: &mut Tape<'_>, x: &Var, layer: &Layer, rope: &Arc<RopeTable>, rows: &Rows) -> Var {
        let h = tape.rms_norm(x, layer.attention_norm, self.eps());
        let qkv = tape.linear(&h, layer.wqkv);
        let out = tape.attention(&qkv, self.attention_shape(), rope, &rows.0, &rows.1);
        let x = tape.linear_add(&out, layer.wo, x);
        self.feed_forward(tape, &x, layer)
    }

    fn feed_forward(&self, tape: &mut Tape<'_>, x: &Var, layer: &Layer) -> Var {
        let h = tape.rms_norm(x, layer.ffn_norm, self.eps());
        tape.feed_forward(&h, FeedForward { w1: layer.w1, w3: layer.w3, w2: layer.w2 }, x)
    }

    fn eps(&self) -> f32 {
        self.config.norm_eps as f32
    }

    /// An empty cache for `capacity` tokens, at most `max_positions`.
    pub fn new_cache(&self, capacity: usize) -> KvCache {
        let capacity = capacity.min(self.config.max_positions);
        KvCache::new(self.attention_shape(), Arc::clone(&self.rope), self.config.n_layers, capacity)
    }

    /// Last hidden states of tokens that follow those in the cache.
    ///
    /// # Panics
    /// When the tokens do not fit into the cache, or an id is outside the vocabulary.
    pub fn continue_hidden(&self, ids: &[i32], cache: &mut KvCache) -> Tensor {
        let mut tape = Tape::inference(&self.params);
        let mut x = tape.embedding(ids, self.weights.embeddings);
        for (i, layer) in self.weights.layers.iter().enumerate() {
            let h = tape.rms_norm(&x, layer.attention_norm, self.eps());
            let qkv = tape.linear(&h, layer.wqkv);
            let out = cache.attend(self.params.device(), i, qkv.value());
            let out = tape.leaf(out);
            x = tape.linear_add(&out, layer.wo, &x);
            x = self.feed_forward(&mut tape, &x, layer);
        }
        cache.advance(ids.len());
        tape.rms_norm(&x, self.weights.norm, self.eps()).value().clone()
    }

    /// Logits f32 `[t, vocab_size]` of hidden states.
    pub fn logits(&self, hidden: Tensor) -> Tensor {
        let mut tape = Tape::inference(&self.params);
        let hidden = tape.leaf(hidden);
        tape.linear_f32(&hidden, self.weights.head)
    }
}

/// Positions and documents.
type Rows = (Vec<i32>, Vec<Range<usize>>);
