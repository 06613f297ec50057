//! Gradients of a model's weights.

use crate::matmul::Out;
use crate::{Buffer, Device, ParamId, Params};

/// Sums of gradients: one f32 array a parameter, but of a table only the rows that were looked up.
#[derive(Debug)]
pub struct Grads {
    device: Device,
    entries: Vec<Entry>,
}

#[derive(Debug)]
enum Entry {
    Dense {
        sums: Buffer<f32>,
        /// Whether it stands for zeros, whatever its memory holds: the first to come writes instead of adding.
        empty: bool,
    },
    Rows(RowGrads),
    /// The parameter is fixed.
    Nothing,
}

/// Gradients of some rows of a table; those of the others are zero.
#[derive(Debug)]
pub struct RowGrads {
    ids: Vec<u32>,
    /// `[ids.len(), d]`.
    values: Buffer<f32>,
    d: usize,
}

impl Grads {
    /// Zeros for every parameter.
    pub fn zeros(params: &Params) -> Self {
        Self::new(params, |param| param.is_table())
    }

    /// Zeros for every parameter, tables too: for sums that soon have all rows.
    pub fn dense(params: &Params) -> Self {
        Self::new(params, |_| false)
    }

    fn new(params: &Params, by_rows: impl Fn(&crate::Param) -> bool) -> Self {
        let device = params.device().clone();
        let entry = |param: &crate::Param| match param.shape() {
            _ if param.is_fixed() => Entry::Nothing,
            &[_, d] if by_rows(param) => Entry::Rows(RowGrads { ids: Vec::new(), values: device.buffer(0), d }),
            _ => Entry::Dense { sums: device.zeros(param.n_weights()), empty: false },
        };
        let entries = params.iter().map(|(_, param)| entry(param)).collect();
        Self { device, entries }
    }

    /// Sets all to zero; memory is written only where a gradient is then read or added to without having been written.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            match entry {
                Entry::Dense { empty, .. } => *empty = true,
                Entry::Rows(rows) => rows.ids.clear(),
                Entry::Nothing => {}
            }
        }
    }

    /// Writes the zeros of arrays that nothing was added to since [`Grads::clear`], so that all can be read.
    pub fn settle(&mut self) {
        for entry in &mut self.entries {
            if let Entry::Dense { sums, empty } = entry {
                write_zeros(&self.device, sums, empty);
            }
        }
    }

    /// The gradient of one parameter.
    ///
    /// # Panics
    /// When it was cleared and neither written nor settled, or is kept by rows.
    pub fn get(&self, id: ParamId) -> &[f32] {
        match &self.entries[id.0] {
            Entry::Dense { sums, empty: false } => sums,
            Entry::Dense { .. } => panic!("gradient {} is read before it is settled", id.0),
            Entry::Rows(_) => panic!("gradient {} is kept by rows", id.0),
            Entry::Nothing => panic!("parameter {} is fixed and has no gradient", id.0),
        }
    }

    /// The rows of a table's gradient; `None` for parameters whose gradient is an array.
    pub fn rows(&self, id: ParamId) -> Option<&RowGrads> {
        match &self.entries[id.0] {
            Entry::Dense { .. } | Entry::Nothing => None,
            Entry::Rows(rows) => Some(rows),
        }
    }

    /// The gradient of one parameter, for adding to.
    ///
    /// # Panics
    /// When it is kept by rows, or the parameter is fixed.
    pub fn get_mut(&mut self, id: ParamId) -> &mut [f32] {
        match self.learned_mut(id) {
            Some(sums) => sums,
            None => panic!("parameter {} is fixed and has no gradient", id.0),
        }
    }

    /// The same; `None` if the parameter is fixed.
    pub(crate) fn learned_mut(&mut self, id: ParamId) -> Option<&mut [f32]> {
        match &mut self.entries[id.0] {
            Entry::Dense { sums, empty } => {
                write_zeros(&self.device, sums, empty);
                Some(sums)
            }
            Entry::Rows(_) => panic!("gradient {} is kept by rows", id.0),
            Entry::Nothing => None,
        }
    }

    /// The rows of a table's gradient, for adding to.
    pub(crate) fn rows_mut(&mut self, id: ParamId) -> Option<&mut RowGrads> {
        match &mut self.entries[id.0] {
            Entry::Dense { .. } | Entry::Nothing => None,
            Entry::Rows(rows) => Some(rows),
        }
    }

    /// The gradient of one parameter as the output of a product whose result is added; `None` if the parameter is fixed.
    pub(crate) fn out(&mut self, id: ParamId) -> Option<Out<'_>> {
        match &mut self.entries[id.0] {
            Entry::Dense { sums, empty } => Some(match std::mem::replace(empty, false) {
                true => Out::F32(sums),
                false => Out::AddF32(sums),
            }),
            Entry::Nothing => None,
            Entry::Rows(_) => panic!("gradient {} is kept by rows", id.0),
        }
    }

    /// A copy of the gradient of one parameter, with the zeros of rows that a table's does not have.
    pub fn to_vec(&self, id: ParamId, n_weights: usize) -> Vec<f32> {
        let Some(rows) = self.rows(id) else { return self.get(id).to_vec() };
        let mut all = vec![0.0; n_weights];
        for (&id, row) in rows.ids().iter().zip(rows.values().chunks_exact(rows.d)) {
            all[id as usize * rows.d..][..rows.d].copy_from_slice(row);
        }
        all
    }
}

fn write_zeros(device: &Device, sums: &mut [f32], empty: &mut bool) {
    const BLOCK: usize = 1 << 16;
    if std::mem::replace(empty, false) {
        device.timed("gradient clear", || device.for_each_block(sums, BLOCK, |_, block| block.fill(0.0)));
    }
}

impl RowGrads {
    /// The rows there are, ascending.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Their gradients, `[ids.len(), d]`.
    pub fn values(&self) -> &[f32] {
        &self.values[..self.ids.len() * self.d]
    }

    /// The gradient of row `id`, if it is not zero throughout.
    pub fn row(&self, id: u32) -> Option<&[f32]> {
        let at = self.ids.binary_search(&id).ok()?;
        Some(&self.values[at * self.d..][..self.d])
    }

    /// Makes room for rows `ids` beside those there are, and gives the place of each.
    pub(crate) fn places(&mut self, device: &Device, ids: &[i32]) -> (Vec<usize>, &mut [f32]) {
        let mut all = self.ids.clone();
        all.extend(ids.iter().map(|&id| id as u32));
        all.sort_unstable();
        all.dedup();
        if all.len() > self.ids.len() {
            let mut values = device.zeros::<f32>(all.len() * self.d);
            for (id, to) in all.iter().zip(values.chunks_exact_mut(self.d)) {
                if let Some(from) = self.row(*id) {
                    to.copy_from_slice(from);
                }
            }
            (self.ids, self.values) = (all, values);
        }
        let places = ids.iter().filter_map(|&id| self.ids.binary_search(&(id as u32)).ok()).collect();
        let n = self.ids.len() * self.d;
        (places, &mut self.values[..n])
    }
}
