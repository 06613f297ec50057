//! Sums of a row's exponentials, from the tiles of its logits.
//!
//! Exponentials are powers of two against a reference that each row and group of columns has for itself: the largest
//! exponent so far, or up to 2^32 times smaller. So the sums are rarely scaled, and neither overflow nor vanish.

use std::arch::x86_64::*;
use std::f64::consts::LN_2;

use super::picks::Passing;
use super::{GROUP, MISSING};
use crate::Buffer;
use crate::device::DisjointOut;
use crate::matmul::epilogue::{At, Epilogue};
use crate::simd::{LANES, PairSums, SoftmaxPair, exp2, prefetch_lines};

/// How far above its reference an exponent may be.
const HEADROOM: f32 = 32.0;

/// Registers of a softmax's state: the reference in all lanes, the sum.
const ONE: usize = 2;
/// Registers where there are two: those of each, and what the second softmax weighs.
const PAIR: usize = 6;

/// The state of all rows, `[groups, rows, registers of 16]`.
pub(super) struct State {
    lanes: Buffer<f32>,
    groups: usize,
    is_pair: bool,
}

impl State {
    /// Floats of a row in a group.
    pub(super) fn width(is_pair: bool) -> usize {
        LANES * if is_pair { PAIR } else { ONE }
    }

    pub(super) fn new(mut lanes: Buffer<f32>, groups: usize, is_pair: bool) -> Self {
        for state in lanes.chunks_exact_mut(Self::width(is_pair)) {
            state.fill(0.0);
            for softmax in state.chunks_exact_mut(LANES * ONE).take(if is_pair { 2 } else { 1 }) {
                softmax[..LANES].fill(MISSING);
            }
        }
        Self { lanes, groups, is_pair }
    }

    pub(super) fn lanes(&mut self) -> DisjointOut<'_, f32> {
        DisjointOut::new(&mut self.lanes)
    }

    /// The sums of a row, over its groups.
    pub(super) fn row(&self, row: usize) -> PairSums {
        let width = Self::width(self.is_pair);
        let n_rows = self.lanes.len() / width / self.groups;
        let groups = || (0..self.groups).map(|group| &self.lanes[(group * n_rows + row) * width..][..width]);
        // Over all groups, for the softmax whose state begins at register `first`: its largest reference, and the sum of
        // register `of` against that.
        let reference = |first: usize| {
            let references = groups().map(|state| state[first * LANES]);
            references.fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
        };
        let sum = |first: usize, of: usize| -> f64 {
            let reference = f64::from(reference(first));
            let sums = groups().map(|state| {
                let lanes: f64 = state[of * LANES..][..LANES].iter().map(|&x| f64::from(x)).sum();
                lanes * (f64::from(state[first * LANES]) - reference).exp2()
            });
            sums.sum()
        };
        let lse = |first: usize| ((f64::from(reference(first)) + sum(first, first + 1).log2()) * LN_2) as f32;
        if !self.is_pair {
            return PairSums::of_one(lse(0));
        }
        let sum_b = sum(2, 3);
        let [b_dot_b, b_dot_a] = [4, 5].map(|of| (sum(2, of) / sum_b) as f32);
        PairSums { lse_a: lse(0), lse_b: lse(2), b_dot_b, b_dot_a }
    }
}

/// Takes logits, and if `TAUGHT` a teacher's beside them; adds to the state.
pub(super) struct Sums<'a, const TAUGHT: bool> {
    pub(super) lanes: DisjointOut<'a, f32>,
    pub(super) n_rows: usize,
    pub(super) pair: SoftmaxPair,
    pub(super) picks: Passing<'a>,
}

impl<const TAUGHT: bool> Sums<'_, TAUGHT> {
    fn state(&self, row: usize, column: usize) -> *mut f32 {
        self.lanes.pointer().wrapping_add((column / GROUP * self.n_rows + row) * State::width(TAUGHT))
    }
}

impl<const TAUGHT: bool> Epilogue for Sums<'_, TAUGHT> {
    #[inline(always)]
    unsafe fn row(&self, at: At, sums: [__m512; 2]) {
        // SAFETY: the caller's promise; a group's columns are one block's, so that no other task has this state.
        unsafe {
            let a = existing(at, sums);
            if self.picks.may_pick(at) {
                self.picks.keep(at, &std::mem::transmute::<[__m512; 2], [f32; 32]>(a));
            }
            let state = self.state(at.row, at.column);
            let [e0, e1] = exponentials(state, ONE - 1, a, self.pair.scale_a);
            add(state.add(LANES), _mm512_add_ps(e0, e1));
            if TAUGHT {
                let b = existing(at, [_mm512_load_ps(at.beside), _mm512_load_ps(at.beside.add(LANES))]);
                let state = state.add(ONE * LANES);
                let [e0, e1] = exponentials(state, PAIR - ONE - 1, b, self.pair.scale_b);
                add(state.add(LANES), _mm512_add_ps(e0, e1));
                for (register, x) in [(2, b), (3, a)] {
                    let to = state.add(register * LANES);
                    let sum = _mm512_fmadd_ps(e1, x[1], _mm512_load_ps(to));
                    _mm512_store_ps(to, _mm512_fmadd_ps(e0, x[0], sum));
                }
            }
        }
    }

    #[inline(always)]
    fn fetch(&self, row: usize, column: usize) {
        prefetch_lines(self.state(row, column), State::width(TAUGHT) / LANES);
    }
}

/// Logits of the columns that exist, [`MISSING`] of the others.
#[inline(always)]
unsafe fn existing(at: At, [low, high]: [__m512; 2]) -> [__m512; 2] {
    // SAFETY: the caller's promise: AVX-512.
    unsafe {
        let (masks, missing) = (at.masks(), _mm512_set1_ps(MISSING));
        [_mm512_mask_blend_ps(masks[0], missing, low), _mm512_mask_blend_ps(masks[1], missing, high)]
    }
}

/// Exponentials of `scale * x` against the reference of a state, which is raised if need be: then its `n_sums` are
/// scaled.
#[inline(always)]
unsafe fn exponentials(state: *mut f32, n_sums: usize, x: [__m512; 2], scale: f32) -> [__m512; 2] {
    // SAFETY: the caller's promise: AVX-512, and a state of so many registers.
    unsafe {
        let scale = _mm512_set1_ps(scale * std::f32::consts::LOG2_E);
        let (t0, t1) = (_mm512_mul_ps(x[0], scale), _mm512_mul_ps(x[1], scale));
        let mut reference = _mm512_load_ps(state);
        let limit = _mm512_add_ps(reference, _mm512_set1_ps(HEADROOM));
        let largest = _mm512_max_ps(t0, t1);
        if _mm512_cmp_ps_mask::<_CMP_GT_OQ>(largest, limit) != 0 {
            raise(state, n_sums, &std::mem::transmute::<__m512, [f32; LANES]>(largest));
            reference = _mm512_load_ps(state);
        }
        [exp2(_mm512_sub_ps(t0, reference)), exp2(_mm512_sub_ps(t1, reference))]
    }
}

/// # Safety
/// A state of `1 + n_sums` registers.
#[cold]
#[inline(never)]
unsafe fn raise(state: *mut f32, n_sums: usize, exponents: &[f32; LANES]) {
    // SAFETY: the caller's promise.
    let (reference, sums) = unsafe { std::slice::from_raw_parts_mut(state, (1 + n_sums) * LANES) }.split_at_mut(LANES);
    let largest = exponents.iter().fold(f32::NEG_INFINITY, |a, &b| if a > b { a } else { b });
    let factor = (reference[0] - largest).exp2();
    sums.iter_mut().for_each(|sum| *sum *= factor);
    reference.fill(largest);
}

#[inline(always)]
unsafe fn add(to: *mut f32, x: __m512) {
    // SAFETY: the caller's promise: AVX-512, and an aligned register there.
    unsafe { _mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), x)) };
}
