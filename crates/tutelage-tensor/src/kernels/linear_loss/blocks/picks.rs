//! Entries of the vocabulary that rows single out, met as the columns of a product go by.

use super::super::Pick;
use super::{GROUP, ROWS_A_TASK};
use crate::Device;
use crate::device::DisjointOut;
use crate::matmul::epilogue::At;

/// The picks of some rows, row after row.
pub(super) struct Picks {
    is_learned: Vec<bool>,
    /// Where each row's picks begin, and the end `[rows + 1]`.
    offsets: Vec<usize>,
    /// By ascending entry in each row, with their places among those that were pushed.
    ascending: Vec<(Pick, usize)>,
    /// Logits, in the order they were pushed.
    logits: Vec<f32>,
    /// Where each group of columns stands in each row `[groups, rows]`.
    cursors: Vec<Cursor>,
}

#[derive(Clone, Copy)]
struct Cursor {
    /// The entry of the next pick.
    next: usize,
    /// Where it is in the ascending order.
    at: usize,
}

impl Picks {
    /// `of_row` pushes a row's picks, and says whether it is learned from.
    pub(super) fn new(
        device: &Device,
        groups: usize,
        n_rows: usize,
        of_row: impl Fn(usize, &mut Vec<Pick>) -> bool + Sync + Send,
    ) -> Self {
        let mut found = vec![(false, Vec::new()); n_rows];
        device.for_each_block(&mut found, ROWS_A_TASK, |index, block| {
            for (row, (is_learned, picks)) in (index * ROWS_A_TASK..).zip(block) {
                *is_learned = of_row(row, picks);
            }
        });
        let (mut offsets, mut ascending) = (vec![0], Vec::new());
        for (_, picks) in &found {
            let first = ascending.len();
            ascending.extend(picks.iter().copied().zip(first..));
            ascending[first..].sort_unstable_by_key(|&(pick, place)| (pick.id, place));
            offsets.push(ascending.len());
        }
        let is_learned = found.iter().map(|&(is_learned, _)| is_learned).collect();
        let logits = vec![0.0; ascending.len()];
        Self { is_learned, offsets, ascending, logits, cursors: vec![Cursor { next: 0, at: 0 }; groups * n_rows] }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.is_learned.len()
    }

    pub(super) fn is_learned(&self, row: usize) -> bool {
        self.is_learned[row]
    }

    /// Logits of a row's picks, as they were pushed.
    pub(super) fn logits(&self, row: usize) -> &[f32] {
        &self.logits[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Before the first column: all groups look for their first picks.
    pub(super) fn rewind(&mut self) {
        let n_rows = self.n_rows();
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            *cursor = Cursor { next: 0, at: self.offsets[index % n_rows] };
        }
    }

    /// For an epilogue whose column 0 is entry `first`; entries go by in ascending order.
    pub(super) fn passing(&mut self, first: usize) -> Passing<'_> {
        Passing {
            first,
            offsets: &self.offsets,
            ascending: &self.ascending,
            logits: DisjointOut::new(&mut self.logits),
            cursors: DisjointOut::new(&mut self.cursors),
        }
    }
}

/// Columns of a product are passing by.
pub(super) struct Passing<'a> {
    first: usize,
    offsets: &'a [usize],
    ascending: &'a [(Pick, usize)],
    logits: DisjointOut<'a, f32>,
    cursors: DisjointOut<'a, Cursor>,
}

impl Passing<'_> {
    /// Whether a row may have picks in these 32 columns.
    ///
    /// # Safety
    /// The row and the columns' group are those of the product, and no other task has both.
    #[inline(always)]
    pub(super) unsafe fn may_pick(&self, at: At) -> bool {
        // SAFETY: the caller's promise.
        let cursor = unsafe { &*self.cursors.pointer().add(self.cursor(at)) };
        cursor.next < self.first + at.column + 32
    }

    /// Subtracts the picks' weights from a row's 32 gradients.
    ///
    /// # Safety
    /// As [`Passing::may_pick`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn subtract(&self, at: At, gradients: &mut [f32; 32]) {
        // SAFETY: the caller's promise.
        unsafe { self.visit(at, |(pick, _), lane| gradients[lane] -= pick.weight) };
    }

    /// Keeps the picks' logits out of a row's 32.
    ///
    /// # Safety
    /// As [`Passing::may_pick`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn keep(&self, at: At, logits: &[f32; 32]) {
        // SAFETY: the caller's promise, so that no other task has this pick.
        unsafe { self.visit(at, |(_, place), lane| self.logits.slice(place, 1)[0] = logits[lane]) };
    }

    fn cursor(&self, at: At) -> usize {
        at.column / GROUP * (self.offsets.len() - 1) + at.row
    }

    /// # Safety
    /// As [`Passing::may_pick`].
    unsafe fn visit(&self, at: At, mut found: impl FnMut((Pick, usize), usize)) {
        let (column, end) = (self.first + at.column, self.offsets[at.row + 1]);
        // SAFETY: the caller's promise.
        let cursor = unsafe { &mut self.cursors.slice(self.cursor(at), 1)[0] };
        let id = |at: usize| if at < end { self.ascending[at].0.id as usize } else { usize::MAX };
        while id(cursor.at) < column + 32 {
            // Those before belong to other groups.
            if id(cursor.at) >= column {
                found(self.ascending[cursor.at], id(cursor.at) - column);
            }
            cursor.at += 1;
        }
        cursor.next = id(cursor.at);
    }
}
