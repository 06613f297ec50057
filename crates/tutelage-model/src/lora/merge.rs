//! Adapters merged into the weights they belong to.

use std::collections::BTreeMap;
use std::path::Path;

use super::attach::{names, sites};
use super::files::{open, take};
use crate::{DecoderConfig, ModelError};

/// What is added to arrays of a model's files, by name: `scale * B A`.
pub(crate) struct Merged {
    scale: f32,
    rank: usize,
    by_array: BTreeMap<String, [Vec<f32>; 2]>,
}

impl Merged {
    /// Reads the adapters of a folder for a model of this configuration.
    ///
    /// # Errors
    /// When the folder is not whole, not supported, or of another model.
    pub(crate) fn open(model: &DecoderConfig, folder: &Path) -> Result<Self, ModelError> {
        let (config, files) = open(folder)?;
        let mut arrays = files.arrays()?;
        let mut by_array = BTreeMap::new();
        for site in sites(model, &config)? {
            let [rows, columns] = site.shape;
            let [a, b] = names(&site.module);
            let a = take(&mut arrays, &a, [config.rank, columns])?;
            let b = take(&mut arrays, &b, [rows, config.rank])?;
            by_array.insert(format!("{}.weight", site.module), [a, b]);
        }
        arrays.finish()?;
        Ok(Self { scale: config.scale() as f32, rank: config.rank, by_array })
    }

    /// Adds to an array what its adapter gives, in f32.
    pub(crate) fn add_to(&self, name: &str, values: &mut [f32]) {
        let Some([a, b]) = self.by_array.get(name) else { return };
        let columns = a.len() / self.rank;
        for (row, b) in values.chunks_exact_mut(columns).zip(b.chunks_exact(self.rank)) {
            let mut sums = vec![0.0f32; columns];
            for (weight, a) in b.iter().zip(a.chunks_exact(columns)) {
                sums.iter_mut().zip(a).for_each(|(sum, a)| *sum += weight * a);
            }
            row.iter_mut().zip(sums).for_each(|(to, sum)| *to += self.scale * sum);
        }
    }
}
