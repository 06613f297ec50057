//! Ids to last hidden states.

use std::ops::Range;
use std::sync::Arc;

use tutelage_tensor::kernels::attention::kl::AttentionMaps;
use tutelage_tensor::kernels::attention::{AttentionShape, RopeTable};
use tutelage_tensor::kernels::experts::{ExpertLoad, Experts};
use tutelage_tensor::kernels::feed_forward::FeedForward;
use tutelage_tensor::{ParamId, Tape, Tensor, Var};

use super::Decoder;
use super::weights::{Ffn, Layer};

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

/// Where rows stand: angles, each row's place among them, documents.
struct Rows {
    rope: Arc<RopeTable>,
    places: Vec<i32>,
    documents: Vec<Range<usize>>,
}

/// What counts the use of a layer's experts.
type Load<'a> = Option<(&'a Arc<ExpertLoad>, usize)>;

/// What looks on in a forward pass.
#[derive(Clone, Copy, Default)]
pub struct Onlookers<'a> {
    /// Counts the use of experts, and routers learn from its loss too.
    pub load: Option<&'a Arc<ExpertLoad>>,
    /// Sees hidden states and attention.
    pub probe: Option<&'a Arc<dyn Probe>>,
}

/// Sees what is inside a forward pass, and may add losses to the tape.
///
/// Of blocks that are computed again on the way back, attention is seen once more then.
pub trait Probe: Send + Sync {
    /// The residual stream after so many blocks, f32 `[t, d_model]`; at zero the embeddings.
    fn hidden(&self, tape: &mut Tape<'_>, n_blocks: usize, x: &Var);

    /// What attention in a block, counted from one, is computed from.
    fn attention(&self, tape: &mut Tape<'_>, block: usize, attention: AttentionInput<'_>);
}

/// What attention is computed from.
#[derive(Clone, Copy)]
pub struct AttentionInput<'a> {
    /// Queries, keys and values, activations `[t, qkv_width]`.
    pub qkv: &'a Var,
    /// Heads.
    pub shape: AttentionShape,
    /// Angles.
    pub rope: &'a Arc<RopeTable>,
    /// Place of each row among the angles `[t]`.
    pub places: &'a [i32],
}

impl AttentionInput<'_> {
    /// What the attention maps follow from.
    pub fn maps(&self) -> AttentionMaps {
        let Self { qkv, shape, rope, places } = *self;
        AttentionMaps { shape, rope: Arc::clone(rope), places: places.to_vec(), qkv: qkv.value().clone() }
    }
}

impl Decoder {
    /// Last hidden states after the final norm, activations `[t, d_model]`; the head is left to the loss.
    ///
    /// # Panics
    /// When an id is outside the vocabulary or a position beyond `n_positions`.
    pub fn hidden<'p>(&'p self, tape: &mut Tape<'p>, input: Input<'_>) -> Var {
        self.watched(tape, input, Onlookers::default())
    }

    /// The same, seen by others.
    ///
    /// # Panics
    /// As [`Self::hidden`].
    pub fn watched<'p>(&'p self, tape: &mut Tape<'p>, input: Input<'_>, by: Onlookers<'_>) -> Var {
        let mut x = tape.embedding(input.ids, self.weights.embeddings);
        let len = |rows: &Range<usize>| input.positions[rows.clone()].iter().max().map_or(0, |&last| last as usize + 1);
        let documents: Vec<_> = input.documents.iter().map(|rows| (rows.clone(), len(rows))).collect();
        let (rope, places) = self.rope.places(input.positions, &documents);
        let rows = Arc::new(Rows { rope, places, documents: input.documents.to_vec() });
        let see = |tape: &mut Tape<'p>, n_blocks: usize, x: &Var| {
            if let Some(probe) = by.probe {
                probe.hidden(tape, n_blocks, x);
            }
        };
        see(tape, 0, &x);
        for (i, layer) in self.weights.layers.iter().enumerate() {
            x = if self.recompute {
                let (rows, load, probe) = (Arc::clone(&rows), by.load.cloned(), by.probe.cloned());
                tape.recompute(&x, move |tape, x| {
                    let by = Onlookers { load: load.as_ref(), probe: probe.as_ref() };
                    self.block(tape, x, (layer, i), &rows, by)
                })
            } else {
                self.block(tape, &x, (layer, i), &rows, by)
            };
            see(tape, i + 1, &x);
        }
        tape.rms_norm(&x, self.weights.norm, self.eps())
    }

    /// A count of the use of experts in one forward pass whose balance loss weighs `scale` times what the configuration
    /// says; `None` without experts.
    pub fn new_load(&self, scale: f64) -> Option<Arc<ExpertLoad>> {
        let experts = self.config.options.experts.as_ref()?;
        Some(Arc::new(ExpertLoad::new(self.config.n_layers, (experts.balance * scale) as f32)))
    }

    fn block(&self, tape: &mut Tape<'_>, x: &Var, (layer, i): (&Layer, usize), rows: &Rows, by: Onlookers<'_>) -> Var {
        let (qkv, shape) = (self.qkv(tape, x, layer), self.config.attention_shape(i));
        if let Some(probe) = by.probe {
            let input = AttentionInput { qkv: &qkv, shape, rope: &rows.rope, places: &rows.places };
            probe.attention(tape, i + 1, input);
        }
        let out = tape.attention(&qkv, shape, &rows.rope, &rows.places, &rows.documents);
        self.after_attention(tape, x, &out, layer, by.load.map(|load| (load, i)))
    }

    /// Queries, keys and values of the residual stream.
    pub(super) fn qkv(&self, tape: &mut Tape<'_>, x: &Var, layer: &Layer) -> Var {
        let h = tape.rms_norm(x, layer.attention_norm, self.eps());
        let qkv = tape.linear(&h, layer.wqkv);
        let mut qkv = self.with_adapters(tape, &h, layer.wqkv, qkv);
        if let Some(bias) = layer.qkv_bias {
            qkv = tape.bias(&qkv, bias);
        }
        if let Some(norms) = layer.head_norms {
            qkv = tape.head_norm(&qkv, self.config.attention_shape(0), norms, self.eps());
        }
        qkv
    }

    pub(super) fn after_attention(
        &self,
        tape: &mut Tape<'_>,
        x: &Var,
        out: &Var,
        layer: &Layer,
        load: Load<'_>,
    ) -> Var {
        let x = match layer.attention_post_norm {
            None => self.linear_add(tape, out, layer.wo, Some(x)),
            Some(norm) => {
                let added = self.linear_add(tape, out, layer.wo, None);
                tape.rms_norm_add(&added, norm, self.eps(), x)
            }
        };
        let h = tape.rms_norm(&x, layer.ffn_norm, self.eps());
        match layer.ffn_post_norm {
            None => self.ffn(tape, &h, layer, Some(&x), load),
            Some(norm) => {
                let added = self.ffn(tape, &h, layer, None, load);
                tape.rms_norm_add(&added, norm, self.eps(), &x)
            }
        }
    }

    fn ffn(&self, tape: &mut Tape<'_>, h: &Var, layer: &Layer, residual: Option<&Var>, load: Load<'_>) -> Var {
        match &layer.ffn {
            Ffn::Dense(weights) => self.feed_forward(tape, h, *weights, residual),
            &Ffn::Experts { router, k, ref experts } => tape.experts(h, Experts { router, k, experts }, residual, load),
        }
    }

    /// The gated feed-forward; in its parts where adapters are beside them.
    fn feed_forward(&self, tape: &mut Tape<'_>, h: &Var, weights: FeedForward, residual: Option<&Var>) -> Var {
        let FeedForward { w1, w3, w2 } = weights;
        let adapted = self.adapters().is_some_and(|adapters| [w1, w3, w2].into_iter().any(|id| adapters.has(id)));
        if !adapted {
            return tape.feed_forward(h, weights, residual);
        }
        let [gate, up] = [w1, w3].map(|id| {
            let product = tape.linear(h, id);
            self.with_adapters(tape, h, id, product)
        });
        let unit = tape.swiglu(&gate, &up);
        self.linear_add(tape, &unit, w2, residual)
    }

    fn linear_add(&self, tape: &mut Tape<'_>, x: &Var, weight: ParamId, residual: Option<&Var>) -> Var {
        let y = tape.linear_add(x, weight, residual);
        self.with_adapters(tape, x, weight, y)
    }

    fn with_adapters(&self, tape: &mut Tape<'_>, x: &Var, weight: ParamId, y: Var) -> Var {
        match self.adapters() {
            Some(adapters) => adapters.apply(tape, x, weight, y),
            None => y,
        }
    }

    pub(super) fn eps(&self) -> f32 {
        self.config.norm_eps as f32
    }

    /// Logits f32 `[t, vocab_size]` of hidden states; rewards `[t, 1]` of a reward model.
    pub fn logits(&self, hidden: Tensor) -> Tensor {
        let mut tape = Tape::inference(&self.params);
        let hidden = tape.leaf(hidden);
        tape.linear_f32(&hidden, self.weights.head)
    }
}
