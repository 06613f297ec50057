//! Attention of tokens over the cached keys and values of many sequences.
//!
//! Keys and values lie in pages of [`PAGE`] tokens, so that sequences grow without being moved and share what they have in
//! common. Rows of a prompt go block by block as in training; a row that was just drawn goes over its pages by itself. Which of
//! the two a row is decides its bits, and nothing else does: not the rows beside it, not the number of threads, not the parts
//! in which a prompt comes, if these begin at pages.

mod decode;
#[cfg(target_arch = "x86_64")]
mod over_avx512;
mod pages;
mod prefill;

use std::collections::HashSet;
use std::ops::Range;

use super::super::by_dtype;
use super::{AttentionShape, RopeTable};
use crate::device::DisjointOut;
use crate::{DType, Device, Element, Tensor};
pub(super) use pages::Pages;

/// Tokens of a page.
pub const PAGE: usize = 64;

/// Rows of one sequence.
#[derive(Debug, Clone)]
pub struct Span<'a> {
    /// Which rows of the batch.
    pub rows: Range<usize>,
    /// Tokens of the sequence before them.
    pub first: usize,
    /// Pages of the sequence, enough for these rows too.
    pub pages: &'a [u32],
    /// Whether these are rows of a prompt.
    pub is_prompt: bool,
}

impl Span<'_> {
    /// Tokens of the sequence with these rows.
    pub(super) fn end(&self) -> usize {
        self.first + self.rows.len()
    }
}

/// Rotated keys, and values, in pages.
#[derive(Debug)]
pub struct KvPool {
    n_pages: usize,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    shape: AttentionShape,
    keys: Tensor,
    values: Tensor,
}

/// Columns of a head as they are kept: padded with zeros to whole tiles.
fn padded(shape: AttentionShape) -> usize {
    shape.d_head.next_multiple_of(32)
}

impl KvPool {
    /// Empty pages for layers of these shapes, of the activations' type.
    pub fn new(device: &Device, layers: &[AttentionShape], n_pages: usize, dtype: DType) -> Self {
        let layer = |&shape: &AttentionShape| {
            let size = n_pages * shape.n_kv_heads * padded(shape) * PAGE;
            let zeros = || by_dtype!(dtype, T => Tensor::new([size], device.zeros::<T>(size)));
            Layer { shape, keys: zeros(), values: zeros() }
        };
        Self { n_pages, layers: layers.iter().map(layer).collect() }
    }

    /// Copies what a page holds to another.
    ///
    /// # Panics
    /// When there is no such page.
    pub fn copy(&mut self, from: u32, to: u32) {
        for Layer { shape, keys, values } in &mut self.layers {
            let size = shape.n_kv_heads * padded(*shape) * PAGE;
            for tensor in [keys, values] {
                by_dtype!(tensor.dtype(), T => {
                    let Some(all) = tensor.slice_mut::<T>() else {
                        unreachable!("a pool's arrays are shared with nobody")
                    };
                    all.copy_within(from as usize * size..(from as usize + 1) * size, to as usize * size);
                });
            }
        }
    }

    /// Bytes of a page in all layers.
    pub fn page_bytes(layers: &[AttentionShape], dtype: DType) -> usize {
        layers.iter().map(|&shape| 2 * shape.n_kv_heads * padded(shape) * PAGE * dtype.size()).sum()
    }

    /// Stores the keys and values of the rows of `qkv` and attends; `places` are the rows' places in the rotary table.
    /// Activations `[t, qkv_width]` -> `[t, n_heads * d_head]`; rows of no span give zeros.
    ///
    /// # Panics
    /// When rows overlap, a page is missing, or two spans write to one page.
    pub fn attend(
        &mut self,
        device: &Device,
        layer: usize,
        qkv: &Tensor,
        (rope, places): (&RopeTable, &[i32]),
        spans: &[Span<'_>],
    ) -> Tensor {
        let (t, width) = qkv.dims2();
        let Layer { shape, keys, values } = &mut self.layers[layer];
        let shape = *shape;
        assert_eq!((t, width), (places.len(), shape.qkv_width()), "rows and columns of qkv");
        check(spans, t, self.n_pages);
        by_dtype!(qkv.dtype(), T => {
            let rows = Rows { shape, rope, places, qkv: qkv.slice::<T>() };
            let (Some(keys), Some(values)) = (keys.slice_mut::<T>(), values.slice_mut::<T>()) else {
                unreachable!("a pool's arrays are shared with nobody")
            };
            device.timed("cache", || pages::store(device, &rows, spans, keys, values));
            let pages = Pages { shape, keys, values };
            let mut out = device.zeros::<T>(t * shape.out_width());
            let (prompts, drawn): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.is_prompt);
            let to = DisjointOut::new(&mut out);
            if !prompts.is_empty() {
                device.timed("attention, prompts", || T::prompts(device, &rows, &pages, &prompts, &to));
            }
            if !drawn.is_empty() {
                device.timed("attention, drawn", || decode::decode(device, &rows, &pages, &drawn, &to));
            }
            Tensor::new([t, shape.out_width()], out)
        })
    }
}

/// The rows of a batch.
pub(super) struct Rows<'a, T> {
    pub(super) shape: AttentionShape,
    pub(super) rope: &'a RopeTable,
    pub(super) places: &'a [i32],
    pub(super) qkv: &'a [T],
}

impl<T: Element> Rows<'_, T> {
    /// A head's columns of a row, widened, rotated and multiplied by `scale`.
    fn rotated(&self, row: usize, column: usize, scale: f32, out: &mut [f32]) {
        for (to, from) in out.iter_mut().zip(&self.qkv[row * self.shape.qkv_width() + column..]) {
            *to = from.to_f32();
        }
        self.rope.rotate(out, self.places[row]);
        out.iter_mut().for_each(|x| *x *= scale);
    }
}

/// What the kernels rely on.
fn check(spans: &[Span<'_>], n_rows: usize, n_pages: usize) {
    let mut last = 0;
    let mut written = HashSet::new();
    for span in spans {
        assert!(span.rows.start >= last && span.rows.end <= n_rows, "rows {:?} of a batch of {n_rows}", span.rows);
        last = span.rows.end;
        let end = span.end().div_ceil(PAGE);
        assert!(span.pages.len() >= end, "{} pages for {} tokens", span.pages.len(), span.end());
        for (i, &page) in span.pages[..end].iter().enumerate() {
            assert!((page as usize) < n_pages, "page {page} of {n_pages}");
            let is_read_only = i < span.first / PAGE;
            assert!(is_read_only || written.insert(page), "page {page} is written by two sequences");
        }
    }
}

/// Which kernels a type of activations has for prompts.
trait Prompts: Element {
    fn prompts(
        device: &Device,
        rows: &Rows<'_, Self>,
        pages: &Pages<'_, Self>,
        spans: &[&Span<'_>],
        out: &DisjointOut<'_, Self>,
    ) {
        prefill::prompts(device, rows, pages, spans, out);
    }
}

impl Prompts for f32 {}

impl Prompts for half::bf16 {
    #[cfg(target_arch = "x86_64")]
    fn prompts(
        device: &Device,
        rows: &Rows<'_, Self>,
        pages: &Pages<'_, Self>,
        spans: &[&Span<'_>],
        out: &DisjointOut<'_, Self>,
    ) {
        match device.isa() {
            crate::Isa::Amx => super::tiles::prompts(device, rows, pages, spans, out),
            _ => prefill::prompts(device, rows, pages, spans, out),
        }
    }
}
