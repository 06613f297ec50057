//! Means of chosen rows: of each by itself, or of those of a document together.

mod op;
pub mod reference;

use std::sync::Arc;

/// Which rows of a matrix are averaged together; a row is in one segment or in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// For each row its segment.
    of_rows: Arc<[Option<u32>]>,
    /// Rows of each segment.
    sizes: Arc<[u32]>,
}

impl Segments {
    /// Each chosen row alone.
    pub fn rows(chosen: &[bool]) -> Self {
        let mut rows = 0..;
        let of_rows: Arc<[_]> = chosen.iter().map(|&chosen| if chosen { rows.next() } else { None }).collect();
        Self { of_rows, sizes: vec![1; rows.start as usize].into() }
    }

    /// The chosen rows of each of some disjoint ranges; a range without any has no segment.
    ///
    /// # Panics
    /// When a range is outside.
    pub fn ranges(chosen: &[bool], ranges: &[std::ops::Range<usize>]) -> Self {
        let mut of_rows = vec![None; chosen.len()];
        let mut sizes = Vec::new();
        for range in ranges {
            let rows = range.clone().filter(|&row| chosen[row]);
            let n = rows.map(|row| of_rows[row] = Some(sizes.len() as u32)).count();
            if n > 0 {
                sizes.push(n as u32);
            }
        }
        Self { of_rows: of_rows.into(), sizes: sizes.into() }
    }

    /// How many.
    pub fn n(&self) -> usize {
        self.sizes.len()
    }

    /// Rows that they are chosen from.
    pub fn n_rows(&self) -> usize {
        self.of_rows.len()
    }

    /// The segment of a row.
    pub fn of_row(&self, row: usize) -> Option<usize> {
        self.of_rows[row].map(|segment| segment as usize)
    }

    /// Rows of a segment.
    pub fn size(&self, segment: usize) -> usize {
        self.sizes[segment] as usize
    }
}
