//! What a model's folder or GGUF file is, and what it takes.

use std::path::Path;

use serde_json::json;
use tutelage_model::{DecoderConfig, GgufFile, StoredModel};
use tutelage_tensor::kernels::attention::PAGE;
use tutelage_tensor::{DType, Isa};

use super::{Finding, Workload};
use crate::RecipeError;
use crate::stored::Beside;

/// Looks at a model; every weight is read once.
pub(super) fn finding(path: &Path, workload: Workload) -> Finding {
    let kind = if GgufFile::is_named(path) { "GGUF file" } else { "model" };
    let path = path.to_path_buf();
    match facts(&path, workload) {
        Ok((text, facts)) => Finding { path, kind, details: Ok(text), facts: Some(facts) },
        Err(error) => Finding { path, kind, details: Err(error.to_string()), facts: None },
    }
}

/// Bytes of keys and values of all sequences, in whole pages and padded heads.
fn cache_bytes(c: &DecoderConfig, workload: Workload) -> u64 {
    let pages = workload.batch as u64 * workload.seq_len.div_ceil(PAGE) as u64;
    pages * c.page_bytes(DType::Bf16) as u64
}

fn megabytes(bytes: u64) -> String {
    if bytes >= 10_000_000_000 {
        format!("{:.1} GB", bytes as f64 / 1e9)
    } else {
        format!("{:.0} MB", bytes as f64 / 1e6)
    }
}

fn facts(path: &Path, workload: Workload) -> Result<(String, serde_json::Value), RecipeError> {
    let model = StoredModel::open(path)?;
    model.check()?;
    let has_hash = path.join("tutelage.json").exists();
    let checked = if has_hash { "hash agrees" } else { "every weight read, no hash beside it" };
    let entries = Beside::read(path)?.map(|beside| beside.tokenizer.vocab_size());
    let c = model.config();
    if let Some(entries) = entries.filter(|&entries| entries > c.vocab_size) {
        let found = format!("its tokenizer has {entries} entries, the model {} rows", c.vocab_size);
        return Err(RecipeError::request(found));
    }
    let dtypes = model.dtypes()?;
    let types: Vec<String> = dtypes.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let serve = c.inference_bytes() + cache_bytes(c, workload);
    let loss = c.loss_memory(Isa::detect(), DType::Bf16, workload.batch * workload.seq_len);
    let [train, recomputed] = [false, true].map(|recompute| c.training_bytes(loss, recompute));
    let (all, active) = (c.n_weights(), c.n_active_weights());
    let experts = match &c.options.experts {
        Some(experts) => format!(" ({active} active, {} of {} experts)", experts.n_active, experts.n_experts),
        None => String::new(),
    };
    let window = c.options.window.map_or(String::new(), |window| format!(", window of {window}"));
    let tied = if c.tied_embeddings { " (tied)" } else { "" };
    let tokenizer_text = entries.map_or("no tokenizer".to_owned(), |n| format!("tokenizer of {n} entries"));
    let text = format!(
        "{}{}, {all} weights{experts}: {} layers, d_model {}, {} heads of {} ({} of keys and values), d_ff {}, \
         vocabulary of {}{tied}, {} positions{window}; tensors: {}; {tokenizer_text}; {checked}; {} x {} tokens in bf16 \
         take {} to serve, {} to train ({} with recompute)",
        c.family.title(),
        if c.options.reward { " reward model" } else { "" },
        c.n_layers,
        c.d_model,
        c.n_heads,
        c.d_head,
        c.n_kv_heads,
        c.d_ff,
        c.vocab_size,
        c.n_positions(),
        types.join(", "),
        workload.batch,
        workload.seq_len,
        megabytes(serve),
        megabytes(train),
        megabytes(recomputed),
    );
    let facts = json!({
        "family": c.family.model_type(),
        "reward": c.options.reward,
        "weights": all,
        "active_weights": active,
        "n_layers": c.n_layers,
        "d_model": c.d_model,
        "n_heads": c.n_heads,
        "n_kv_heads": c.n_kv_heads,
        "d_head": c.d_head,
        "d_ff": c.d_ff,
        "vocab_size": c.vocab_size,
        "tied_embeddings": c.tied_embeddings,
        "n_positions": c.n_positions(),
        "tensors": dtypes,
        "tokenizer_entries": entries,
        "has_hash": has_hash,
        "batch": workload.batch,
        "seq_len": workload.seq_len,
        "serve_bytes": serve,
        "train_bytes": train,
        "train_recompute_bytes": recomputed,
    });
    Ok((text, facts))
}
