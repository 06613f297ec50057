//! Names and shapes. The names are InternLM2's, whatever the family; see [`super::Family`] for those of files.

use tutelage_tensor::{ParamId, Params};

use super::DecoderConfig;

/// Where each weight lies.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embeddings: ParamId,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: ParamId,
    pub(super) head: ParamId,
}

/// Weights of a block. `w2(silu(w1 x) * w3 x)` is the feed-forward.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: ParamId,
    pub(super) wqkv: ParamId,
    pub(super) wo: ParamId,
    pub(super) ffn_norm: ParamId,
    pub(super) w1: ParamId,
    pub(super) w3: ParamId,
    pub(super) w2: ParamId,
}

/// What a weight is for, which decides its first values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Norm,
    Embedding,
    Inner,
    /// Writes into the residual stream.
    Residual,
    Head,
}

impl Weights {
    /// Creates all parameters; `values(name, shape, role)` supplies each.
    pub(super) fn create<E>(
        config: &DecoderConfig,
        params: &mut Params,
        mut values: impl FnMut(&str, &[usize], Role) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let c = config;
        let mut push = |name: String, shape: Vec<usize>, role| {
            let values = values(&name, &shape, role)?;
            Ok(match (role, &shape[..]) {
                (Role::Embedding, &[rows, columns]) if c.tied_embeddings => {
                    params.push_looked_up(name, [rows, columns], &values)
                }
                (Role::Embedding, &[rows, columns]) => params.push_table(name, [rows, columns], &values),
                _ => params.push(name, shape, &values),
            })
        };
        let qkv = (c.n_heads + 2 * c.n_kv_heads) * c.d_head;
        let embeddings = push("model.tok_embeddings.weight".into(), vec![c.vocab_size, c.d_model], Role::Embedding)?;
        let mut layers = Vec::new();
        for i in 0..c.n_layers {
            let name = |part: &str| format!("model.layers.{i}.{part}.weight");
            layers.push(Layer {
                attention_norm: push(name("attention_norm"), vec![c.d_model], Role::Norm)?,
                wqkv: push(name("attention.wqkv"), vec![qkv, c.d_model], Role::Inner)?,
                wo: push(name("attention.wo"), vec![c.d_model, c.n_heads * c.d_head], Role::Residual)?,
                ffn_norm: push(name("ffn_norm"), vec![c.d_model], Role::Norm)?,
                w1: push(name("feed_forward.w1"), vec![c.d_ff, c.d_model], Role::Inner)?,
                w3: push(name("feed_forward.w3"), vec![c.d_ff, c.d_model], Role::Inner)?,
                w2: push(name("feed_forward.w2"), vec![c.d_model, c.d_ff], Role::Residual)?,
            });
        }
        let norm = push("model.norm.weight".into(), vec![c.d_model], Role::Norm)?;
        let head = match c.tied_embeddings {
            true => embeddings,
            false => push("output.weight".into(), vec![c.vocab_size, c.d_model], Role::Head)?,
        };
        Ok(Self { embeddings, layers, norm, head })
    }
}
