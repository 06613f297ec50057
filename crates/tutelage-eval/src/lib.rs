//! Held-out loss, perplexity, bits per byte and calibration.
//!
//! [`evaluate`] runs a model over every sequence of a packed held-out set. Perplexity is `exp` of the
//! cross-entropy with the text, whatever a model was trained on; bits per byte divide by bytes of text, so
//! models with different tokenizers compare.

mod calibration;

use tutelage_data::{Batch, PackedSet};
use tutelage_model::{Decoder, Input};
use tutelage_tensor::Tape;

use self::calibration::{Scored, Scores};

/// Tokens that go through the model at once.
const BATCH_TOKENS: usize = 1 << 12;

/// What a model makes of held-out text.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// Sum of cross-entropies in nats, ends of documents included.
    pub nats: f64,
    /// Predicted tokens.
    pub n_tokens: u64,
    /// UTF-8 bytes of the text.
    pub text_bytes: u64,
    /// Expected calibration error, from 0 to 1.
    pub calibration_error: f64,
    /// Routes of documents, where they have any: name, nats a token, predicted tokens.
    pub by_route: Vec<(String, f64, u64)>,
}

impl HeldOut {
    /// Nats per token.
    pub fn loss(&self) -> f64 {
        self.nats / self.n_tokens.max(1) as f64
    }

    /// `exp` of the loss.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    /// Bits per byte of text.
    pub fn bits_per_byte(&self) -> f64 {
        self.nats / std::f64::consts::LN_2 / self.text_bytes.max(1) as f64
    }
}

/// Evaluates a model on every sequence of `set`, which should be packed with its tail kept.
pub fn evaluate(model: &Decoder, set: &PackedSet) -> HeldOut {
    let (scores, n_tokens) = score(model, set, set.n_sequences());
    let calibration_error = scores.calibration_error();
    let routes = &set.shard().manifest().routes;
    let by_route = routes.iter().zip(scores.by_route()).map(|(name, (loss, n))| (name.clone(), loss, n)).collect();
    HeldOut { nats: scores.nats, n_tokens, text_bytes: set.shard().manifest().text_bytes, calibration_error, by_route }
}

/// Nats per token over `n_sequences` sequences spread evenly over `set`: a quick look during training.
pub fn heldout_loss(model: &Decoder, set: &PackedSet, n_sequences: usize) -> f64 {
    let (scores, n_tokens) = score(model, set, n_sequences);
    scores.nats / n_tokens.max(1) as f64
}

/// Sums of scores, and the number of predicted tokens.
fn score(model: &Decoder, set: &PackedSet, n_sequences: usize) -> (Scores, u64) {
    let (all, n) = (set.n_sequences(), n_sequences.min(set.n_sequences()));
    let chosen: Vec<usize> = (0..n).map(|i| i * all / n).collect();
    let n_routes = set.shard().manifest().routes.len();
    let mut out = (Scores::zero(n_routes), 0);
    for indices in chosen.chunks((BATCH_TOKENS / set.seq_len()).max(1)) {
        let batch = Batch::new(set, indices);
        let mut tape = Tape::inference(model.params());
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let hidden = model.hidden(&mut tape, input);
        let mut routes = vec![0; if n_routes > 0 { batch.ids.len() } else { 0 }];
        batch.documents.iter().zip(&batch.routes).for_each(|(rows, route)| routes[rows.clone()].fill(*route));
        let scored = Scored { labels: &batch.labels, routes: &routes, n_routes };
        out.0.add(&tape.linear_loss(&hidden, model.head(), None, &scored));
        out.1 += batch.n_targets() as u64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::HeldOut;

    #[test]
    fn units_are_those_worked_out_by_hand() {
        let found = HeldOut {
            nats: 8.0 * std::f64::consts::LN_2,
            n_tokens: 4,
            text_bytes: 16,
            calibration_error: 0.0,
            by_route: Vec::new(),
        };
        assert!((found.perplexity() - 4.0).abs() < 1e-12);
        assert!((found.bits_per_byte() - 0.5).abs() < 1e-12);
    }
}
