//! Ids to last hidden states, over the cached keys and values of the tokens before them.

use std::ops::Range;

use tutelage_tensor::kernels::attention::{KvPool, PAGE, Span};
use tutelage_tensor::{Tape, Tensor};

use super::Decoder;

/// Tokens of one sequence that go through the model together with those of others.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The tokens.
    pub ids: &'a [i32],
    /// Tokens of the sequence before them, whose keys and values are in the pool.
    pub first: usize,
    /// Tokens of the sequence as far as it is known: all of a prompt that comes in parts. Angles that depend on the
    /// length go by it.
    pub len: usize,
    /// Pages of the sequence, enough for these tokens too.
    pub pages: &'a [u32],
    /// Whether they are of a prompt, rather than drawn one by one.
    pub is_prompt: bool,
}

/// Keys and values of one sequence.
#[derive(Debug)]
pub struct Cache {
    pool: KvPool,
    pages: Vec<u32>,
    len: usize,
    capacity: usize,
}

impl Decoder {
    /// Pages for keys and values, of [`PAGE`] tokens each.
    pub fn new_pool(&self, n_pages: usize) -> KvPool {
        KvPool::new(
            self.params.device(),
            &self.config.attention_shapes(),
            n_pages,
            self.params.precision().activation(),
        )
    }

    /// Last hidden states after the final norm of all parts, one part after another; their keys and values are stored.
    ///
    /// A row's bits depend on its own sequence alone, if the parts of a prompt begin at multiples of [`PAGE`].
    ///
    /// # Panics
    /// When an id is outside the vocabulary, a position beyond `n_positions`, a page missing or in two parts.
    pub fn batch_hidden(&self, parts: &[Part<'_>], pool: &mut KvPool) -> Tensor {
        let mut tape = Tape::inference(&self.params);
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        let (mut spans, mut documents): (Vec<Span<'_>>, Vec<(Range<usize>, usize)>) = (Vec::new(), Vec::new());
        for part in parts {
            let rows = ids.len()..ids.len() + part.ids.len();
            ids.extend_from_slice(part.ids);
            positions.extend((part.first as i32..).take(part.ids.len()));
            documents.push((rows.clone(), part.len.max(part.first + part.ids.len())));
            spans.push(Span { rows, first: part.first, pages: part.pages, is_prompt: part.is_prompt });
        }
        let mut x = tape.embedding(&ids, self.weights.embeddings);
        let (rope, places) = self.rope.places(&positions, &documents);
        for (i, layer) in self.weights.layers.iter().enumerate() {
            let qkv = self.qkv(&mut tape, &x, layer);
            let out = pool.attend(self.params.device(), i, qkv.value(), (&rope, &places), &spans);
            let out = tape.leaf(out);
            x = self.after_attention(&mut tape, &x, &out, layer, None);
        }
        tape.rms_norm(&x, self.weights.norm, self.eps()).value().clone()
    }

    /// An empty cache of one sequence for `capacity` tokens, at most `n_positions`.
    pub fn new_cache(&self, capacity: usize) -> Cache {
        let capacity = capacity.min(self.config.n_positions());
        let n_pages = capacity.div_ceil(PAGE);
        Cache { pool: self.new_pool(n_pages), pages: (0..n_pages as u32).collect(), len: 0, capacity }
    }

    /// Last hidden states of tokens that follow those in the cache; several of them are a prompt.
    ///
    /// # Panics
    /// When the tokens do not fit into the cache, or an id is outside the vocabulary.
    pub fn continue_hidden(&self, ids: &[i32], cache: &mut Cache) -> Tensor {
        let (first, len) = (cache.len, cache.len + ids.len());
        assert!(len <= cache.capacity, "{len} tokens in a cache of {}", cache.capacity);
        let part = Part { ids, first, len, pages: &cache.pages, is_prompt: ids.len() > 1 };
        cache.len = len;
        self.batch_hidden(&[part], &mut cache.pool)
    }
}
