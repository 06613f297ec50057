//! What a model costs, for plans and for FLOP/s.

use tutelage_tensor::kernels::linear_loss::LossMemory;
use tutelage_tensor::{DType, Isa};

use super::DecoderConfig;

impl DecoderConfig {
    /// Weights in all.
    pub fn n_weights(&self) -> u64 {
        let n_experts = self.options.experts.as_ref().map_or(1, |experts| experts.n_experts);
        self.outside_weights() + self.n_layers as u64 * (self.block_vectors() + self.block_matrices(n_experts))
    }

    /// Weights that a token meets: those of the experts it goes to, not of all.
    pub fn n_active_weights(&self) -> u64 {
        self.outside_weights() + self.n_layers as u64 * (self.block_vectors() + self.block_matrices(self.n_active()))
    }

    /// Feed-forwards that a token goes through.
    fn n_active(&self) -> usize {
        self.options.experts.as_ref().map_or(1, |experts| experts.n_active)
    }

    /// Weights outside the blocks.
    fn outside_weights(&self) -> u64 {
        let head = match (self.options.reward, self.tied_embeddings) {
            (true, _) => self.d_model as u64,
            (false, true) => 0,
            (false, false) => self.table_weights(),
        };
        self.table_weights() + self.d_model as u64 + head
    }

    /// Norms and biases of a block.
    fn block_vectors(&self) -> u64 {
        let norms = if self.options.post_norms { 4 } else { 2 } * self.d_model;
        let head_norms = if self.options.head_norms { 2 * self.d_head } else { 0 };
        let bias = if self.options.qkv_bias { (self.n_heads + 2 * self.n_kv_heads) * self.d_head } else { 0 };
        (norms + head_norms + bias) as u64
    }

    /// Weights of the embeddings.
    fn table_weights(&self) -> u64 {
        (self.vocab_size * self.d_model) as u64
    }

    /// Matrices of a block with so many feed-forwards.
    fn block_matrices(&self, n_experts: usize) -> u64 {
        let heads = (2 * (self.n_heads + self.n_kv_heads) * self.d_head) as u64;
        let router = self.options.experts.as_ref().map_or(0, |experts| experts.n_experts) as u64;
        self.d_model as u64 * (heads + 3 * (self.d_ff * n_experts) as u64 + router)
    }

    /// Floating-point operations of a forward pass per token, at documents of `seq_len` tokens: two for each
    /// weight that is multiplied, and attention's two products over half of the square, or over the window.
    pub fn forward_flops(&self, seq_len: usize) -> u64 {
        let head = if self.options.reward { self.d_model as u64 } else { self.table_weights() };
        let seen = |layer| self.options.window_of(layer).map_or(seq_len, |window| seq_len.min(2 * window)) as u64;
        let attention = 2 * (self.n_heads * self.d_head) as u64 * (0..self.n_layers).map(seen).sum::<u64>();
        2 * head + self.n_layers as u64 * 2 * self.block_matrices(self.n_active()) + attention
    }

    /// The same for a training step: the backward pass is two forward passes, or one where the weights are fixed and
    /// adapters learn.
    pub fn training_flops(&self, seq_len: usize, fixed: bool) -> u64 {
        if fixed { 2 * self.forward_flops(seq_len) } else { 3 * self.forward_flops(seq_len) }
    }

    /// Bytes that `t` tokens leave on the tape, with activations of `width` bytes an element.
    pub fn tape_bytes(&self, t: usize, width: usize, recompute: bool) -> u64 {
        let (t, d, width, layers) = (t as f64, self.d_model as f64, width as f64, self.n_layers as f64);
        let qkv = ((self.n_heads + 2 * self.n_kv_heads) * self.d_head) as f64;
        // Residual stream twice a block in f32; norms, attention and the gated unit in activations.
        let active = self.n_active() as f64;
        let mut block = t * (8.0 * d + width * (3.0 * d + qkv + 3.0 * self.d_ff as f64 * active));
        if self.options.experts.is_some() {
            // Rows of each expert, and what it makes of them in f32.
            block += t * active * d * (width + 4.0);
        }
        if self.options.post_norms {
            block += t * 8.0 * d;
        }
        if self.options.head_norms {
            block += t * qkv * width;
        }
        // A conversion that would overflow saturates: such a plan is refused for its memory.
        match recompute {
            true => (t * 4.0 * d * layers + block) as u64,
            false => (block * layers) as u64,
        }
    }

    /// Bytes of weights, gradients and AdamW's moments in training, with bf16 copies in both orientations; an embedding
    /// that is no output layer has no copies, and gradients of few rows.
    pub fn training_state_bytes(&self) -> u64 {
        let embedding = if self.tied_embeddings { 0 } else { self.table_weights() };
        (4 + 4 + 8 + 2 + 2) * (self.n_weights() - embedding) + (4 + 8) * embedding
    }

    /// Bytes of weights that do not learn, beside adapters: the embeddings in f32, and bf16 copies in both orientations of
    /// what is multiplied.
    pub fn fixed_bytes(&self) -> u64 {
        let embedding = if self.tied_embeddings { 4 } else { 0 };
        4 * self.n_weights() + embedding * self.table_weights()
    }

    /// Bytes that steps of `t` tokens at a time take beside weights: [`Self::tape_bytes`], and what the loss takes.
    pub fn step_bytes(&self, loss: LossMemory, recompute: bool) -> u64 {
        let width = loss.activation.size();
        (loss.bytes(true) as u64).saturating_add(self.tape_bytes(loss.t, width, recompute))
    }

    /// Bytes that training takes: [`Self::training_state_bytes`] and [`Self::step_bytes`].
    pub fn training_bytes(&self, loss: LossMemory, recompute: bool) -> u64 {
        self.training_state_bytes().saturating_add(self.step_bytes(loss, recompute))
    }

    /// What decides the memory of the loss over `t` tokens, of the text or of another objective in softmax form.
    pub fn loss_memory(&self, isa: Isa, activation: DType, t: usize) -> LossMemory {
        let (vocabulary, d_model) = (self.vocab_size, self.d_model);
        LossMemory { isa, activation, t, vocabulary, d_model, taught: false, softmax_form: true }
    }

    /// Bytes of weights for inference: the embedding in f32, what is multiplied in bf16.
    pub fn inference_bytes(&self) -> u64 {
        let embedding = if self.tied_embeddings { 4 } else { 2 };
        2 * self.n_weights() + embedding * self.table_weights()
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::tiny;
    use super::super::{DecoderConfig, ExpertOptions, Options};

    #[test]
    fn counts_are_those_worked_out_by_hand() {
        let c = tiny();
        // Block: qkv (4 + 4) * 4 * 16 = 512, wo 256, feed-forward 3 * 16 * 24 = 1152.
        assert_eq!(c.n_weights(), 2 * 40 * 16 + 16 + 2 * (512 + 256 + 1152 + 32));
        assert_eq!(c.forward_flops(8), 2 * 640 + 2 * (2 * 1920 + 2 * 8 * 16));
        let experts = ExpertOptions { n_experts: 4, n_active: 2, balance: 0.0 };
        let c = DecoderConfig { options: Options { experts: Some(experts), ..Options::default() }, ..c };
        // Three experts more, and a router of 4 * 16, in each block.
        assert_eq!(c.n_weights(), tiny().n_weights() + 2 * (3 * 1152 + 64));
        assert_eq!(c.n_active_weights(), tiny().n_weights() + 2 * (1152 + 64));
        let options =
            Options { qkv_bias: true, head_norms: true, post_norms: true, reward: true, ..Options::default() };
        // Biases 8 * 4, two norms of 4, two of 16; a head of 16 in place of 640.
        assert_eq!(DecoderConfig { options, ..tiny() }.n_weights(), tiny().n_weights() + 2 * (32 + 8 + 32) + 16 - 640);
    }
}
