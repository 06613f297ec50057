//! Tiles of 32 x 32 with `tdpbf16ps`: two left tiles, two right tiles, four accumulators.
//!
//! The tile instructions have no stable intrinsics, so they are written as `asm!`. Intel SDM vol. 2,
//! "AMX instruction set reference"; the permission request is Linux's `arch_prctl(ARCH_REQ_XCOMP_PERM)`.
//!
//! A finished tile is stored to a scratch tile and written out row by row *between the products of the next
//! one*: the tile unit and the vector unit work side by side.

use std::arch::asm;
use std::arch::x86_64::*;

use half::bf16;

use super::pack::{PANEL, PackedRhs};
use super::tiled::{MAX_TILE_ROWS, TILE_COLUMNS, Target, Tile};

/// `ldtilecfg` operand: palette 1, tiles 0-7 of 16 rows by 64 bytes.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Whether the processor has AMX-BF16 and the system lets this process use its tiles.
pub(crate) fn ready() -> bool {
    const TILE: u32 = 1 << 24;
    const BF16: u32 = 1 << 22;
    if __cpuid(0).eax < 7 {
        return false;
    }
    let edx = __cpuid_count(7, 0).edx;
    edx & TILE != 0 && edx & BF16 != 0 && permitted()
}

#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: a system call that only changes which registers this process may use; the kernel clobbers
    // rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Loads the tile shapes on this thread.
fn configure() {
    // SAFETY: reads the 64 bytes of CONFIG; tiles are not otherwise live (every block configures anew).
    unsafe { asm!("ldtilecfg [{config}]", config = in(reg) &raw const CONFIG, options(nostack)) };
}

/// Gives the tile registers back, so that context switches are cheap again.
fn release() {
    // SAFETY: no tile value is needed after a block.
    unsafe { asm!("tilerelease", options(nostack)) };
}

/// Rows of the left operand, 32 of them readable: row `r` of step `s` along k is 64 bytes at
/// `pointer + (r % 16) * row_bytes + (r / 16) * half_bytes + s * step_bytes`.
#[derive(Clone, Copy)]
pub(super) struct LhsTile {
    pub(super) pointer: *const bf16,
    pub(super) row_bytes: usize,
    pub(super) half_bytes: usize,
    pub(super) step_bytes: usize,
}

/// A block of the product: some rows by some columns of the output, over some steps along k.
pub(super) struct Block<'a, L> {
    pub(super) rows: std::ops::Range<usize>,
    pub(super) columns: std::ops::Range<usize>,
    /// Steps of 32 along k.
    pub(super) steps: std::ops::Range<usize>,
    /// Gives the left rows `row .. row + 32`, padded with zeros.
    pub(super) lhs: L,
    pub(super) rhs: &'a PackedRhs,
    pub(super) target: Target,
    /// Columns of the whole output.
    pub(super) n: usize,
    /// Whether the right operand is too large to lie in the caches already.
    pub(super) prefetch: bool,
    /// Whether the output is so large that its lines go to memory at once; its rows begin on lines.
    pub(super) stream: bool,
}

/// A tile in scratch that waits to be written out.
struct Pending {
    tile: usize,
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    done: usize,
}

#[repr(align(64))]
struct Scratch([Tile; 2]);

/// Computes a block.
pub(super) fn block<L: Fn(usize) -> LhsTile>(block: &Block<'_, L>) {
    configure();
    // SAFETY: a device of this instruction set has the features (see `ready` and `Isa`); ranges are those of
    // the output, which `matmul` compared with the operands.
    unsafe { tiles(block) };
    release();
}

/// # Safety
/// The machine must have these features; the block must lie in the output, and its left rows must exist.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn tiles<L: Fn(usize) -> LhsTile>(block: &Block<'_, L>) {
    let per_step = MAX_TILE_ROWS.div_ceil(block.steps.len().max(1));
    let mut scratch = Scratch([[0.0; MAX_TILE_ROWS * TILE_COLUMNS]; 2]);
    let mut pending = Pending { tile: 1, row: 0, rows: 0, column: 0, columns: 0, done: 0 };
    for column in block.columns.clone().step_by(TILE_COLUMNS) {
        let columns = TILE_COLUMNS.min(block.columns.end - column);
        let left = block.rhs.panel(column / PANEL).as_ptr();
        // A missing right panel is computed from the left one and not stored.
        let right = if columns > PANEL { block.rhs.panel(column / PANEL + 1).as_ptr() } else { left };
        // The two panels after these, a line for every 64 bytes, spread over this column's products: on their
        // way from memory while these are multiplied.
        let lines = 32usize.div_ceil(block.rows.len().div_ceil(MAX_TILE_ROWS));
        let mut next = left.wrapping_byte_add(2 * 32 * block.rhs.k_padded() + block.steps.start * 1024);
        for row in block.rows.clone().step_by(MAX_TILE_ROWS) {
            let tile = 1 - pending.tile;
            let lhs = (block.lhs)(row);
            // SAFETY: `lhs` gives 32 rows of all steps, panels have `k_padded` rows; the scratch tiles differ.
            unsafe {
                zero();
                for step in block.steps.clone() {
                    multiply(lhs, step, left.byte_add(step * 1024), right.byte_add(step * 1024));
                    pending.write(&scratch, block, per_step);
                    if block.prefetch {
                        for line in 0..lines {
                            _mm_prefetch::<_MM_HINT_T1>(next.wrapping_byte_add(64 * line).cast());
                        }
                        next = next.wrapping_byte_add(64 * lines);
                    }
                }
                pending.write(&scratch, block, MAX_TILE_ROWS);
                store(scratch.0[tile].as_mut_ptr(), TILE_COLUMNS * size_of::<f32>());
            }
            let rows = MAX_TILE_ROWS.min(block.rows.end - row);
            pending = Pending { tile, row, rows, column, columns, done: 0 };
        }
    }
    // SAFETY: as above.
    unsafe { pending.write(&scratch, block, MAX_TILE_ROWS) };
    if block.stream {
        // Streamed stores are ordered with nothing else; other threads read them after this block.
        _mm_sfence();
    }
}

impl Pending {
    /// Writes out up to `count` more rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    unsafe fn write<L>(&mut self, scratch: &Scratch, block: &Block<'_, L>, count: usize) {
        let end = (self.done + count).min(self.rows);
        let masks = [mask(self.columns.min(PANEL)), mask(self.columns.saturating_sub(PANEL))];
        while self.done < end {
            let at = (self.row + self.done) * block.n + self.column;
            // SAFETY: the scratch tile has this row; the output has these columns of it, and no other block.
            unsafe {
                let sums = scratch.0[self.tile].as_ptr().add(self.done * TILE_COLUMNS);
                let (a, b) = (_mm512_load_ps(sums), _mm512_load_ps(sums.add(PANEL)));
                match block.target {
                    Target::F32(out) if block.stream && self.columns == TILE_COLUMNS => {
                        _mm512_stream_ps(out.add(at), a);
                        _mm512_stream_ps(out.add(at + PANEL), b);
                    }
                    Target::F32(out) => {
                        _mm512_mask_storeu_ps(out.add(at), masks[0], a);
                        _mm512_mask_storeu_ps(out.add(at + PANEL), masks[1], b);
                    }
                    Target::AddF32(out) => {
                        let (x, y) = (
                            _mm512_maskz_loadu_ps(masks[0], out.add(at)),
                            _mm512_maskz_loadu_ps(masks[1], out.add(at + PANEL)),
                        );
                        _mm512_mask_storeu_ps(out.add(at), masks[0], _mm512_add_ps(x, a));
                        _mm512_mask_storeu_ps(out.add(at + PANEL), masks[1], _mm512_add_ps(y, b));
                    }
                    Target::Bf16(out) => {
                        let rounded: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(b, a));
                        if block.stream && self.columns == TILE_COLUMNS {
                            _mm512_stream_si512(out.add(at).cast(), rounded);
                            self.done += 1;
                            continue;
                        }
                        let both = u32::from(masks[0]) | u32::from(masks[1]) << PANEL;
                        _mm512_mask_storeu_epi16(out.add(at).cast(), both, rounded);
                    }
                }
            }
            self.done += 1;
        }
    }
}

fn mask(columns: usize) -> __mmask16 {
    ((1u32 << columns) - 1) as __mmask16
}

#[inline(always)]
unsafe fn zero() {
    // SAFETY: tile registers are named in this file alone; the compiler never allocates them.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
    }
}

/// One step of 32 along k.
#[inline(always)]
unsafe fn multiply(lhs: LhsTile, step: usize, b0: *const bf16, b1: *const bf16) {
    // SAFETY: reads 2 x 16 rows of 64 bytes of the left operand and 1 KiB of each panel.
    unsafe {
        let a0 = lhs.pointer.byte_add(step * lhs.step_bytes);
        asm!(
            "tileloadd tmm4, [{a0} + {row} * 1]",
            "tileloadd tmm6, [{b0} + {panel_row} * 1]",
            "tileloadd tmm7, [{b1} + {panel_row} * 1]",
            "tileloadd tmm5, [{a1} + {row} * 1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            a0 = in(reg) a0,
            a1 = in(reg) a0.byte_add(lhs.half_bytes),
            b0 = in(reg) b0,
            b1 = in(reg) b1,
            row = in(reg) lhs.row_bytes,
            panel_row = in(reg) 64usize,
            options(nostack, readonly),
        );
    }
}

#[inline(always)]
unsafe fn store(tile: *mut f32, row_bytes: usize) {
    // SAFETY: the four stores write 16 x 64 bytes each, together exactly the 32 x 32 tile.
    unsafe {
        asm!(
            "tilestored [{out} + {row} * 1], tmm0",
            "tilestored [{out} + {row} * 1 + 64], tmm1",
            "tilestored [{lower} + {row} * 1], tmm2",
            "tilestored [{lower} + {row} * 1 + 64], tmm3",
            out = in(reg) tile,
            lower = in(reg) tile.byte_add(PANEL * row_bytes),
            row = in(reg) row_bytes,
            options(nostack),
        );
    }
}

/// `rounds` times four products of tile registers; returns the floating-point operations.
pub(super) fn spin(rounds: usize) -> f64 {
    configure();
    // SAFETY: touches tile registers only, zeroed first.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {rounds}",
            "jnz 2b",
            rounds = inout(reg) rounds.max(1) => _,
            options(nostack),
        );
    }
    release();
    (rounds * 4 * 2 * 16 * 16 * 32) as f64
}

/// Tile registers of this thread, configured until dropped: for kernels that make small products of their own.
pub(crate) struct Tiles(());

/// Operands of a small product: 32 rows by 32 columns.
#[derive(Clone, Copy)]
pub(crate) struct SmallProduct {
    /// Left rows, see [`LhsTile`].
    pub(crate) a: *const bf16,
    pub(crate) a_row_bytes: usize,
    pub(crate) a_half_bytes: usize,
    /// Two panels of the right operand, a tile of 1 KiB for each step.
    pub(crate) b: *const bf16,
    pub(crate) b_panel_bytes: usize,
    /// Steps of 32 along k.
    pub(crate) steps: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_row_bytes: usize,
}

impl Tiles {
    /// Configures this thread; the device's instruction set must be [`crate::Isa::Amx`].
    pub(crate) fn begin(isa: crate::Isa) -> Self {
        assert_eq!(isa, crate::Isa::Amx, "tiles on another instruction set");
        configure();
        Self(())
    }

    /// `c (+)= a b`.
    ///
    /// # Safety
    /// All operands must be readable, and `c` writable, as [`SmallProduct`] describes them.
    #[inline(always)]
    pub(crate) unsafe fn product<const ADD: bool>(&self, p: SmallProduct) {
        // SAFETY: the caller's promise; tile registers are named in this file alone.
        unsafe {
            if ADD {
                asm!(
                    "tileloadd tmm0, [{c} + {row} * 1]",
                    "tileloadd tmm1, [{c} + {row} * 1 + 64]",
                    "tileloadd tmm2, [{lower} + {row} * 1]",
                    "tileloadd tmm3, [{lower} + {row} * 1 + 64]",
                    c = in(reg) p.c,
                    lower = in(reg) p.c.byte_add(PANEL * p.c_row_bytes),
                    row = in(reg) p.c_row_bytes,
                    options(nostack, readonly),
                );
            } else {
                zero();
            }
            let lhs = LhsTile { pointer: p.a, row_bytes: p.a_row_bytes, half_bytes: p.a_half_bytes, step_bytes: 64 };
            for step in 0..p.steps {
                let b = p.b.byte_add(step * 1024);
                multiply(lhs, step, b, b.byte_add(p.b_panel_bytes));
            }
            store(p.c, p.c_row_bytes);
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        release();
    }
}
