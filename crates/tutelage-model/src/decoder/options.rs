//! What only some families have.

/// What only some families have; nothing of it is the plain decoder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether each query head and key head is normalised before it is rotated.
    pub head_norms: bool,
    /// Whether what attention and the feed-forward add is normalised first.
    pub post_norms: bool,
    /// Columns of a head that are rotated; all of them where `None`.
    pub d_rotary: Option<usize>,
    /// Keys that a query sees, its own the last of them; all before it where `None`.
    pub window: Option<usize>,
    /// Layers, rising, in which a query sees all keys before it although there is a window.
    pub full_layers: Vec<usize>,
    /// Experts in place of the feed-forward.
    pub experts: Option<ExpertOptions>,
    /// Whether the output is one number, a reward, in place of logits.
    pub reward: bool,
}

impl Options {
    /// Keys that a query of this layer sees; all before it where `None`.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| self.full_layers.binary_search(&layer).is_err())
    }
}

/// A sparse mixture of experts.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertOptions {
    /// Experts of a layer.
    pub n_experts: usize,
    /// Experts that a token goes to.
    pub n_active: usize,
    /// Weight of the balance loss in training.
    pub balance: f64,
}
