//! A block of a product: its tiles one after another, each written out while the next is computed.
//!
//! A finished tile is stored to a scratch tile and written out row by row *between the products of the next
//! one*: the tile unit and the vector unit work side by side.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{configure, multiply, release, store, zero};
use crate::matmul::epilogue::{At, Epilogue};
use crate::matmul::left::Left;
use crate::matmul::pack::{PANEL, PackedRhs};
use crate::matmul::tiled::{MAX_TILE_ROWS, TILE_COLUMNS, Tile};

/// The right operand's two panels of a tile.
#[derive(Clone, Copy)]
pub(crate) enum Panels<'a> {
    /// Neighbours: 32 columns of one operand.
    Of(&'a PackedRhs),
    /// 16 columns each of two operands of one size.
    Pair(&'a PackedRhs, &'a PackedRhs),
}

/// A product that is summed into a tile.
#[derive(Clone, Copy)]
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
    pub(in crate::matmul) epilogue: &'a E,
    /// Whether the right operand is too large to lie in the caches already.
    pub(in crate::matmul) prefetch: bool,
}

/// A tile in scratch that waits to be written out.
struct Pending {
    tile: usize,
    row: usize,
    rows: usize,
    column: usize,
    masks: [__mmask16; 2],
    done: usize,
}

#[repr(align(64))]
struct Scratch([Tile; 2]);

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
    let n_steps = (block.terms.len() * block.steps.len()).max(1);
    let per_step = MAX_TILE_ROWS.div_ceil(n_steps);
    // Lines of each of the panels after these, spread over this column's products: on their way while these are
    // multiplied.
    let lines = 16usize.div_ceil(block.rows.len().div_ceil(MAX_TILE_ROWS));
    let mut scratch = Scratch([[0.0; MAX_TILE_ROWS * TILE_COLUMNS]; 2]);
    let mut pending = Pending { tile: 1, row: 0, rows: 0, column: 0, masks: [0; 2], done: 0 };
    for column in block.columns.clone().step_by(TILE_COLUMNS) {
        let columns = TILE_COLUMNS.min(block.columns.end - column);
        let masks = [mask(columns.min(PANEL)), mask(columns.saturating_sub(PANEL))];
        let mut ahead = 0;
        for row in block.rows.clone().step_by(MAX_TILE_ROWS) {
            let tile = 1 - pending.tile;
            let rows = MAX_TILE_ROWS.min(block.rows.end - row);
            let mut fetched = 0;
            // SAFETY: tile registers were configured by the caller.
            unsafe { zero() };
            for term in block.terms {
                let left = term.left.tile(row);
                let panels = term.right.panels(column);
                for step in block.steps.clone() {
                    // SAFETY: `left` gives 32 rows of all steps, panels have `k_padded` rows; the scratch tiles differ.
                    unsafe {
                        multiply(left, step, panels.b[0].byte_add(step * 1024), panels.b[1].byte_add(step * 1024));
                        pending.write(&scratch, block.epilogue, per_step);
                    }
                    for _ in 0..per_step {
                        if fetched < rows {
                            block.epilogue.fetch(row + fetched, column);
                            fetched += 1;
                        }
                    }
                    if block.prefetch {
                        for b in panels.b {
                            let next = b.wrapping_byte_add(panels.to_next + block.steps.start * 1024 + ahead);
                            for line in 0..lines {
                                _mm_prefetch::<_MM_HINT_T1>(next.wrapping_byte_add(64 * line).cast());
                            }
                        }
                        ahead += 64 * lines;
                    }
                }
            }
            // SAFETY: as above.
            unsafe {
                pending.write(&scratch, block.epilogue, MAX_TILE_ROWS);
                store(scratch.0[tile].as_mut_ptr(), TILE_COLUMNS * size_of::<f32>());
            }
            pending = Pending { tile, row, rows, column, masks, done: 0 };
        }
    }
    // SAFETY: as above.
    unsafe { pending.write(&scratch, block.epilogue, MAX_TILE_ROWS) };
}

/// The two panels of a tile, and how far in memory it is to those of the next.
struct TilePanels {
    b: [*const half::bf16; 2],
    to_next: usize,
}

impl Panels<'_> {
    #[inline]
    fn panels(self, column: usize) -> TilePanels {
        match self {
            Panels::Of(b) => {
                let left = b.panel(column / PANEL).as_ptr();
                // A missing right panel is computed from the left one and not stored.
                let right = if column + PANEL < b.n() { b.panel(column / PANEL + 1).as_ptr() } else { left };
                TilePanels { b: [left, right], to_next: 2 * PANEL * b.k_padded() * size_of::<half::bf16>() }
            }
            Panels::Pair(a, b) => {
                let index = column / TILE_COLUMNS;
                let to_next = PANEL * a.k_padded() * size_of::<half::bf16>();
                TilePanels { b: [a.panel(index).as_ptr(), b.panel(index).as_ptr()], to_next }
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

    pub(in crate::matmul) fn k_padded(self) -> usize {
        match self {
            Panels::Of(b) | Panels::Pair(b, _) => b.k_padded(),
        }
    }
}

impl Pending {
    /// Writes out up to `count` more rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")]
    unsafe fn write<E: Epilogue>(&mut self, scratch: &Scratch, epilogue: &E, count: usize) {
        let end = (self.done + count).min(self.rows);
        while self.done < end {
            // SAFETY: the scratch tile has this row; the output has these columns of it, and no other block.
            unsafe {
                let sums = scratch.0.as_ptr().add(self.tile).cast::<f32>().add(self.done * TILE_COLUMNS);
                let at = At { row: self.row + self.done, column: self.column, masks: self.masks };
                epilogue.row(at, [_mm512_load_ps(sums), _mm512_load_ps(sums.add(PANEL))]);
            }
            self.done += 1;
        }
    }
}

fn mask(columns: usize) -> __mmask16 {
    ((1u32 << columns) - 1) as __mmask16
}
