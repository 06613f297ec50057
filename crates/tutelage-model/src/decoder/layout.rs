//! Where a weight lies in files: names of arrays, and the order of their rows.
//!
//! Our names are InternLM2's: `model.layers.I.PART.weight` and three outside the layers. Others keep queries, keys and
//! values apart where we fuse them (see [`AttentionShape`]), or fuse the two matrices of the gated unit where we keep
//! them apart, or rotate neighbouring pairs of a head's rows where we rotate halves.
//!
//! [`AttentionShape`]: tutelage_tensor::kernels::attention::AttentionShape

use std::ops::Range;

use super::{DecoderConfig, Family};

/// How files name and order weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A family's own folder.
    Folder(Family),
    /// llama.cpp's GGUF of a family: "llama", which Mixtral is too, rotates neighbouring pairs there, others do not.
    Gguf(Family),
}

/// An array of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// Where a weight is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The arrays that its rows are in.
    pub(crate) arrays: Vec<Array>,
    /// For each of its rows, the array and the row there; the one array as it is where `None`.
    pub(crate) rows: Option<Vec<(usize, usize)>>,
}

impl Stored {
    fn whole(name: impl Into<String>, shape: &[usize]) -> Self {
        Self { arrays: vec![Array { name: name.into(), shape: shape.to_vec() }], rows: None }
    }

    /// The weight out of its arrays.
    pub(crate) fn gather(&self, mut arrays: Vec<Vec<f32>>) -> Vec<f32> {
        let Some(rows) = &self.rows else { return arrays.swap_remove(0) };
        let width = self.width();
        let mut out = Vec::with_capacity(rows.len() * width);
        for &(array, row) in rows {
            out.extend_from_slice(&arrays[array][row * width..][..width]);
        }
        out
    }

    /// Writes the rows that are in the array of this name; others of its rows are left.
    pub(crate) fn scatter(&self, weight: &[f32], name: &str, out: &mut [f32]) {
        let Some(rows) = &self.rows else { return out.copy_from_slice(weight) };
        let width = self.width();
        for (from, &(array, row)) in weight.chunks_exact(width).zip(rows) {
            if self.arrays[array].name == name {
                out[row * width..][..width].copy_from_slice(from);
            }
        }
    }

    /// Elements of a row: one of a vector.
    fn width(&self) -> usize {
        match self.arrays[0].shape[..] {
            [_] => 1,
            ref shape => shape.last().copied().unwrap_or(1),
        }
    }

    /// The rows of the one array that hold the weight, if they follow one another there.
    pub(crate) fn range(&self) -> Option<Range<usize>> {
        let ([_], rows) = (&self.arrays[..], self.rows.as_ref()?) else { return None };
        let first = rows.first()?.1;
        rows.iter().zip(first..).all(|((_, row), i)| *row == i).then(|| first..first + rows.len())
    }
}

impl Layout {
    /// Where the weight that we call `name`, of this shape, is stored.
    pub(crate) fn stored(self, config: &DecoderConfig, name: &str, shape: &[usize]) -> Stored {
        let family = match self {
            Layout::Folder(Family::InternLm2) => return Stored::whole(name, shape),
            Layout::Folder(family) => family,
            Layout::Gguf(family) => family,
        };
        let is_gguf = matches!(self, Layout::Gguf(_));
        let named = |name: String| if is_gguf { gguf_name(&name) } else { name };
        let Some((layer, part)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
            let outside = match name {
                "model.tok_embeddings.weight" => "model.embed_tokens.weight",
                "output.weight" => "lm_head.weight",
                other => other,
            };
            return Stored::whole(named(outside.to_owned()), shape);
        };
        let (part, kind) = part.rsplit_once('.').unwrap_or((part, ""));
        let full = |part: &str| named(format!("model.layers.{layer}.{part}.{kind}"));
        match part {
            "attention.wqkv" => {
                let names = ["q", "k", "v"].map(|x| full(&format!("self_attn.{x}_proj")));
                let llama = matches!(family, Family::Llama | Family::Mixtral);
                separate(config, names, &shape[1..], family.rotates_pairs() || is_gguf && llama)
            }
            expert if is_gguf && expert.starts_with("feed_forward.experts.") => {
                let n_experts = config.options.experts.as_ref().map_or(1, |experts| experts.n_experts);
                stacked(&format!("blk.{layer}"), expert, n_experts, shape)
            }
            "feed_forward.w1" | "feed_forward.w3" if family.fuses_gate_up() => {
                let first = if part == "feed_forward.w1" { 0 } else { shape[0] };
                let array = Array { name: full("mlp.gate_up_proj"), shape: vec![2 * shape[0], shape[1]] };
                Stored { arrays: vec![array], rows: Some((first..first + shape[0]).map(|row| (0, row)).collect()) }
            }
            _ => Stored::whole(full(&part_name(family, part)), shape),
        }
    }
}

fn part_name(family: Family, part: &str) -> String {
    match part {
        "attention_norm" => "input_layernorm",
        "attention.wo" => "self_attn.o_proj",
        "attention.q_norm" => "self_attn.q_norm",
        "attention.k_norm" => "self_attn.k_norm",
        "attention_post_norm" => "post_self_attn_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_post_norm" => "post_mlp_layernorm",
        "feed_forward.w1" => "mlp.gate_proj",
        "feed_forward.w3" => "mlp.up_proj",
        "feed_forward.w2" => "mlp.down_proj",
        "feed_forward.router" => "block_sparse_moe.gate",
        other => {
            debug_assert!(family == Family::Mixtral, "a weight without a name in files: {other}");
            return other.replace("feed_forward.experts", "block_sparse_moe.experts");
        }
    }
    .to_owned()
}

/// llama.cpp's name of a weight that transformers calls `name`.
fn gguf_name(name: &str) -> String {
    let Some((layer, part)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
        return match name {
            "model.embed_tokens.weight" => "token_embd.weight",
            "model.norm.weight" => "output_norm.weight",
            "lm_head.weight" => "output.weight",
            other => other,
        }
        .to_owned();
    };
    let (part, kind) = part.rsplit_once('.').unwrap_or((part, ""));
    let part = match part {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "block_sparse_moe.gate" => "ffn_gate_inp",
        other => other,
    };
    format!("blk.{layer}.{part}.{kind}")
}

/// A matrix of an expert, in llama.cpp's array of all of them.
fn stacked(block: &str, part: &str, n_experts: usize, shape: &[usize]) -> Stored {
    let mut parts = part.rsplit('.');
    let (w, expert) = (parts.next(), parts.next().and_then(|expert| expert.parse::<usize>().ok()).unwrap_or(0));
    let name = match w {
        Some("w1") => "ffn_gate_exps",
        Some("w3") => "ffn_up_exps",
        _ => "ffn_down_exps",
    };
    let array = Array { name: format!("{block}.{name}.weight"), shape: [&[n_experts][..], shape].concat() };
    let rows = expert * shape[0]..(expert + 1) * shape[0];
    Stored { arrays: vec![array], rows: Some(rows.map(|row| (0, row)).collect()) }
}

/// The fused matrix (or bias) out of three: by key-value head, its query heads, its key, its value.
fn separate(config: &DecoderConfig, names: [String; 3], width: &[usize], in_pairs: bool) -> Stored {
    let (d_head, group) = (config.d_head, config.n_heads / config.n_kv_heads);
    let n_heads = [config.n_heads, config.n_kv_heads, config.n_kv_heads];
    let shape = |n_heads: usize| [&[n_heads * d_head][..], width].concat();
    let arrays = names.into_iter().zip(n_heads).map(|(name, n)| Array { name, shape: shape(n) }).collect();
    let d_rotary = config.options.d_rotary.unwrap_or(d_head);
    let row = |part: usize, i: usize| match (in_pairs && part < 2 && i < d_rotary, d_rotary / 2) {
        (true, half) => i % half * 2 + i / half,
        (false, _) => i,
    };
    let heads =
        (0..config.n_kv_heads).flat_map(|kv| (0..group).map(move |i| (0, kv * group + i)).chain([(1, kv), (2, kv)]));
    let rows = heads.flat_map(|(part, head)| (0..d_head).map(move |i| (part, head * d_head + row(part, i))));
    Stored { arrays, rows: Some(rows.collect()) }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::tiny;
    use super::super::{ExpertOptions, Options};
    use super::*;

    fn stored(layout: Layout, config: &DecoderConfig, name: &str, shape: &[usize]) -> Stored {
        layout.stored(config, name, shape)
    }

    #[test]
    fn names_are_those_of_the_family() {
        let name = |layout, name: &str| {
            let arrays = stored(layout, &tiny(), name, &[32, 16]).arrays;
            arrays.into_iter().map(|array| array.name).collect::<Vec<_>>().join(" ")
        };
        let llama = Layout::Folder(Family::Llama);
        assert_eq!(name(llama, "model.tok_embeddings.weight"), "model.embed_tokens.weight");
        assert_eq!(name(llama, "model.norm.weight"), "model.norm.weight");
        assert_eq!(name(llama, "model.layers.12.feed_forward.w3.weight"), "model.layers.12.mlp.up_proj.weight");
        assert_eq!(
            name(llama, "model.layers.0.attention.wqkv.weight"),
            "model.layers.0.self_attn.q_proj.weight model.layers.0.self_attn.k_proj.weight \
             model.layers.0.self_attn.v_proj.weight"
        );
        assert_eq!(
            name(Layout::Folder(Family::Mixtral), "model.layers.1.feed_forward.experts.3.w2.weight"),
            "model.layers.1.block_sparse_moe.experts.3.w2.weight"
        );
        assert_eq!(name(Layout::Gguf(Family::Llama), "model.layers.3.attention.wo.weight"), "blk.3.attn_output.weight");
        assert_eq!(name(Layout::Gguf(Family::Llama), "output.weight"), "output.weight");
    }

    #[test]
    fn heads_interleave_and_come_back() {
        // Two key-value heads of two query heads each.
        let config = DecoderConfig { d_model: 1, d_head: 1, ..tiny() };
        let stored = stored(Layout::Folder(Family::Llama), &config, "model.layers.0.attention.wqkv.weight", &[8, 1]);
        let parts = vec![vec![1.0, 2.0, 3.0, 4.0], vec![10.0, 20.0], vec![100.0, 200.0]];
        let fused = stored.gather(parts.clone());
        assert_eq!(fused, [1.0, 2.0, 10.0, 100.0, 3.0, 4.0, 20.0, 200.0]);
        for (array, part) in stored.arrays.iter().zip(&parts) {
            let mut out = vec![0.0; part.len()];
            stored.scatter(&fused, &array.name, &mut out);
            assert_eq!(out, *part);
        }
    }

    #[test]
    fn pairs_become_halves() {
        // One head of six rows, four of which are rotated.
        let config = DecoderConfig {
            n_heads: 1,
            n_kv_heads: 1,
            d_head: 6,
            options: Options { d_rotary: Some(4), ..Options::default() },
            ..tiny()
        };
        let name = "model.layers.0.attention.wqkv.bias";
        let stored = stored(Layout::Folder(Family::Glm4), &config, name, &[18]);
        let part = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let fused = stored.gather(vec![part.to_vec(), part.map(|x| x + 10.0).to_vec(), part.map(|x| -x).to_vec()]);
        assert_eq!(fused[..12], [0.0, 2.0, 1.0, 3.0, 4.0, 5.0, 10.0, 12.0, 11.0, 13.0, 14.0, 15.0]);
        assert_eq!(fused[12..], part.map(|x| -x));
    }

    #[test]
    fn the_gated_units_matrices_share_an_array() {
        let name = |part| format!("model.layers.0.feed_forward.{part}.weight");
        let [w1, w3] = ["w1", "w3"].map(|part| stored(Layout::Folder(Family::Glm), &tiny(), &name(part), &[2, 1]));
        assert_eq!(w1.arrays, w3.arrays);
        assert_eq!(w1.arrays[0].shape, [4, 1]);
        let both = vec![vec![1.0, 2.0, 3.0, 4.0]];
        assert_eq!((w1.gather(both.clone()), w3.gather(both)), (vec![1.0, 2.0], vec![3.0, 4.0]));
        assert_eq!((w1.range(), w3.range()), (Some(0..2), Some(2..4)));
    }

    #[test]
    fn experts_lie_behind_one_another() {
        let experts = ExpertOptions { n_experts: 3, n_active: 1, balance: 0.0 };
        let config = DecoderConfig { options: Options { experts: Some(experts), ..Options::default() }, ..tiny() };
        let name = "model.layers.1.feed_forward.experts.2.w3.weight";
        let stored = stored(Layout::Gguf(Family::Mixtral), &config, name, &[2, 5]);
        assert_eq!(
            (&stored.arrays[0].name[..], &stored.arrays[0].shape[..]),
            ("blk.1.ffn_up_exps.weight", &[3, 2, 5][..])
        );
        assert_eq!(stored.range(), Some(4..6));
        let all: Vec<f32> = (0..30).map(|x| x as f32).collect();
        let third = stored.gather(vec![all.clone()]);
        assert_eq!(third, all[20..]);
        let mut out = vec![0.0; 30];
        stored.scatter(&third, "blk.1.ffn_up_exps.weight", &mut out);
        assert_eq!((&out[..20], &out[20..]), (&[0.0; 20][..], &all[20..]));
    }
}
