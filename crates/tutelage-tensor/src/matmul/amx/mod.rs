//! Tiles of 32 x 32 with `tdpbf16ps`: two left tiles, two right tiles, four accumulators.
//!
//! The tile instructions have no stable intrinsics, so they are written as `asm!`. Intel SDM vol. 2,
//! "AMX instruction set reference"; the permission request is Linux's `arch_prctl(ARCH_REQ_XCOMP_PERM)`.

mod block;

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};

use half::bf16;

use super::pack::PANEL;
pub(super) use block::{Block, block};
pub(crate) use block::{Panels, Term};

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
pub(crate) struct LeftTile {
    pub(crate) pointer: *const bf16,
    pub(crate) row_bytes: usize,
    pub(crate) half_bytes: usize,
    pub(crate) step_bytes: usize,
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
unsafe fn multiply(lhs: LeftTile, step: usize, b0: *const bf16, b1: *const bf16) {
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
unsafe fn load(tile: *const f32, row_bytes: usize) {
    // SAFETY: the four loads read 16 x 64 bytes each, together exactly the 32 x 32 tile.
    unsafe {
        asm!(
            "tileloadd tmm0, [{from} + {row} * 1]",
            "tileloadd tmm1, [{from} + {row} * 1 + 64]",
            "tileloadd tmm2, [{lower} + {row} * 1]",
            "tileloadd tmm3, [{lower} + {row} * 1 + 64]",
            from = in(reg) tile,
            lower = in(reg) tile.byte_add(PANEL * row_bytes),
            row = in(reg) row_bytes,
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
    /// Left rows, see [`LeftTile`].
    pub(crate) a: *const bf16,
    pub(crate) a_row_bytes: usize,
    pub(crate) a_half_bytes: usize,
    pub(crate) a_step_bytes: usize,
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
                load(p.c, p.c_row_bytes);
            } else {
                zero();
            }
            let lhs = LeftTile {
                pointer: p.a,
                row_bytes: p.a_row_bytes,
                half_bytes: p.a_half_bytes,
                step_bytes: p.a_step_bytes,
            };
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
