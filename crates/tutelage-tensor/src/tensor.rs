//! A shape and shared, contiguous storage.

use std::sync::Arc;

use half::bf16;

use crate::{Buffer, DType, Device, Element};

/// A contiguous, row-major array. Cloning shares the storage.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    F32(Arc<Buffer<f32>>),
    Bf16(Arc<Buffer<bf16>>),
}

impl Tensor {
    /// Wraps a buffer.
    ///
    /// # Panics
    /// When `shape` does not hold exactly the buffer's elements.
    pub fn new<T: Element>(shape: impl Into<Vec<usize>>, buffer: Buffer<T>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), buffer.len(), "shape {shape:?} over {buffer:?}");
        // `Any` resolves the sealed element type without unsafe code.
        let mut held: Option<Buffer<T>> = Some(buffer);
        let any: &mut dyn std::any::Any = &mut held;
        let data = if let Some(slot) = any.downcast_mut::<Option<Buffer<f32>>>() {
            slot.take().map(|b| Data::F32(Arc::new(b)))
        } else if let Some(slot) = any.downcast_mut::<Option<Buffer<bf16>>>() {
            slot.take().map(|b| Data::Bf16(Arc::new(b)))
        } else {
            None
        };
        match data {
            Some(data) => Self { shape, data },
            None => unreachable!("Element is sealed to f32 and bf16"),
        }
    }

    /// An f32 tensor with these values.
    pub fn from_f32(device: &Device, shape: impl Into<Vec<usize>>, values: &[f32]) -> Self {
        let mut buffer = device.buffer(values.len());
        buffer.copy_from_slice(values);
        Self::new(shape, buffer)
    }

    /// A tensor of `dtype` with these values, rounded if need be.
    pub fn rounded(device: &Device, shape: impl Into<Vec<usize>>, values: &[f32], dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::from_f32(device, shape, values),
            DType::Bf16 => {
                let mut buffer = device.buffer::<bf16>(values.len());
                for (out, &value) in buffer.iter_mut().zip(values) {
                    *out = Element::from_f32(value);
                }
                Self::new(shape, buffer)
            }
        }
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::Bf16(_) => DType::Bf16,
        }
    }

    /// `(rows, columns)` of a matrix.
    ///
    /// # Panics
    /// When the tensor has another rank than two.
    pub fn dims2(&self) -> (usize, usize) {
        match self.shape[..] {
            [rows, columns] => (rows, columns),
            _ => panic!("expected a matrix, found shape {:?}", self.shape),
        }
    }

    /// The elements, as `T`.
    ///
    /// # Panics
    /// When the tensor holds another type.
    pub fn slice<T: Element>(&self) -> &[T] {
        let any: &dyn std::any::Any = match &self.data {
            Data::F32(buffer) => buffer,
            Data::Bf16(buffer) => buffer,
        };
        match any.downcast_ref::<Arc<Buffer<T>>>() {
            Some(buffer) => buffer,
            None => panic!("expected {:?}, found {:?}", T::DTYPE, self.dtype()),
        }
    }

    /// The elements for writing, if no one else shares them.
    pub(crate) fn slice_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        let any: &mut dyn std::any::Any = match &mut self.data {
            Data::F32(buffer) => buffer,
            Data::Bf16(buffer) => buffer,
        };
        any.downcast_mut::<Arc<Buffer<T>>>().and_then(Arc::get_mut).map(|buffer| &mut buffer[..])
    }

    /// A copy of the elements, widened.
    pub fn to_vec(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(buffer) => buffer.to_vec(),
            Data::Bf16(buffer) => buffer.iter().map(|&x| Element::to_f32(x)).collect(),
        }
    }

    /// Matrices of one width, end to end.
    ///
    /// # Panics
    /// When there are none, or their widths or types differ.
    pub fn stack(device: &Device, parts: &[Tensor]) -> Tensor {
        fn copy<T: Element>(device: &Device, parts: &[Tensor]) -> Tensor {
            let (_, columns) = parts[0].dims2();
            let t: usize = parts.iter().map(|part| part.dims2().0).sum();
            let mut out = device.buffer::<T>(t * columns);
            let mut rest = &mut out[..];
            for part in parts {
                let (own, others) = rest.split_at_mut(part.dims2().0 * columns);
                own.copy_from_slice(part.slice::<T>());
                rest = others;
            }
            Tensor::new([t, columns], out)
        }
        match parts[0].dtype() {
            DType::F32 => copy::<f32>(device, parts),
            DType::Bf16 => copy::<bf16>(device, parts),
        }
    }

    /// A copy of some rows of a matrix, `[n, columns]`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn rows(&self, device: &Device, rows: &[usize]) -> Tensor {
        fn copy<T: Element>(from: &Tensor, device: &Device, rows: &[usize]) -> Tensor {
            let (_, columns) = from.dims2();
            let mut out = device.buffer::<T>(rows.len() * columns);
            for (to, &row) in out.chunks_exact_mut(columns.max(1)).zip(rows) {
                to.copy_from_slice(&from.slice::<T>()[row * columns..][..columns]);
            }
            Tensor::new([rows.len(), columns], out)
        }
        match self.dtype() {
            DType::F32 => copy::<f32>(self, device, rows),
            DType::Bf16 => copy::<bf16>(self, device, rows),
        }
    }

    /// `self + other`, in place where the storage is not shared.
    pub(crate) fn add(mut self, other: &Tensor, device: &Device) -> Tensor {
        assert_eq!(self.shape, other.shape, "sum of gradients of different shapes");
        match self.dtype() {
            DType::F32 => add_into::<f32>(&mut self, other, device),
            DType::Bf16 => add_into::<bf16>(&mut self, other, device),
        }
        self
    }
}

fn add_into<T: Element>(target: &mut Tensor, other: &Tensor, device: &Device) {
    const BLOCK: usize = 1 << 14;
    if target.slice_mut::<T>().is_none() {
        let mut copy = device.buffer::<T>(target.slice::<T>().len());
        copy.copy_from_slice(target.slice::<T>());
        *target = Tensor::new(target.shape.clone(), copy);
    }
    let other = other.slice::<T>();
    if let Some(out) = target.slice_mut::<T>() {
        device.for_each_block(out, BLOCK, |index, block| {
            for (a, &b) in block.iter_mut().zip(&other[index * BLOCK..]) {
                *a = T::from_f32(a.to_f32() + b.to_f32());
            }
        });
    }
}
