//! The tokenizer and the models of a recipe: new ones by their sizes, stored ones as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tutelage_model::{DecoderConfig, ExpertOptions, Family, GgufFile, LoraConfig, Options, RopeScaling, StoredModel};
use tutelage_token::{MIN_VOCAB, Tokenizer};

use crate::RecipeError;
use crate::spec::{ExpertsSpec, LoraSpec, ModelSpec, RecipeSpec, SizesSpec, StoredSpec};
use crate::stored::Beside;

// Ids of `<s>` and `</s>` in a tokenizer that is trained here.
const BOS: u32 = 1;
const EOS: u32 = 2;

/// Where the tokenizer comes from.
#[derive(Debug, Clone)]
pub(crate) enum TokenizerPlan {
    /// Learned from the documents.
    Learned { vocab_size: usize },
    /// Brought along.
    Given { path: PathBuf, beside: Box<Beside> },
}

impl TokenizerPlan {
    pub(super) fn resolve(spec: &RecipeSpec) -> Result<Self, RecipeError> {
        match (spec.tokenizer.vocab_size, &spec.tokenizer.from) {
            (Some(vocab_size), None) if vocab_size < MIN_VOCAB => {
                let rule = format!("must be at least {MIN_VOCAB}, which bytes and special tokens take");
                Err(RecipeError::request(format!("tokenizer.vocab_size = {vocab_size}: {rule}")))
            }
            (Some(vocab_size), None) => Ok(Self::Learned { vocab_size }),
            (None, Some(path)) => Ok(Self::Given { path: path.clone(), beside: Box::new(Beside::tokenizer(path)?) }),
            _ => Err(RecipeError::request("tokenizer: give vocab_size to learn one from the documents, or from")),
        }
    }

    /// Entries of the vocabulary.
    pub(crate) fn vocab_size(&self) -> usize {
        match self {
            Self::Learned { vocab_size } => *vocab_size,
            Self::Given { beside, .. } => beside.tokenizer.vocab_size(),
        }
    }

    /// Ids that begin and end a document.
    fn borders(&self) -> (u32, u32) {
        match self {
            Self::Learned { .. } => (BOS, EOS),
            Self::Given { beside, .. } => (beside.tokenizer.bos(), beside.tokenizer.eos()),
        }
    }
}

/// A model of the recipe.
#[derive(Debug, Clone)]
pub(crate) struct ModelPlan {
    pub(crate) config: DecoderConfig,
    pub(crate) first: FirstWeights,
    /// Its tokenizer, where that is its own.
    pub(crate) own: Option<Arc<Tokenizer>>,
}

/// Where a model's first weights come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FirstWeights {
    /// Drawn.
    Random,
    /// Those of a folder or GGUF file, perhaps with adapters that learn in their place.
    Stored { path: PathBuf, lora: Option<LoraConfig> },
    /// Those of a run before.
    Run(String),
}

/// Every model by name.
pub(super) fn resolve(
    spec: &RecipeSpec,
    tokenizer: &TokenizerPlan,
) -> Result<BTreeMap<String, ModelPlan>, RecipeError> {
    let mut models = BTreeMap::new();
    for (name, model) in &spec.models {
        if let ModelSpec::Stored(stored) = model {
            models.insert(name.clone(), stored_model(name, stored, tokenizer)?);
        }
    }
    for (name, model) in &spec.models {
        if let ModelSpec::New(sizes) = model {
            let config = new_model(sizes, tokenizer.vocab_size(), tokenizer.borders(), spec.data.seq_len);
            models.insert(name.clone(), ModelPlan { config, first: FirstWeights::Random, own: None });
        }
    }
    for (name, model) in &models {
        let fault = |found: String| Err(RecipeError::request(format!("models.{name}: {found}")));
        if let Err(error) = model.config.validate() {
            return fault(error.to_string());
        }
        let (positions, seq_len) = (model.config.n_positions(), spec.data.seq_len);
        if positions < seq_len {
            return fault(format!("max_positions = {positions} is less than data.seq_len = {seq_len}"));
        }
    }
    Ok(models)
}

fn new_model(sizes: &SizesSpec, vocab_size: usize, (bos, eos): (u32, u32), seq_len: usize) -> DecoderConfig {
    DecoderConfig {
        family: if sizes.experts.is_some() { Family::Mixtral } else { Family::InternLm2 },
        vocab_size,
        d_model: sizes.d_model,
        n_layers: sizes.n_layers,
        n_heads: sizes.n_heads,
        n_kv_heads: sizes.n_kv_heads.unwrap_or(sizes.n_heads),
        // Zero heads are refused by `validate`.
        d_head: sizes.d_model / sizes.n_heads.max(1),
        d_ff: sizes.d_ff,
        tied_embeddings: false,
        options: Options { experts: sizes.experts.as_ref().map(experts), ..Options::default() },
        max_positions: sizes.max_positions.unwrap_or(seq_len),
        rope_theta: sizes.rope_theta,
        rope_scaling: RopeScaling::None,
        norm_eps: sizes.norm_eps,
        init_std: sizes.init_std,
        bos: Some(bos),
        eos,
        more_eos: Vec::new(),
    }
}

fn experts(spec: &ExpertsSpec) -> ExpertOptions {
    ExpertOptions { n_experts: spec.n_experts, n_active: spec.n_active, balance: spec.balance }
}

fn stored_model(name: &str, spec: &StoredSpec, tokenizer: &TokenizerPlan) -> Result<ModelPlan, RecipeError> {
    let path = &spec.from;
    let fault = |found: String| Err(RecipeError::request(format!("models.{name}: {}: {found}", path.display())));
    let config = StoredModel::read_config(path)?;
    if config.options.reward {
        return fault("is a reward model, which gives a text a number and no next token".to_owned());
    }
    if spec.own_vocabulary {
        return own_vocabulary(name, spec, config);
    }
    let TokenizerPlan::Given { beside, path: given } = tokenizer else {
        return fault("comes with its own tokenizer; set tokenizer.from in place of tokenizer.vocab_size".to_owned());
    };
    let Some(own) = Beside::read(path)? else {
        return fault("has no tokenizer beside it, so what its ids stand for cannot be known".to_owned());
    };
    if let Some(difference) = difference(&beside.tokenizer, &own.tokenizer) {
        let found = format!("has another tokenizer than {}: {difference}", given.display());
        return fault(format!("{found}; as a teacher it may have, with own_vocabulary = true"));
    }
    if own.tokenizer.vocab_size() > config.vocab_size {
        let (entries, rows) = (own.tokenizer.vocab_size(), config.vocab_size);
        return fault(format!("its tokenizer has {entries} entries, the model {rows} rows"));
    }
    let lora = match &spec.lora {
        None => None,
        Some(_) if GgufFile::is_named(path) => {
            return fault("adapters name the modules of folders; convert the GGUF file to one first".to_owned());
        }
        Some(lora) => Some(lora_config(&format!("models.{name}.lora"), lora, Some(path), &config)?),
    };
    Ok(ModelPlan { config, first: FirstWeights::Stored { path: path.clone(), lora }, own: None })
}

/// A teacher that reads texts in its own tokens.
fn own_vocabulary(name: &str, spec: &StoredSpec, config: DecoderConfig) -> Result<ModelPlan, RecipeError> {
    let path = &spec.from;
    let fault = |found: &str| Err(RecipeError::request(format!("models.{name}: {}: {found}", path.display())));
    if spec.lora.is_some() {
        return fault("a model with own_vocabulary teaches as it is; leave lora out");
    }
    let Some(own) = Beside::read(path)? else {
        return fault("has no tokenizer beside it, so what its ids stand for cannot be known");
    };
    if own.tokenizer.vocab_size() > config.vocab_size {
        return fault("has fewer rows than its tokenizer has entries");
    }
    let first = FirstWeights::Stored { path: path.clone(), lora: None };
    Ok(ModelPlan { config, first, own: Some(Arc::new(own.tokenizer)) })
}

/// The first entry in which two tokenizers differ.
fn difference(a: &Tokenizer, b: &Tokenizer) -> Option<String> {
    let n = a.vocab_size().max(b.vocab_size());
    let (id, [found, other]) =
        (0..n as u32).map(|id| (id, [a.token(id), b.token(id)])).find(|(_, [found, other])| found != other)?;
    let text = |token: Option<String>| token.map_or("nothing".to_owned(), |token| format!("{token:?}"));
    Some(format!("id {id} is {} there and {} here", text(found), text(other)))
}

/// Adapters of a model; `name` is for errors.
pub(super) fn lora_config(
    name: &str,
    spec: &LoraSpec,
    base: Option<&Path>,
    model: &DecoderConfig,
) -> Result<LoraConfig, RecipeError> {
    let lora = LoraConfig {
        rank: spec.rank,
        alpha: spec.alpha,
        rank_stabilised: spec.rank_stabilised,
        targets: spec.targets.clone(),
        base: base.map(|path| path.display().to_string()),
    };
    let checked = lora.validate().and_then(|()| lora.n_weights(model));
    checked.map_err(|error| RecipeError::request(format!("{name}: {error}")))?;
    Ok(lora)
}
