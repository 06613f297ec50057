//! What a model says of the next token.

use tutelage_tensor::Tensor;

use crate::Generator;

/// Logits after some rows.
#[derive(Debug)]
pub(crate) struct Logits {
    tensor_tv: Tensor,
    /// As many as the tokenizer has entries: rows of the model beyond stand for nothing.
    n: usize,
}

impl Logits {
    /// Logits after one of the rows.
    pub(crate) fn row(&self, at: usize) -> &[f32] {
        let width = self.tensor_tv.dims2().1;
        &self.tensor_tv.slice::<f32>()[at * width..][..self.n]
    }
}

impl Generator {
    /// Logits after some rows of last hidden states.
    pub(crate) fn logits(&self, hidden_td: &Tensor, rows: &[usize]) -> Logits {
        let model = self.model();
        let tensor_tv = model.logits(hidden_td.rows(model.params().device(), rows));
        Logits { tensor_tv, n: self.tokenizer().vocab_size() }
    }
}
