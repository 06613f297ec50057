//! One row of a Parquet file: a document, or several that were packed.

use std::ops::Range;

use super::coding::Coding;
use crate::cache::Row;

/// What a record has in one column.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Of each row as many cells.
    pub(super) bytes: Vec<u8>,
    pub(super) n_rows: usize,
}

impl Cells {
    /// Bytes of a row.
    pub(super) fn width(&self) -> usize {
        self.bytes.len() / self.n_rows.max(1)
    }

    /// Those of some rows.
    pub(super) fn rows(&self, rows: Range<usize>) -> &[u8] {
        let width = self.width();
        &self.bytes[rows.start * width..rows.end * width]
    }
}

/// A record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) ids: Vec<i32>,
    /// Number of the document of each id, zero for none, where that is told.
    pub(super) documents: Option<Vec<i32>>,
    /// The columns of a coding, in its order.
    pub(super) columns: Vec<Cells>,
}

/// A document of a capture.
#[derive(Debug)]
pub struct Document<'a> {
    /// What the teacher has read.
    pub ids: &'a [i32],
    rows: Range<usize>,
    record: &'a Record,
    coding: &'a Coding,
}

impl Document<'_> {
    /// What the teacher says follows each of the first ids, as it was written: the most likely entries in falling order, as far as a fitted
    /// curve leaves it so.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.rows.clone().map(|row| {
            let columns: Vec<&[u8]> = self.record.columns.iter().map(|cells| cells.rows(row..row + 1)).collect();
            self.coding.decode(&columns)
        })
    }
}

impl Record {
    /// One of its documents.
    pub(super) fn document<'a>(&'a self, ids: Range<usize>, coding: &'a Coding) -> Document<'a> {
        Document { ids: &self.ids[ids.clone()], rows: self.rows(ids), record: self, coding }
    }

    /// Rows of some ids, as far as there are rows.
    pub(super) fn rows(&self, ids: Range<usize>) -> Range<usize> {
        ids.start.min(self.n_rows())..ids.end.min(self.n_rows())
    }

    /// Ids of each document; row `i` of a column says what follows id `i`, as far as there are rows.
    pub(super) fn documents(&self) -> Result<Vec<Range<usize>>, String> {
        let n_rows = self.n_rows();
        if self.columns.iter().any(|cells| cells.n_rows != n_rows) || n_rows > self.ids.len() {
            let rows: Vec<usize> = self.columns.iter().map(|cells| cells.n_rows).collect();
            return Err(format!("its columns have {rows:?} rows, for {} ids", self.ids.len()));
        }
        let whole = 0..self.ids.len();
        let Some(numbers) = &self.documents else { return Ok(vec![whole]) };
        if numbers.len() != self.ids.len() {
            return Err(format!("column 'attention_mask' has {} numbers, for {} ids", numbers.len(), self.ids.len()));
        }
        let mut out = Vec::new();
        let mut at = 0;
        for same in numbers.chunk_by(|a, b| a == b) {
            if same[0] != 0 {
                out.push(at..at + same.len());
            }
            at += same.len();
        }
        Ok(out)
    }

    /// Rows of each column.
    pub(super) fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, |cells| cells.n_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n_ids: usize, documents: Option<&[i32]>, n_rows: &[usize]) -> Record {
        let columns = n_rows.iter().map(|&n_rows| Cells { bytes: vec![0; n_rows], n_rows }).collect();
        Record { ids: vec![7; n_ids], documents: documents.map(<[i32]>::to_vec), columns }
    }

    #[test]
    fn documents_are_told_apart() {
        let whole = 0..4;
        assert_eq!(record(4, None, &[3, 3]).documents().unwrap(), std::slice::from_ref(&whole));
        assert_eq!(record(4, Some(&[1, 1, 1, 1]), &[3, 3]).documents().unwrap(), [whole]);
        assert_eq!(record(6, Some(&[1, 1, 2, 3, 3, 0]), &[6, 6]).documents().unwrap(), [0..2, 2..3, 3..5]);
    }

    #[test]
    fn columns_that_disagree_are_refused() {
        assert!(record(4, None, &[3, 2]).documents().unwrap_err().contains("[3, 2] rows, for 4 ids"));
        assert!(record(2, None, &[3, 3]).documents().unwrap_err().contains("for 2 ids"));
        assert!(record(3, Some(&[1, 1]), &[2, 2]).documents().unwrap_err().contains("attention_mask"));
    }
}
