//! A part of a packed right operand.

use half::bf16;

use super::pack::{K_STEP, PANEL, PackedRhs};

/// Some columns of a packed operand, over some steps along k. It is an operand itself, whose columns and steps are
/// counted from zero.
#[derive(Clone, Copy)]
pub(crate) struct PackedPart<'a> {
    of: &'a PackedRhs,
    first_panel: usize,
    n: usize,
    first_step: usize,
    n_steps: usize,
}

impl<'a> PackedPart<'a> {
    /// All of it.
    pub(crate) fn all(of: &'a PackedRhs) -> Self {
        Self { of, first_panel: 0, n: of.n(), first_step: 0, n_steps: of.k_padded() / K_STEP }
    }

    /// `n` columns from `first` on, a multiple of 16.
    pub(crate) fn columns(self, first: usize, n: usize) -> Self {
        assert!(first.is_multiple_of(PANEL) && first + n <= self.n, "columns {first}+{n} of {}", self.n);
        Self { first_panel: self.first_panel + first / PANEL, n, ..self }
    }

    /// Rows `first .. first + k`, `first` being a multiple of 32, and rows up to a multiple of 32 that are not zeros
    /// unless they are beyond the end.
    pub(crate) fn rows(self, first: usize, k: usize) -> Self {
        let (first_step, n_steps) = (first / K_STEP, k.div_ceil(K_STEP));
        assert!(first.is_multiple_of(K_STEP) && first_step + n_steps <= self.n_steps, "rows {first}+{k}");
        Self { first_step: self.first_step + first_step, n_steps, ..self }
    }

    /// Columns.
    pub(super) fn n(self) -> usize {
        self.n
    }

    /// Steps of 32 along k.
    pub(super) fn n_steps(self) -> usize {
        self.n_steps
    }

    /// Elements of the operand that this is a part of.
    pub(super) fn size_of_whole(self) -> usize {
        self.of.n() * self.of.k_padded()
    }

    /// The first tile of a panel; the next ones follow, 1 KiB each.
    pub(super) fn panel(self, index: usize) -> *const bf16 {
        self.of.panel(self.first_panel + index)[self.first_step * K_STEP * PANEL..].as_ptr()
    }

    /// Bytes from a panel to the next.
    pub(super) fn panel_bytes(self) -> usize {
        PANEL * self.of.k_padded() * size_of::<bf16>()
    }
}
