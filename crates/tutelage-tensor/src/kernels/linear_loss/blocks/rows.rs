//! Some rows of hidden states, and the output layer block by block.

use half::bf16;

use super::super::TeacherMember;
use super::gradient::{Gradient, Shifts};
use super::picks::Picks;
use super::sums::{State, Sums};
use super::{COLUMNS, GROUP, ROWS_A_TASK, columns};
use crate::device::DisjointOut;
use crate::matmul::epilogue::{AddF32, Epilogue, WriteF32};
use crate::matmul::{
    LeftRows, LeftTiles, Out, PackedPart, PackedRhs, Panels, Term, columns_product, product_in_blocks, round_into,
    tile_product,
};
use crate::simd::{PairSums, SoftmaxPair};
use crate::{Device, ParamId, Params};

/// Some rows of hidden states before the output layer.
pub(super) struct Rows<'a> {
    params: &'a Params,
    head: ParamId,
    /// `[n, d]`
    hidden: &'a [bf16],
    n: usize,
    d: usize,
    v: usize,
    student: Side<'a>,
    teacher: Option<Side<'a>>,
}

/// What is multiplied.
struct Side<'a> {
    hidden: LeftTiles,
    head: PackedPart<'a>,
}

impl<'a> Side<'a> {
    fn new(device: &Device, (params, head): (&'a Params, ParamId), n: usize, hidden: &[bf16]) -> Self {
        let head = PackedPart::all(params.forward_rhs(head).packed());
        Self { hidden: LeftTiles::pack(device, n, hidden.len() / n.max(1), hidden), head }
    }

    fn term(&self, block: Block) -> [Term<'_, LeftTiles>; 1] {
        [Term { left: &self.hidden, right: Panels::Of(self.head.columns(block.first, block.width)) }]
    }
}

/// Entries of the vocabulary, as many as are handled at a time.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    width: usize,
}

fn blocks(v: usize) -> impl Iterator<Item = Block> {
    (0..v).step_by(COLUMNS).map(move |first| Block { first, width: COLUMNS.min(v - first) })
}

impl<'a> Rows<'a> {
    /// Rows `start ..` of the teacher's hidden states are those of `hidden`.
    pub(super) fn new(
        (params, head): (&'a Params, ParamId),
        hidden: &'a [bf16],
        teacher: Option<&'a TeacherMember<'_>>,
        start: usize,
    ) -> Self {
        let device = params.device();
        let &[v, d] = params.get(head).shape() else { unreachable!("an output layer is a matrix") };
        let n = hidden.len() / d;
        let student = Side::new(device, (params, head), n, hidden);
        let teacher = teacher.map(|teacher| {
            let (_, d) = teacher.hidden.dims2();
            let hidden = &teacher.hidden.slice::<bf16>()[start * d..][..n * d];
            Side::new(device, (teacher.params, teacher.head), n, hidden)
        });
        Self { params, head, hidden, n, d, v, student, teacher }
    }

    /// Groups of columns whose sums are taken apart.
    pub(super) fn groups(&self) -> usize {
        self.v.min(COLUMNS).div_ceil(GROUP)
    }

    /// Sums of each row; the logits of its picks are kept.
    pub(super) fn sums(&self, pair: SoftmaxPair, picks: &mut Picks) -> Vec<PairSums> {
        let device = self.params.device();
        let (groups, n_rows, is_taught) = (self.groups(), self.n, self.teacher.is_some());
        let lanes = device.buffer(groups * n_rows * State::width(is_taught));
        let mut state = State::new(lanes, groups, is_taught);
        picks.rewind();
        for block in blocks(self.v) {
            let (lanes, picks) = (state.lanes(), picks.passing(block.first));
            device.timed("head, sums", || match is_taught {
                true => self.multiply(block, &Sums::<true> { lanes, n_rows, pair, picks }),
                false => self.multiply(block, &Sums::<false> { lanes, n_rows, pair, picks }),
            });
        }
        let mut sums = vec![PairSums::of_one(0.0); n_rows];
        device.for_each_block(&mut sums, ROWS_A_TASK, |index, block| {
            for (row, sums) in (index * ROWS_A_TASK..).zip(block) {
                *sums = state.row(row);
            }
        });
        sums
    }

    /// Adds to `dw` or writes it, and writes `dx`.
    pub(super) fn gradients(
        &self,
        pair: SoftmaxPair,
        shifts: &[Shifts],
        picks: &mut Picks,
        mut dw: Option<Out<'_>>,
        dx: &mut [bf16],
    ) {
        let (device, n, d) = (self.params.device(), self.n, self.d);
        let backward = PackedPart::all(self.params.backward_rhs(self.head).packed());
        let hidden = dw.is_some().then(|| PackedRhs::from_rows_kn(device, d, n, self.hidden));
        let mut gradient = device.buffer::<bf16>(n * columns(self.v.min(COLUMNS)));
        let mut sums = device.buffer::<f32>(n * d);
        picks.rewind();
        for block in blocks(self.v) {
            let Block { first, width } = block;
            let (out, picks) = (DisjointOut::new(&mut gradient), picks.passing(first));
            device.timed("head, gradient", || match self.teacher.is_some() {
                true => self.multiply(block, &Gradient::<true> { out, width, shifts, pair, picks }),
                false => self.multiply(block, &Gradient::<false> { out, width, shifts, pair, picks }),
            });
            let gradient = &gradient[..n * columns(width)];
            device.timed("head input gradient", || {
                let left = LeftRows::strided(device, n, (width.next_multiple_of(32), columns(width)), gradient);
                let term = [Term { left: &left, right: Panels::Of(backward.rows(first, width)) }];
                match first {
                    0 => tile_product(device, n, &term, &WriteF32 { out: DisjointOut::new(&mut sums), n: d }),
                    _ => tile_product(device, n, &term, &AddF32::to(&mut sums, d)),
                }
            });
            if let (Some(dw), Some(hidden)) = (&mut dw, &hidden) {
                device.timed("head weight gradient", || {
                    let dw = dw.part(first * d..(first + width) * d);
                    columns_product(device, (width, columns(width)), gradient, hidden, dw);
                });
            }
        }
        round_into(device, &sums, dx);
    }

    /// Hidden states by entries of the vocabulary, the teacher's beside the student's.
    fn multiply(&self, block: Block, epilogue: &impl Epilogue) {
        let student = self.student.term(block);
        let teacher = self.teacher.as_ref().map(|teacher| teacher.term(block));
        let beside = teacher.as_ref().map_or(&[][..], |term| &term[..]);
        product_in_blocks(self.params.device(), self.n, GROUP, [&student, beside], epilogue);
    }
}
