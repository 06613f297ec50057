//! A block of a product: its tiles one after another, each written out while the next is computed.
//!
//! A finished tile is stored to a scratch tile and written out row by row *between the products of the next
//! one*: the tile unit and the vector unit work side by side.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::{configure, multiply, release, store, zero};
use crate::matmul::epilogue::{At, Epilogue};
use crate::matmul::left::Left;
use crate::matmul::pack::{PANEL, PackedRhs};
use crate::matmul::part::PackedPart;
use crate::matmul::tiled::{MAX_TILE_ROWS, TILE_COLUMNS, Tile};

/// The right operand's two panels of a tile.
#[derive(Clone, Copy)]
pub(crate) enum Panels<'a> {
    /// Neighbours: 32 columns of one operand.
    Of(PackedPart<'a>),
    /// 16 columns each of two operands of one size.
    Pair(PackedPart<'a>, PackedPart<'a>),
}

/// A product that is summed into a tile.
pub(crate) struct Term<'a, L> {
    pub(crate) left: &'a L,
    pub(crate) right: Panels<'a>,
}

/// Some rows by some columns of the output, over some steps along k.
pub(in crate::matmul) struct Block<'a, L, E> {
    pub(in crate::matmul) rows: Range<usize>,
    /// From a multiple of 32 on.
    pub(in crate::matmul) columns: Range<usize>,
    /// Steps of 32 along k, of each term.
    pub(in crate::matmul) steps: Range<usize>,
    /// What is summed, in this order.
    pub(in crate::matmul) terms: &'a [Term<'a, L>],
    /// Sums of other products, over the whole of their k, that the epilogue finds at [`At::beside`].
    pub(in crate::matmul) beside: &'a [Term<'a, L>],
    pub(in crate::matmul) epilogue: &'a E,
    /// Whether the right operand is too large to lie in the caches already.
    pub(in crate::matmul) prefetch: bool,
}

/// A tile in scratch that waits to be written out.
struct Pending {
    /// Its sums, and those beside it.
    sums: [*const f32; 2],
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    done: usize,
}

/// The sums of two tiles, one of which is written out while the other is computed, and those beside them. Not filled
/// beforehand: that would take as long as part of a tile.
#[repr(align(64))]
struct Scratch(MaybeUninit<[[Tile; 2]; 2]>);

impl Scratch {
    fn tile(&mut self, is_beside: bool, tile: usize) -> *mut f32 {
        let first = self.0.as_mut_ptr().cast::<f32>();
        first.wrapping_add((2 * usize::from(is_beside) + tile % 2) * MAX_TILE_ROWS * TILE_COLUMNS)
    }
}

/// Computes a block.
pub(in crate::matmul) fn block<L: Left, E: Epilogue>(block: &Block<'_, L, E>) {
    configure();
    // SAFETY: a device of this instruction set has the features (see `ready` and `Isa`); ranges are those of
    // the output, which the callers compare with the operands.
    unsafe { tiles(block) };
    release();
    block.epilogue.finish();
}

/// # Safety
/// The machine must have these features; the block must lie in the output, and its left rows must exist.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")]
unsafe fn tiles<L: Left, E: Epilogue>(block: &Block<'_, L, E>) {
    let beside_steps = 0..block.beside.first().map_or(0, |term| term.right.n_steps());
    let n_steps = block.terms.len() * block.steps.len() + block.beside.len() * beside_steps.len();
    let per_step = MAX_TILE_ROWS.div_ceil(n_steps.max(1));
    // Lines of each of the panels after these, spread over this column's products: on their way while these are
    // multiplied.
    let lines = 16usize.div_ceil(block.rows.len().div_ceil(MAX_TILE_ROWS));
    let mut scratch = Scratch(MaybeUninit::uninit());
    let mut pending = Pending { sums: [std::ptr::null(); 2], row: 0, rows: 0, column: 0, columns: 0, done: 0 };
    let mut tile = 0;
    for column in block.columns.clone().step_by(TILE_COLUMNS) {
        let columns = TILE_COLUMNS.min(block.columns.end - column);
        let mut ahead = 0;
        for row in block.rows.clone().step_by(MAX_TILE_ROWS) {
            let rows = MAX_TILE_ROWS.min(block.rows.end - row);
            let mut fetched = 0;
            for (terms, steps, is_beside) in [(block.beside, &beside_steps, true), (block.terms, &block.steps, false)] {
                if is_beside && terms.is_empty() {
                    continue;
                }
                // SAFETY: tile registers were configured by the caller.
                unsafe { zero() };
                for term in terms {
                    let left = term.left.tile(row);
                    let panels = term.right.panels(column);
                    for step in steps.clone() {
                        // SAFETY: `left` gives 32 rows of all steps, panels have as many; the tile that is written out
                        // is another than the one computed.
                        unsafe {
                            multiply(left, step, panels.b[0].byte_add(step * 1024), panels.b[1].byte_add(step * 1024));
                            pending.write(block.epilogue, per_step);
                        }
                        for _ in 0..per_step {
                            if fetched < rows {
                                block.epilogue.fetch(row + fetched, column);
                                fetched += 1;
                            }
                        }
                        if block.prefetch && !is_beside {
                            for b in panels.b {
                                let next = b.wrapping_byte_add(panels.to_next + steps.start * 1024 + ahead);
                                for line in 0..lines {
                                    _mm_prefetch::<_MM_HINT_T1>(next.wrapping_byte_add(64 * line).cast());
                                }
                            }
                            ahead += 64 * lines;
                        }
                    }
                }
                // SAFETY: scratch has room for a tile.
                unsafe { store(scratch.tile(is_beside, tile), TILE_COLUMNS * size_of::<f32>()) };
            }
            // SAFETY: as above.
            unsafe { pending.write(block.epilogue, MAX_TILE_ROWS) };
            let sums = [false, true].map(|is_beside| scratch.tile(is_beside, tile).cast_const());
            pending = Pending { sums, row, rows, column, columns, done: 0 };
            tile += 1;
        }
    }
    // SAFETY: as above.
    unsafe { pending.write(block.epilogue, MAX_TILE_ROWS) };
}

/// The two panels of a tile, and how far in memory it is to those of the next.
struct TilePanels {
    b: [*const half::bf16; 2],
    to_next: usize,
}

impl<'a> Panels<'a> {
    /// Columns of one operand, all of it.
    pub(crate) fn of(b: &'a PackedRhs) -> Self {
        Self::Of(PackedPart::all(b))
    }

    /// Columns of two operands of one size, side by side.
    pub(crate) fn pair(a: &'a PackedRhs, b: &'a PackedRhs) -> Self {
        Self::Pair(PackedPart::all(a), PackedPart::all(b))
    }

    #[inline]
    fn panels(self, column: usize) -> TilePanels {
        match self {
            Panels::Of(b) => {
                let left = b.panel(column / PANEL);
                // A missing right panel is computed from the left one and not stored.
                let right = if column + PANEL < b.n() { b.panel(column / PANEL + 1) } else { left };
                TilePanels { b: [left, right], to_next: 2 * b.panel_bytes() }
            }
            Panels::Pair(a, b) => {
                let index = column / TILE_COLUMNS;
                TilePanels { b: [a.panel(index), b.panel(index)], to_next: a.panel_bytes() }
            }
        }
    }

    /// Columns of the product; a pair's are its tiles', 16 and 16.
    pub(in crate::matmul) fn n(self) -> usize {
        match self {
            Panels::Of(b) => b.n(),
            Panels::Pair(a, _) => 2 * a.n(),
        }
    }

    /// Steps of 32 along k.
    pub(in crate::matmul) fn n_steps(self) -> usize {
        match self {
            Panels::Of(b) | Panels::Pair(b, _) => b.n_steps(),
        }
    }

    /// Elements of the operand that the panels are of.
    pub(in crate::matmul) fn size_of_whole(self) -> usize {
        match self {
            Panels::Of(b) | Panels::Pair(b, _) => b.size_of_whole(),
        }
    }
}

impl Pending {
    /// Writes out up to `count` more rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")]
    unsafe fn write<E: Epilogue>(&mut self, epilogue: &E, count: usize) {
        let end = (self.done + count).min(self.rows);
        while self.done < end {
            // SAFETY: the scratch tile has this row; the output has these columns of it, and no other block.
            unsafe {
                let [sums, beside] = self.sums.map(|sums| sums.wrapping_add(self.done * TILE_COLUMNS));
                let (row, columns) = (self.row + self.done, self.columns as u32);
                let at = At { row, column: self.column, columns, beside };
                epilogue.row(at, [_mm512_load_ps(sums), _mm512_load_ps(sums.add(PANEL))]);
            }
            self.done += 1;
        }
    }
}
