//! The loop over blocks of the vocabulary, on tiles (AMX) in bf16: no logits in memory.
//!
//! An objective in softmax form ([`SoftmaxObjective`]) needs sums over a row before it has gradients, so the output
//! layer is multiplied twice: sums are taken from the tiles of the first product as they are finished, gradients from
//! those of the second. The gradients of one block of the vocabulary stay in the caches until they are multiplied back.
//! A product more costs less than logits that are written and read (docs/LOG.md). A live teacher's logits are
//! multiplied out twice too, for a block at a time.

mod gradient;
mod picks;
mod rows;
mod sums;

use half::bf16;

use self::gradient::Shifts;
use self::picks::Picks;
use self::rows::Rows;
use self::sums::State;
use super::{LossMemory, SoftmaxObjective, TeacherMember};
use crate::{DType, Device, Grads, Isa, ParamId, Params, Tensor};

/// Rows that are handled together.
const ROWS: usize = 2048;
/// Entries of the vocabulary in a block.
const COLUMNS: usize = 2048;
/// Entries of a block whose sums are taken by one thread at a time.
const GROUP: usize = 256;
/// Rows that a task handles of what is a little work for each row.
const ROWS_A_TASK: usize = 64;
/// An exponent that stands for minus infinity, of which instructions would make no numbers.
const MISSING: f32 = -1e30;

/// Elements from a row to the next in an array of `width` columns: rows that begin on one place of their pages would push
/// one another out of the caches.
fn columns(width: usize) -> usize {
    width.next_multiple_of(32) + 32
}

/// Whether this is the machine, and these are the types of the student's hidden states and of a teacher's.
pub(super) fn suits(isa: Isa, student: DType, teacher: DType) -> bool {
    (isa, student, teacher) == (Isa::Amx, DType::Bf16, DType::Bf16)
}

/// See [`super::LossMemory::bytes`].
pub(super) fn bytes(of: LossMemory, backward: bool) -> usize {
    let (rows, width) = (of.t.min(ROWS), of.vocabulary.min(COLUMNS));
    // Hidden states as left tiles, and for the way back as right ones, with f32 sums of their gradients.
    let hidden = rows * of.d_model * if backward { 2 + 2 + 4 } else { 2 };
    let gradients = if backward { 2 * rows * columns(width) } else { 0 };
    hidden + gradients + 4 * width.div_ceil(GROUP) * rows * State::width(of.taught)
}

/// Sums of the objective's terms over all rows; with `backward`, also the gradients.
pub(super) fn run(
    params: &Params,
    head: ParamId,
    hidden: &Tensor,
    teacher: Option<&TeacherMember<'_>>,
    objective: &dyn SoftmaxObjective,
    n_terms: usize,
    mut backward: Option<(&mut Grads, &mut Tensor)>,
) -> Vec<f64> {
    let device = params.device();
    let (t, d) = hidden.dims2();
    let taught = teacher.is_some();
    let pair = objective.pair(taught);
    let mut totals = vec![0.0; n_terms];
    for start in (0..t).step_by(ROWS) {
        let n = ROWS.min(t - start);
        let hidden = &hidden.slice::<bf16>()[start * d..][..n * d];
        let rows = Rows::new((params, head), hidden, teacher, start);
        let mut picks = Picks::new(device, rows.groups(), n, |row, picks| objective.picks(start + row, taught, picks));
        let sums = rows.sums(pair, &mut picks);
        let terms = terms(device, n_terms, &picks, |row, terms| {
            objective.terms(start + row, taught, sums[row], picks.logits(row), terms);
        });
        for row in terms.chunks_exact(n_terms) {
            totals.iter_mut().zip(row).for_each(|(total, term)| *total += term);
        }
        if let Some((grads, d_hidden)) = &mut backward {
            let shift = |(row, &sums)| match picks.is_learned(row) {
                true => Shifts::new(sums, pair),
                false => Shifts::NOTHING,
            };
            let shifts: Vec<Shifts> = sums.iter().enumerate().map(shift).collect();
            let Some(dx) = d_hidden.slice_mut::<bf16>() else {
                unreachable!("the hidden gradient is not shared before the pass")
            };
            rows.gradients(pair, &shifts, &mut picks, grads.out(head), &mut dx[start * d..][..n * d]);
        }
    }
    totals
}

/// The terms of each row, `[rows, n_terms]`.
fn terms(device: &Device, n_terms: usize, picks: &Picks, of_row: impl Fn(usize, &mut [f64]) + Sync + Send) -> Vec<f64> {
    let mut terms = vec![0.0; picks.n_rows() * n_terms];
    device.for_each_block(&mut terms, ROWS_A_TASK * n_terms, |index, block| {
        for (row, terms) in (index * ROWS_A_TASK..).zip(block.chunks_exact_mut(n_terms)) {
            if picks.is_learned(row) {
                of_row(row, terms);
            }
        }
    });
    terms
}
