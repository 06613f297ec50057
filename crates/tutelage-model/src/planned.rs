//! A model's weights as arrays of a layout, made when they are asked for.

use std::collections::BTreeMap;

use crate::decoder::{Layout, Spec, Stored, specs};
use crate::tensors::Planned;
use crate::{DecoderConfig, ModelError};

/// The arrays of a layout, and which weights have rows in each.
pub(crate) struct PlannedArrays {
    weights: Vec<(Spec, Stored)>,
    arrays: BTreeMap<String, (Vec<usize>, Vec<usize>)>,
    /// The weight that was read last: the next array may have rows of it too.
    last: Option<(usize, Vec<f32>)>,
}

impl PlannedArrays {
    pub(crate) fn new(config: &DecoderConfig, layout: Layout) -> Self {
        let mut arrays: BTreeMap<String, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        let stored = |spec: Spec| (layout.stored(config, &spec.name, &spec.shape), spec);
        let weights: Vec<_> = specs(config).into_iter().map(stored).map(|(stored, spec)| (spec, stored)).collect();
        for (i, (_, stored)) in weights.iter().enumerate() {
            for array in &stored.arrays {
                arrays.entry(array.name.clone()).or_insert((array.shape.clone(), Vec::new())).1.push(i);
            }
        }
        Self { weights, arrays, last: None }
    }

    /// All arrays, by name.
    pub(crate) fn plan(&self) -> Vec<Planned> {
        let arrays = self.arrays.iter();
        arrays.map(|(name, (shape, _))| Planned { name: name.clone(), shape: shape.clone() }).collect()
    }

    /// The values of one of them, out of weights that `weight` supplies.
    pub(crate) fn values(
        &mut self,
        array: &Planned,
        weight: &mut dyn FnMut(&Spec) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Vec<f32>, ModelError> {
        let weights = &self.arrays[&array.name].1;
        let mut out = Vec::new();
        for &i in weights {
            let (spec, stored) = &self.weights[i];
            let values = match self.last.take() {
                Some((last, values)) if last == i => values,
                _ => weight(spec)?,
            };
            if stored.rows.is_none() {
                return Ok(values);
            }
            out.resize(array.shape.iter().product(), 0.0);
            stored.scatter(&values, &array.name, &mut out);
            self.last = Some((i, values));
        }
        Ok(out)
    }
}
