//! Names and shapes. The names are InternLM2's, whatever the family; see [`super::Layout`] for those of files.

use std::collections::HashMap;

use tutelage_tensor::kernels::feed_forward::FeedForward;
use tutelage_tensor::kernels::head_norm::HeadNorms;
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

/// Weights of a block.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: ParamId,
    pub(super) wqkv: ParamId,
    pub(super) qkv_bias: Option<ParamId>,
    pub(super) head_norms: Option<HeadNorms>,
    pub(super) wo: ParamId,
    pub(super) attention_post_norm: Option<ParamId>,
    pub(super) ffn_norm: ParamId,
    pub(super) ffn: Ffn,
    pub(super) ffn_post_norm: Option<ParamId>,
}

/// What follows attention.
#[derive(Debug)]
pub(super) enum Ffn {
    /// `w2(silu(w1 x) * w3 x)`.
    Dense(FeedForward),
    /// A router that gives a row to `k` of the experts.
    Experts { router: ParamId, k: usize, experts: Vec<FeedForward> },
}

/// What a weight is for, which decides its first values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Norm,
    Bias,
    Embedding,
    Inner,
    /// Writes into the residual stream.
    Residual,
    Head,
}

/// A weight to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(super) role: Role,
}

impl Spec {
    fn new(name: impl Into<String>, shape: &[usize], role: Role) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), role }
    }

    /// Adds the weight to parameters.
    pub(super) fn push(&self, config: &DecoderConfig, params: &mut Params, values: &[f32]) {
        match (self.role, &self.shape[..]) {
            (Role::Embedding, &[rows, columns]) if config.tied_embeddings => {
                params.push_looked_up(self.name.as_str(), [rows, columns], values)
            }
            (Role::Embedding, &[rows, columns]) => params.push_table(self.name.as_str(), [rows, columns], values),
            (Role::Head, &[rows, columns]) => params.push_head(self.name.as_str(), [rows, columns], values),
            _ => params.push(self.name.as_str(), self.shape.as_slice(), values),
        };
    }
}

/// All weights of a model in their order.
pub(crate) fn specs(config: &DecoderConfig) -> Vec<Spec> {
    let c = config;
    let table = [c.vocab_size, c.d_model];
    let mut out = vec![Spec::new("model.tok_embeddings.weight", &table, Role::Embedding)];
    (0..c.n_layers).for_each(|i| layer_specs(c, i, &mut out));
    out.push(Spec::new("model.norm.weight", &[c.d_model], Role::Norm));
    if c.options.reward {
        out.push(Spec::new("v_head.weight", &[1, c.d_model], Role::Head));
    } else if !c.tied_embeddings {
        out.push(Spec::new("output.weight", &table, Role::Head));
    }
    out
}

fn layer_specs(c: &DecoderConfig, i: usize, out: &mut Vec<Spec>) {
    let (d, options) = (c.d_model, &c.options);
    let qkv = (c.n_heads + 2 * c.n_kv_heads) * c.d_head;
    let mut push = |part: &str, shape: &[usize], role| {
        let kind = if role == Role::Bias { "bias" } else { "weight" };
        out.push(Spec::new(format!("model.layers.{i}.{part}.{kind}"), shape, role));
    };
    push("attention_norm", &[d], Role::Norm);
    push("attention.wqkv", &[qkv, d], Role::Inner);
    if options.qkv_bias {
        push("attention.wqkv", &[qkv], Role::Bias);
    }
    if options.head_norms {
        push("attention.q_norm", &[c.d_head], Role::Norm);
        push("attention.k_norm", &[c.d_head], Role::Norm);
    }
    push("attention.wo", &[d, c.n_heads * c.d_head], Role::Residual);
    if options.post_norms {
        push("attention_post_norm", &[d], Role::Norm);
    }
    push("ffn_norm", &[d], Role::Norm);
    let prefixes = match &options.experts {
        None => vec!["feed_forward".to_owned()],
        Some(experts) => {
            push("feed_forward.router", &[experts.n_experts, d], Role::Inner);
            (0..experts.n_experts).map(|e| format!("feed_forward.experts.{e}")).collect()
        }
    };
    for prefix in prefixes {
        push(&format!("{prefix}.w1"), &[c.d_ff, d], Role::Inner);
        push(&format!("{prefix}.w3"), &[c.d_ff, d], Role::Inner);
        push(&format!("{prefix}.w2"), &[d, c.d_ff], Role::Residual);
    }
    if options.post_norms {
        push("ffn_post_norm", &[d], Role::Norm);
    }
}

impl Weights {
    /// Finds the weights of [`specs`] among parameters.
    pub(super) fn find(config: &DecoderConfig, params: &Params) -> Self {
        let ids: HashMap<&str, ParamId> = params.iter().map(|(id, param)| (param.name(), id)).collect();
        let layer = |i: usize| {
            let find = |part: &str| ids.get(format!("model.layers.{i}.{part}").as_str()).copied();
            let get = |part: &str| ids[format!("model.layers.{i}.{part}.weight").as_str()];
            let feed_forward = |prefix: &str| {
                let [w1, w3, w2] = ["w1", "w3", "w2"].map(|w| get(&format!("{prefix}.{w}")));
                FeedForward { w1, w3, w2 }
            };
            let norms = (find("attention.q_norm.weight"), find("attention.k_norm.weight"));
            Layer {
                attention_norm: get("attention_norm"),
                wqkv: get("attention.wqkv"),
                qkv_bias: find("attention.wqkv.bias"),
                head_norms: norms.0.zip(norms.1).map(|(queries, keys)| HeadNorms { queries, keys }),
                wo: get("attention.wo"),
                attention_post_norm: find("attention_post_norm.weight"),
                ffn_norm: get("ffn_norm"),
                ffn: match &config.options.experts {
                    None => Ffn::Dense(feed_forward("feed_forward")),
                    Some(experts) => Ffn::Experts {
                        router: get("feed_forward.router"),
                        k: experts.n_active,
                        experts: (0..experts.n_experts)
                            .map(|e| feed_forward(&format!("feed_forward.experts.{e}")))
                            .collect(),
                    },
                },
                ffn_post_norm: find("ffn_post_norm.weight"),
            }
        };
        let embeddings = ids["model.tok_embeddings.weight"];
        let head = ids.get("output.weight").or(ids.get("v_head.weight"));
        Self {
            embeddings,
            layers: (0..config.n_layers).map(layer).collect(),
            norm: ids["model.norm.weight"],
            head: head.copied().unwrap_or(embeddings),
        }
    }
}
