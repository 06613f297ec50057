//! What was computed, so that it can be unwound.
//!
//! A [`Var`] owns its value; the tape owns only what the backward pass needs. Nodes are consumed on the
//! way back, so memory falls as the pass goes on, and an inference tape keeps nothing at all.

use crate::{Device, Grads, Params, Tensor};

/// A value, and its place on the tape if a gradient is wanted.
#[derive(Debug, Clone)]
pub struct Var {
    value: Tensor,
    node: Option<usize>,
}

impl Var {
    /// The value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    pub(crate) fn node(&self) -> Option<usize> {
        self.node
    }
}

/// The record of one forward pass over one model's parameters.
pub struct Tape<'p> {
    params: &'p Params,
    recording: bool,
    nodes: Vec<Recorded<'p>>,
}

enum Recorded<'p> {
    Operation(Box<dyn Node<'p> + 'p>),
    Loss(Box<dyn Loss<'p> + 'p>),
}

/// One recorded operation.
pub(crate) trait Node<'p> {
    /// Given the gradient of this node's value, adds to the gradients of what it was computed from.
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>);

    /// Whether its gradient is an end of the pass, to be handed out.
    fn is_leaf(&self) -> bool {
        false
    }
}

/// A loss in the middle of the tape: nothing is computed from it, and its gradient is its own.
pub(crate) trait Loss<'p> {
    /// Adds to the gradients of what it is a loss of.
    fn backward(self: Box<Self>, cx: &mut Backward<'_, 'p>);
}

/// The state of a backward pass.
pub(crate) struct Backward<'a, 'p> {
    pub(crate) params: &'p Params,
    pub(crate) grads: &'a mut Grads,
    of_nodes: Vec<Option<Tensor>>,
}

impl Backward<'_, '_> {
    pub(crate) fn device(&self) -> &Device {
        self.params.device()
    }

    /// The gradient of `var` so far, to be added to in place and given back.
    pub(crate) fn take(&mut self, var: Option<usize>) -> Option<Tensor> {
        self.of_nodes[var?].take()
    }

    /// Adds `grad` to the gradient of `var`.
    pub(crate) fn add(&mut self, var: Option<usize>, grad: Tensor) {
        let Some(node) = var else { return };
        let sum = match self.of_nodes[node].take() {
            Some(sum) => sum.add(&grad, self.params.device()),
            None => grad,
        };
        self.of_nodes[node] = Some(sum);
    }
}

/// Gradients of a tape's leaves after a backward pass.
pub struct NodeGrads {
    of_nodes: Vec<Option<Tensor>>,
}

impl NodeGrads {
    /// The gradient of a leaf, if anything depended on it.
    pub fn of(&self, leaf: &Var) -> Option<&Tensor> {
        leaf.node.and_then(|node| self.of_nodes[node].as_ref())
    }
}

impl<'p> Tape<'p> {
    /// A tape that can be unwound.
    pub fn training(params: &'p Params) -> Self {
        Self { params, recording: true, nodes: Vec::new() }
    }

    /// A tape that records nothing.
    pub fn inference(params: &'p Params) -> Self {
        Self { params, recording: false, nodes: Vec::new() }
    }

    /// The parameters that operations refer to.
    pub fn params(&self) -> &'p Params {
        self.params
    }

    pub(crate) fn device(&self) -> &'p Device {
        self.params.device()
    }

    /// A value with a gradient of its own, see [`NodeGrads::of`].
    pub fn leaf(&mut self, value: Tensor) -> Var {
        struct Leaf;
        impl<'p> Node<'p> for Leaf {
            fn backward(self: Box<Self>, _: Tensor, _: &mut Backward<'_, 'p>) {}
            fn is_leaf(&self) -> bool {
                true
            }
        }
        self.record(value, || Box::new(Leaf))
    }

    /// Whether the tape can be unwound.
    pub(crate) fn records(&self) -> bool {
        self.recording
    }

    /// Wraps an operation's result, with what its backward pass needs if that will run.
    pub(crate) fn record(&mut self, value: Tensor, node: impl FnOnce() -> Box<dyn Node<'p> + 'p>) -> Var {
        let index = self.recording.then(|| {
            self.nodes.push(Recorded::Operation(node()));
            self.nodes.len() - 1
        });
        Var { value, node: index }
    }

    /// Adds a loss to what the tape is unwound from, if it will be.
    pub(crate) fn record_loss(&mut self, loss: impl FnOnce() -> Box<dyn Loss<'p> + 'p>) {
        if self.recording {
            self.nodes.push(Recorded::Loss(loss()));
        }
    }

    /// Unwinds the tape from `var`, whose gradient is `grad`, and from the losses on the way; parameter gradients are added to
    /// `grads`.
    pub fn backward(self, var: &Var, grad: Tensor, grads: &mut Grads) -> NodeGrads {
        assert_eq!(var.value.shape(), grad.shape(), "gradient of another shape than its value");
        let of_nodes = vec![None; self.nodes.len()];
        let mut cx = Backward { params: self.params, grads, of_nodes };
        cx.add(var.node, grad);
        for (index, node) in self.nodes.into_iter().enumerate().rev() {
            match node {
                Recorded::Loss(loss) => loss.backward(&mut cx),
                Recorded::Operation(node) if node.is_leaf() => {}
                Recorded::Operation(node) => {
                    if let Some(grad) = cx.of_nodes[index].take() {
                        node.backward(grad, &mut cx);
                    }
                }
            }
        }
        NodeGrads { of_nodes: cx.of_nodes }
    }

    /// Runs `block` on `input`, keeping only the input: the backward pass runs the block again.
    ///
    /// `block` must be a function of the parameters and its input alone.
    pub fn recompute(&mut self, input: &Var, block: impl Fn(&mut Tape<'p>, &Var) -> Var + 'p) -> Var {
        let mut inner = Tape::inference(self.params);
        let value = block(&mut inner, &Var { value: input.value.clone(), node: None }).value;
        let (kept, node) = (input.value.clone(), input.node);
        self.record(value, || Box::new(Recompute { block, input: kept, node }))
    }
}

struct Recompute<F> {
    block: F,
    input: Tensor,
    node: Option<usize>,
}

impl<'p, F: Fn(&mut Tape<'p>, &Var) -> Var> Node<'p> for Recompute<F> {
    fn backward(self: Box<Self>, grad: Tensor, cx: &mut Backward<'_, 'p>) {
        let mut tape = Tape::training(cx.params);
        let leaf = tape.leaf(self.input);
        let output = (self.block)(&mut tape, &leaf);
        let mut inner = tape.backward(&output, grad, cx.grads);
        if let Some(grad) = leaf.node.and_then(|node| inner.of_nodes[node].take()) {
            cx.add(self.node, grad);
        }
    }
}
