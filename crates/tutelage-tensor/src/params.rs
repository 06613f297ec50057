//! A model's weights: f32 masters, and the copies that products read.

use std::sync::OnceLock;

use half::bf16;

use crate::matmul::{Bits, PackedRhs, QuantizedRhs, Rhs};
use crate::{Buffer, Device, Element, Precision};

/// Index of a parameter in its [`Params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub(crate) usize);

impl ParamId {
    /// Position in creation order.
    pub fn index(self) -> usize {
        self.0
    }
}

/// One named array of weights.
#[derive(Debug)]
pub struct Param {
    name: String,
    shape: Vec<usize>,
    /// Number of weights.
    len: usize,
    /// Whether rows are looked up and nothing else, so that a step's gradient has few of them.
    table: bool,
    /// Whether it has no gradient and is never updated.
    fixed: bool,
    /// Empty where the weight does not change and is packed.
    master: Buffer<f32>,
    /// For `x W^T`.
    forward: OnceLock<WeightCopy>,
    /// For `dy W`.
    backward: OnceLock<WeightCopy>,
}

#[derive(Debug)]
enum WeightCopy {
    Packed(PackedRhs),
    /// Codes of 8 or 4 bits, for serving.
    Quantized(QuantizedRhs),
    /// f32 holding bf16 values, for machines whose products run in f32.
    Rounded(Buffer<f32>),
}

impl Param {
    /// Name in the model's file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The f32 master values.
    ///
    /// # Panics
    /// When the parameters are frozen and this is a matrix that is multiplied.
    pub fn values(&self) -> &[f32] {
        assert_eq!(self.master.len(), self.len, "parameter '{}' is frozen: its f32 values are not kept", self.name);
        &self.master
    }

    /// Number of weights.
    pub fn n_weights(&self) -> usize {
        self.len
    }

    /// Whether this is a matrix, and so multiplied, decayed and packed.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Whether it has no gradient and is never updated, see [`Params::fixed`].
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether rows are looked up and nothing else.
    pub fn is_table(&self) -> bool {
        self.table
    }

    fn dims2(&self) -> (usize, usize) {
        match self.shape[..] {
            [n, k] => (n, k),
            _ => panic!("parameter '{}' of shape {:?} is not a matrix", self.name, self.shape),
        }
    }
}

/// All parameters of one model on one device, in creation order.
#[derive(Debug)]
pub struct Params {
    device: Device,
    precision: Precision,
    /// Whether what is added keeps only what a forward product reads.
    frozen: bool,
    /// Whether what is added has no gradient.
    fixing: bool,
    /// Whether rows of forward products must not depend on the rows beside them.
    serving: bool,
    /// Bits of matrices that are multiplied, where those are fewer.
    bits: Option<Bits>,
    entries: Vec<Param>,
}

impl Params {
    /// No parameters yet.
    pub fn new(device: &Device, precision: Precision) -> Self {
        Self {
            device: device.clone(),
            precision,
            frozen: false,
            fixing: false,
            serving: false,
            bits: None,
            entries: Vec::new(),
        }
    }

    /// The same for a model that will not learn: of matrices that are multiplied, only what a forward product
    /// reads is kept, where that is not the f32 values themselves. The same bits at less than half the memory.
    pub fn frozen(device: &Device, precision: Precision) -> Self {
        let packs = precision == Precision::Bf16 && device.isa().has_bf16_products();
        Self { frozen: packs, ..Self::new(device, precision) }
    }

    /// The same with matrices in codes of so many bits, for a model that is only served; activations are bf16. Matrices
    /// whose rows are looked up too keep those, and are multiplied in 8 bits, as are those of [`Self::push_head`].
    pub fn quantized(device: &Device, bits: Bits) -> Self {
        Self { bits: Some(bits), serving: true, ..Self::frozen(device, Precision::Bf16) }
    }

    /// The same for a model beside whose weights others learn ([`Params::learn`]): gradients pass through its weights to
    /// what comes before them, and they have none themselves. Of matrices that are multiplied, the two packed copies are
    /// kept, where products read those.
    pub fn fixed(device: &Device, precision: Precision) -> Self {
        Self { fixing: true, ..Self::frozen(device, precision) }
    }

    /// From now on a row of a forward product has the same bits whatever rows are beside it, and however many; packed
    /// operands see to that anyway.
    pub fn serve(&mut self) {
        self.serving = true;
    }

    /// From now on, what is added learns.
    pub fn learn(&mut self) {
        (self.frozen, self.fixing) = (false, false);
    }

    /// Adds a matrix whose rows are looked up, not multiplied: its f32 values are always kept.
    ///
    /// # Panics
    /// When `values` does not fill `shape`.
    pub fn push_table(&mut self, name: impl Into<String>, shape: [usize; 2], values: &[f32]) -> ParamId {
        let id = self.push_looked_up(name, shape, values);
        self.entries[id.0].table = true;
        id
    }

    /// Adds a matrix whose rows are looked up and that is multiplied too: its f32 values are always kept.
    ///
    /// # Panics
    /// When `values` does not fill `shape`.
    pub fn push_looked_up(&mut self, name: impl Into<String>, shape: [usize; 2], values: &[f32]) -> ParamId {
        let before = (std::mem::replace(&mut self.frozen, false), self.bits.take());
        let id = self.push(name, shape, values);
        (self.frozen, self.bits) = before;
        id
    }

    /// Adds the matrix that logits come from: errors in it are errors of the model's opinion, so that it has 8 bits at
    /// least.
    ///
    /// # Panics
    /// When `values` does not fill `shape`.
    pub fn push_head(&mut self, name: impl Into<String>, shape: [usize; 2], values: &[f32]) -> ParamId {
        let before = self.bits;
        self.bits = before.map(|_| Bits::Eight);
        let id = self.push(name, shape, values);
        self.bits = before;
        id
    }

    /// Adds a parameter.
    ///
    /// # Panics
    /// When `values` does not fill `shape`.
    pub fn push(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>, values: &[f32]) -> ParamId {
        let (name, shape) = (name.into(), shape.into());
        assert_eq!(shape.iter().product::<usize>(), values.len(), "parameter '{name}' of shape {shape:?}");
        let (len, forward, backward) = (values.len(), OnceLock::new(), OnceLock::new());
        let kept = match (&shape[..], self.bits) {
            (&[n, k], Some(bits)) => {
                let quantized = QuantizedRhs::from_rows_nk(&self.device, (n, k), values, bits);
                let _ = forward.set(WeightCopy::Quantized(quantized));
                &[]
            }
            (&[n, k], None) if self.frozen => {
                let packed = PackedRhs::from_rows_nk(&self.device, n, k, values);
                let _ = forward.set(WeightCopy::Packed(packed));
                if self.fixing {
                    let packed = PackedRhs::from_rows_kn(&self.device, k, n, values);
                    let _ = backward.set(WeightCopy::Packed(packed));
                }
                &[]
            }
            _ => values,
        };
        let mut master = self.device.buffer(kept.len());
        master.copy_from_slice(kept);
        let fixed = self.fixing;
        self.entries.push(Param { name, shape, len, table: false, fixed, master, forward, backward });
        ParamId(self.entries.len() - 1)
    }

    /// Takes away all but the first `n` parameters.
    pub fn truncate(&mut self, n: usize) {
        self.entries.truncate(n);
    }

    /// Where the parameters live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether matrices are in codes of a few bits.
    pub(crate) fn is_quantized(&self) -> bool {
        self.bits.is_some()
    }

    /// What products with them are computed in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// One parameter.
    pub fn get(&self, id: ParamId) -> &Param {
        &self.entries[id.0]
    }

    /// All parameters with their ids, in creation order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ParamId, &Param)> {
        self.entries.iter().enumerate().map(|(i, p)| (ParamId(i), p))
    }

    /// The parameters that learn, in creation order.
    pub fn learned(&self) -> impl Iterator<Item = (ParamId, &Param)> {
        self.iter().filter(|(_, param)| !param.fixed)
    }

    /// Number of weights in all.
    pub fn n_weights(&self) -> usize {
        self.entries.iter().map(|p| p.len).sum()
    }

    /// The master values for writing; copies made from them are forgotten.
    pub fn values_mut(&mut self, id: ParamId) -> &mut [f32] {
        let param = &mut self.entries[id.0];
        assert_eq!(param.master.len(), param.len, "parameter '{}' is frozen", param.name);
        param.forward.take();
        param.backward.take();
        &mut param.master
    }

    /// The master values for an update, and both packed copies if they exist, to be written with them; other copies
    /// are forgotten.
    pub(crate) fn for_update(&mut self, id: ParamId) -> (&mut [f32], Option<[&mut PackedRhs; 2]>) {
        let param = &self.entries[id.0];
        let both = [&param.forward, &param.backward].map(|copy| matches!(copy.get(), Some(WeightCopy::Packed(_))));
        if both != [true, true] {
            return (self.values_mut(id), None);
        }
        let param = &mut self.entries[id.0];
        let copies = [&mut param.forward, &mut param.backward].map(|copy| match copy.get_mut() {
            Some(WeightCopy::Packed(packed)) => packed,
            _ => unreachable!("both were just found to be packed"),
        });
        (&mut param.master, Some(copies))
    }

    /// Right operand of `x W^T` for `W [n, k]`.
    pub(crate) fn forward_rhs(&self, id: ParamId) -> Rhs<'_> {
        let param = self.get(id);
        let (n, k) = param.dims2();
        let pack = || PackedRhs::from_rows_nk(&self.device, n, k, &param.master[..]);
        match self.rhs(param, &param.forward, (1, k), pack) {
            Rhs::F32 { data, .. } if self.serving => Rhs::RowsF32(data),
            rhs => rhs,
        }
    }

    /// Right operand of `dy W` for `W [n, k]`.
    pub(crate) fn backward_rhs(&self, id: ParamId) -> Rhs<'_> {
        let param = self.get(id);
        let (n, k) = param.dims2();
        self.rhs(param, &param.backward, (k, 1), || PackedRhs::from_rows_kn(&self.device, k, n, param.values()))
    }

    fn rhs<'a>(
        &'a self,
        param: &'a Param,
        packed: &'a OnceLock<WeightCopy>,
        (row_stride, column_stride): (usize, usize),
        pack: impl FnOnce() -> PackedRhs,
    ) -> Rhs<'a> {
        if self.precision == Precision::F32 {
            return Rhs::F32 { data: &param.master, row_stride, column_stride };
        }
        let copy = if self.bits.is_some() {
            packed.get_or_init(|| {
                let quantize = || QuantizedRhs::from_rows_nk(&self.device, param.dims2(), param.values(), Bits::Eight);
                WeightCopy::Quantized(self.device.timed("weight packing", quantize))
            })
        } else if self.device.isa().has_bf16_products() {
            packed.get_or_init(|| WeightCopy::Packed(self.device.timed("weight packing", pack)))
        } else {
            // One copy serves both orientations: they differ in strides only.
            param.forward.get_or_init(|| {
                let mut rounded = self.device.buffer::<f32>(param.master.len());
                for (to, &from) in rounded.iter_mut().zip(param.master.iter()) {
                    *to = <bf16 as Element>::from_f32(from).to_f32();
                }
                WeightCopy::Rounded(rounded)
            })
        };
        match copy {
            WeightCopy::Packed(packed) => Rhs::Packed(packed),
            WeightCopy::Quantized(quantized) => Rhs::Quantized(quantized),
            WeightCopy::Rounded(data) => Rhs::F32 { data, row_stride, column_stride },
        }
    }
}
