//! Products with quantised weights: columns are widened where they are needed, and forgotten.

use std::ops::Range;

use super::{Bits, GROUP, Layout, QuantizedRhs};
#[cfg(target_arch = "x86_64")]
use super::{activations::Activations, vnni};
#[cfg(target_arch = "x86_64")]
use crate::Element;
#[cfg(target_arch = "x86_64")]
use crate::device::DisjointOut;
#[cfg(target_arch = "x86_64")]
use crate::matmul::pack::PANEL;
use crate::matmul::product::{Lhs, Out};
use crate::matmul::{rows_f32, widened};
use crate::simd::{Instructions, SimdTask};
use crate::{Device, Isa};

/// `out = a[m, k] b^T`.
pub(in crate::matmul) fn matmul(device: &Device, m: usize, a: Lhs<'_>, b: &QuantizedRhs, out: Out<'_>) {
    match (b.layout, a) {
        (_, Lhs::ColumnsF32(_)) => panic!("a left operand by columns and quantised weights"),
        #[cfg(target_arch = "x86_64")]
        (_, Lhs::Columns(_)) => panic!("a left operand by columns and quantised weights"),
        #[cfg(target_arch = "x86_64")]
        (Layout::Tiles, Lhs::Bf16(a)) => on_tiles(device, m, &Activations::new(device, b.k, a), b, out),
        #[cfg(target_arch = "x86_64")]
        (Layout::Tiles, Lhs::F32(a)) => on_tiles(device, m, &Activations::new(device, b.k, a), b, out),
        #[cfg(not(target_arch = "x86_64"))]
        (Layout::Tiles, _) => unreachable!("no other machine multiplies bytes here"),
        (Layout::Rows, Lhs::F32(a)) => on_rows(device, m, a, b, out),
        (Layout::Rows, Lhs::Bf16(a)) => on_rows(device, m, &widened(device, a), b, out),
    }
}

#[cfg(target_arch = "x86_64")]
fn on_tiles(device: &Device, m: usize, x: &Activations, b: &QuantizedRhs, out: Out<'_>) {
    match out {
        Out::F32(out) => tiles(device, m, x, b, out, |_, sum| sum),
        Out::AddF32(out) => {
            let before = out.to_vec();
            tiles(device, m, x, b, out, |at, sum| before[at] + sum);
        }
        Out::SumF32 { from, out } => tiles(device, m, x, b, out, |at, sum| from[at] + sum),
        Out::Bf16(out) => tiles(device, m, x, b, out, |_, sum| Element::from_f32(sum)),
    }
}

#[cfg(target_arch = "x86_64")]
fn tiles<T: Send>(
    device: &Device,
    m: usize,
    x: &Activations,
    b: &QuantizedRhs,
    out: &mut [T],
    value: impl Fn(usize, f32) -> T + Sync,
) {
    let (n, groups, n_panels) = (b.n, b.groups(), b.n.div_ceil(PANEL));
    let out = DisjointOut::new(out);
    let tile = b.bits.bytes(PANEL * GROUP);
    // As few panels as keep all threads at work, as many as are worth a task.
    let a_task = (n_panels / (8 * device.n_threads())).clamp(1, 32);
    device.for_each(n_panels.div_ceil(a_task), |task| {
        for index in task * a_task..((task + 1) * a_task).min(n_panels) {
            let columns = PANEL.min(n - index * PANEL);
            let scales = index * groups * PANEL..(index + 1) * groups * PANEL;
            let panel = vnni::Panel {
                bits: b.bits,
                codes: &b.codes[index * groups * tile..][..groups * tile],
                scales: &b.scales[scales.clone()],
                offsets: b.offsets.get(scales).unwrap_or_default(),
            };
            for first in (0..m).step_by(vnni::ROWS) {
                let rows = vnni::ROWS.min(m - first);
                let sums = vnni::rows(panel, x, first, rows);
                for (row, sums) in (first..first + rows).zip(&sums) {
                    let at = row * n + index * PANEL;
                    // SAFETY: tasks differ in their columns.
                    let to = unsafe { out.slice(at, columns) };
                    for (i, (to, &sum)) in to.iter_mut().zip(sums).enumerate() {
                        *to = value(at + i, sum);
                    }
                }
            }
        }
    });
}

fn on_rows(device: &Device, m: usize, a: &[f32], b: &QuantizedRhs, out: Out<'_>) {
    rows_f32::matmul(device, (m, b.n, b.k), a, &WidenedRows { b, isa: device.isa() }, out);
}

/// Rows that are widened when they are asked for.
struct WidenedRows<'a> {
    b: &'a QuantizedRhs,
    isa: Isa,
}

impl rows_f32::Right for WidenedRows<'_> {
    fn rows<'s>(&'s self, columns: Range<usize>, k: usize, room: &'s mut Vec<f32>) -> &'s [f32] {
        room.resize(columns.len() * k, 0.0);
        for (row, column) in room.chunks_exact_mut(k.max(1)).zip(columns) {
            self.isa.run(WidenRow { b: self.b, column, row });
        }
        room
    }
}

/// Widens a row of groups.
struct WidenRow<'a> {
    b: &'a QuantizedRhs,
    column: usize,
    row: &'a mut [f32],
}

impl SimdTask for WidenRow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Self { b, column, row } = self;
        let first = column * b.groups();
        for (group, to) in (first..).zip(row.chunks_mut(GROUP)) {
            let scale = b.scales[group].to_f32();
            let mut wide = [0.0f32; GROUP];
            match b.bits {
                Bits::Eight => {
                    let codes = &b.codes[group * GROUP..][..GROUP];
                    for (wide, &code) in wide.iter_mut().zip(codes) {
                        *wide = scale * (f32::from(code) - 128.0);
                    }
                }
                Bits::Four => {
                    let (codes, offset) = (&b.codes[group * GROUP / 2..][..GROUP / 2], b.offsets[group].to_f32());
                    let (low, high) = wide.split_at_mut(GROUP / 2);
                    for ((low, high), &code) in low.iter_mut().zip(high).zip(codes) {
                        *low = scale * f32::from(code & 15) + offset;
                        *high = scale * f32::from(code >> 4) + offset;
                    }
                }
            }
            to.copy_from_slice(&wide[..to.len()]);
        }
    }
}
