//! Tiles of 32 x 32 with `tdpbf16ps`: two left tiles, two right tiles, four accumulators.
//!
//! The tile instructions have no stable intrinsics, so they are written as `asm!`. Intel SDM vol. 2,
//! "AMX instruction set reference"; the permission request is Linux's `arch_prctl(ARCH_REQ_XCOMP_PERM)`.

use std::arch::asm;

use half::bf16;

use super::pack::{K_STEP, PANEL};
use super::tiled::{LhsRows, MAX_TILE_ROWS, TILE_COLUMNS, Tile};

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
    use std::arch::x86_64::{__cpuid, __cpuid_count};
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
pub(super) fn configure() {
    // SAFETY: reads the 64 bytes of CONFIG; tiles are not otherwise live (every block configures anew).
    unsafe { asm!("ldtilecfg [{config}]", config = in(reg) &raw const CONFIG, options(nostack)) };
}

/// Gives the tile registers back, so that context switches are cheap again.
pub(super) fn release() {
    // SAFETY: no tile value is needed after a block.
    unsafe { asm!("tilerelease", options(nostack)) };
}

/// Computes one tile; `configure` has run on this thread.
pub(super) fn tile(lhs: LhsRows, left: &[bf16], right: Option<&[bf16]>, k_padded: usize, tile: &mut Tile) {
    assert!(left.len() >= k_padded * PANEL && right.is_none_or(|r| r.len() >= k_padded * PANEL));
    if lhs.rows == MAX_TILE_ROWS {
        // SAFETY: the caller gives 32 rows of `k_padded` readable elements; panel lengths checked above.
        unsafe { full(lhs.pointer, lhs.stride, left, right.unwrap_or(left), k_padded, tile) };
        return;
    }
    // A last, shorter group of rows is read through a zero-padded copy, a strip of k at a time.
    let mut strip = [bf16::ZERO; MAX_TILE_ROWS * K_STEP];
    let mut sums = [0.0; MAX_TILE_ROWS * TILE_COLUMNS];
    tile.fill(0.0);
    for k in (0..k_padded).step_by(K_STEP) {
        for r in 0..lhs.rows {
            // SAFETY: row `r` has `k_padded` readable elements.
            let row = unsafe { std::slice::from_raw_parts(lhs.pointer.add(r * lhs.stride + k), K_STEP) };
            strip[r * K_STEP..][..K_STEP].copy_from_slice(row);
        }
        let panel = |p: &[bf16]| p[k * PANEL..][..K_STEP * PANEL].as_ptr();
        let (left, right) = (panel(left), panel(right.unwrap_or(left)));
        // SAFETY: the strip holds 32 rows of 32 elements, and one tile of each panel starts at `k`.
        unsafe { product(strip.as_ptr(), K_STEP, left, right, 1, &mut sums) };
        for (total, &sum) in tile.iter_mut().zip(&sums) {
            *total += sum;
        }
    }
}

unsafe fn full(a: *const bf16, stride: usize, left: &[bf16], right: &[bf16], k_padded: usize, tile: &mut Tile) {
    // SAFETY: as promised by `tile`.
    unsafe { product(a, stride, left.as_ptr(), right.as_ptr(), k_padded / K_STEP, tile) };
}

/// `tile = a b` over `steps` steps of 32 along k.
unsafe fn product(a: *const bf16, stride: usize, b0: *const bf16, b1: *const bf16, steps: usize, tile: &mut Tile) {
    let row_bytes = stride * size_of::<bf16>();
    let out_bytes = TILE_COLUMNS * size_of::<f32>();
    // SAFETY: each step reads 2 x 16 rows of 64 bytes of `a` (the caller's 32 rows) and 1 KiB of each panel;
    // the four stores write 16 x 64 bytes each, together exactly the 32 x 32 tile. Tile registers are
    // named here and nowhere else; the compiler never allocates them.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a0} + {row} * 1]",
            "tileloadd tmm6, [{b0} + {panel_row} * 1]",
            "tileloadd tmm7, [{b1} + {panel_row} * 1]",
            "tileloadd tmm5, [{a1} + {row} * 1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 64", "add {a1}, 64", "add {b0}, 1024", "add {b1}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{out} + {out_row} * 1], tmm0",
            "tilestored [{out} + {out_row} * 1 + 64], tmm1",
            "tilestored [{lower} + {out_row} * 1], tmm2",
            "tilestored [{lower} + {out_row} * 1 + 64], tmm3",
            a0 = inout(reg) a => _,
            a1 = inout(reg) a.add(PANEL * stride) => _,
            b0 = inout(reg) b0 => _,
            b1 = inout(reg) b1 => _,
            steps = inout(reg) steps => _,
            row = in(reg) row_bytes,
            panel_row = in(reg) 64usize,
            out = in(reg) tile.as_mut_ptr(),
            lower = in(reg) tile.as_mut_ptr().add(PANEL * TILE_COLUMNS),
            out_row = in(reg) out_bytes,
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
