//! What a model costs, for plans and for FLOP/s.

use tutelage_tensor::kernels::linear_loss::LossMemory;
use tutelage_tensor::{DType, Isa};

use super::DecoderConfig;

impl DecoderConfig {
    /// Weights in all.
    pub fn n_weights(&self) -> u64 {
        let d = self.d_model as u64;
        let tables = if self.tied_embeddings { 1 } else { 2 };
        tables * self.table_weights() + d + self.n_layers as u64 * (self.block_matrices() + 2 * d)
    }

    /// Weights of the embeddings.
    fn table_weights(&self) -> u64 {
        (self.vocab_size * self.d_model) as u64
    }

    fn block_matrices(&self) -> u64 {
        let heads = (2 * (self.n_heads + self.n_kv_heads) * self.d_head) as u64;
        self.d_model as u64 * (heads + 3 * self.d_ff as u64)
    }

    /// Floating-point operations of a forward pass per token, at documents of `seq_len` tokens: two for each
    /// weight that is multiplied, and attention's two products over half of the square.
    pub fn forward_flops(&self, seq_len: usize) -> u64 {
        let head = self.table_weights();
        let attention = 2 * (seq_len * self.n_heads * self.d_head) as u64;
        2 * head + self.n_layers as u64 * (2 * self.block_matrices() + attention)
    }

    /// The same for a training step: the backward pass is two forward passes.
    pub fn training_flops(&self, seq_len: usize) -> u64 {
        3 * self.forward_flops(seq_len)
    }

    /// Bytes that `t` tokens leave on the tape, with activations of `width` bytes an element.
    pub fn tape_bytes(&self, t: usize, width: usize, recompute: bool) -> u64 {
        let (t, d, width, layers) = (t as f64, self.d_model as f64, width as f64, self.n_layers as f64);
        let qkv = ((self.n_heads + 2 * self.n_kv_heads) * self.d_head) as f64;
        // Residual stream twice a block in f32; norms, attention and the gated unit in activations.
        let block = t * (8.0 * d + width * (3.0 * d + qkv + 3.0 * self.d_ff as f64));
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

    /// Bytes that training takes for steps of `t` tokens at a time: [`Self::training_state_bytes`],
    /// [`Self::tape_bytes`], and what the loss takes.
    pub fn training_bytes(&self, loss: LossMemory, recompute: bool) -> u64 {
        let width = loss.activation.size();
        (self.training_state_bytes() + loss.bytes(true) as u64)
            .saturating_add(self.tape_bytes(loss.t, width, recompute))
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

    #[test]
    fn counts_are_those_worked_out_by_hand() {
        let c = tiny();
        // Block: qkv (4 + 4) * 4 * 16 = 512, wo 256, feed-forward 3 * 16 * 24 = 1152.
        assert_eq!(c.n_weights(), 2 * 40 * 16 + 16 + 2 * (512 + 256 + 1152 + 32));
        assert_eq!(c.forward_flops(8), 2 * 640 + 2 * (2 * 1920 + 2 * 8 * 16));
    }
}
