//! Adapters of a decoder in training.

use std::collections::HashMap;
use std::sync::Arc;

use tutelage_run::RandomStream;
use tutelage_tensor::{ParamId, Params, Tape, Var};

use super::LoraConfig;
use crate::decoder::{Layout, specs};
use crate::{DecoderConfig, ModelError};

/// A module that is adapted: its name without `.weight`, and its sizes `[rows, columns]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) module: String,
    pub(super) shape: [usize; 2],
    /// The weights with rows in it: name, and for each row of the module its place there.
    uses: Vec<(String, Vec<Option<u32>>)>,
}

/// The modules that a configuration names, in order of their names.
///
/// # Errors
/// Names a target that the family does not have, or that cannot be adapted.
pub(super) fn sites(config: &DecoderConfig, lora: &LoraConfig) -> Result<Vec<Site>, ModelError> {
    let layout = Layout::Folder(config.family);
    let mut sites: Vec<Site> = Vec::new();
    for spec in specs(config) {
        let stored = layout.stored(config, &spec.name, &spec.shape);
        for (index, array) in stored.arrays.iter().enumerate() {
            let Some(module) = array.name.strip_suffix(".weight") else { continue };
            let &[rows, columns] = &array.shape[..] else { continue };
            let name = module.rsplit('.').next().unwrap_or(module);
            if !lora.targets.iter().any(|target| target == name) {
                continue;
            }
            if !module.contains(".layers.") || spec.name.contains("router") || spec.name.contains("experts") {
                let fault = "embeddings, the output layer, routers and experts are not adapted".to_owned();
                return Err(ModelError::Config { field: "target_modules", value: module.to_owned(), fault });
            }
            let mut places = vec![None; rows];
            match &stored.rows {
                None => places.iter_mut().zip(0..).for_each(|(to, row)| *to = Some(row)),
                Some(of) => {
                    for (row, &(array, from)) in (0..).zip(of) {
                        if array == index {
                            places[from] = Some(row);
                        }
                    }
                }
            }
            let place = sites.iter().position(|site| site.module == module).unwrap_or(sites.len());
            if place == sites.len() {
                sites.push(Site { module: module.to_owned(), shape: [rows, columns], uses: Vec::new() });
            }
            sites[place].uses.push((spec.name.clone(), places));
        }
    }
    let missing = |target: &&String| !sites.iter().any(|site| site.module.rsplit('.').next() == Some(target.as_str()));
    if let Some(target) = lora.targets.iter().find(missing) {
        let fault = format!("models of the family {} have no module of this name", config.family.title());
        return Err(ModelError::Config { field: "target_modules", value: target.clone(), fault });
    }
    sites.sort_by(|a, b| a.module.cmp(&b.module));
    Ok(sites)
}

/// What is added to a weight's product.
#[derive(Debug)]
struct Use {
    a: ParamId,
    b: ParamId,
    map: Arc<[Option<u32>]>,
}

/// The adapters of a decoder.
#[derive(Debug)]
pub(crate) struct Adapters {
    pub(super) config: LoraConfig,
    by_weight: HashMap<ParamId, Vec<Use>>,
}

/// Names of an adapter's two matrices.
pub(super) fn names(module: &str) -> [String; 2] {
    ["A", "B"].map(|x| format!("{module}.lora_{x}.weight"))
}

impl Adapters {
    /// Adds adapters to parameters; `values(name, shape)` supplies each matrix.
    pub(super) fn attach(
        model: &DecoderConfig,
        config: LoraConfig,
        params: &mut Params,
        mut values: impl FnMut(&str, [usize; 2]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        params.learn();
        let ids: HashMap<String, ParamId> = params.iter().map(|(id, param)| (param.name().to_owned(), id)).collect();
        let mut by_weight: HashMap<ParamId, Vec<Use>> = HashMap::new();
        for site in sites(model, &config)? {
            let [rows, columns] = site.shape;
            let shapes = [[config.rank, columns], [rows, config.rank]];
            let mut pushed = Vec::new();
            for (name, shape) in names(&site.module).into_iter().zip(shapes) {
                let values = values(&name, shape)?;
                pushed.push(params.push(name, shape, &values));
            }
            for (weight, map) in site.uses {
                let adapter = Use { a: pushed[0], b: pushed[1], map: map.into() };
                by_weight.entry(ids[&weight]).or_default().push(adapter);
            }
        }
        Ok(Self { config, by_weight })
    }

    /// First values: `A` uniform in `1 / sqrt(columns)` (as PEFT's), `B` zero, so that at first nothing is added.
    pub(super) fn first_values(seed: u64) -> impl FnMut(&str, [usize; 2]) -> Result<Vec<f32>, ModelError> {
        move |name, [rows, columns]| {
            if name.ends_with(".lora_B.weight") {
                return Ok(vec![0.0; rows * columns]);
            }
            let (mut stream, bound) =
                (RandomStream::new(seed, &format!("init {name}")), (columns as f64).sqrt().recip());
            Ok((0..rows * columns).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32).collect())
        }
    }

    /// Whether a parameter is a matrix of an adapter.
    pub(super) fn contains(&self, id: ParamId) -> bool {
        self.by_weight.values().flatten().any(|of| of.a == id || of.b == id)
    }

    /// Whether a weight has adapters.
    pub(crate) fn has(&self, weight: ParamId) -> bool {
        self.by_weight.contains_key(&weight)
    }

    /// The product `y = x W^T` (or a stream it was added to), with those of the weight's adapters added.
    pub(crate) fn apply(&self, tape: &mut Tape<'_>, x: &Var, weight: ParamId, y: Var) -> Var {
        let mut y = y;
        for Use { a, b, map } in self.by_weight.get(&weight).into_iter().flatten() {
            let h = tape.linear(x, *a);
            let added = tape.linear(&h, *b);
            y = tape.add_columns(&y, &added, map, self.config.scale() as f32);
        }
        y
    }
}
