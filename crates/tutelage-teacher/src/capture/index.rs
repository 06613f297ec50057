//! Documents by the ids that they begin with.

use tutelage_data::hash_ids;

use super::spool::{Spool, Spooled};
use crate::CacheError;

/// Fewest ids that a document is found by; it is entered by its first 4, 8, 16, ... ids.
const FIRST: usize = 4;
/// Documents that are looked at of those with one beginning: where more share it than that, any of them says the same of it.
const CANDIDATES: usize = 16;

fn lengths(n_ids: usize) -> impl DoubleEndedIterator<Item = usize> {
    let n = (n_ids / FIRST).checked_ilog2().map_or(0, |log| log + 1);
    (0..n).map(|i| FIRST << i)
}

/// By what a document is found at all; nothing if it is too short.
pub(super) fn first_key(ids: &[i32]) -> Option<u64> {
    ids.get(..FIRST).map(hash_ids)
}

/// The documents of several files.
#[derive(Debug)]
pub(super) struct Index {
    /// `(hash of first ids, file, document)`, in order.
    keys: Vec<(u64, u32, u32)>,
}

impl Index {
    pub(super) fn new(spools: &[Spool]) -> Result<Self, CacheError> {
        let mut keys = Vec::new();
        for (file, spool) in spools.iter().enumerate() {
            for number in 0..spool.n_documents() {
                let ids = spool.document(number)?.ids;
                keys.extend(lengths(ids.len()).map(|n| (hash_ids(&ids[..n]), file as u32, number as u32)));
            }
        }
        keys.sort_unstable();
        Ok(Self { keys })
    }

    /// The document with the longest beginning in common with `ids`, and how many of its rows have read only that.
    pub(super) fn find<'s>(
        &self,
        spools: &'s [Spool],
        ids: &[i32],
    ) -> Result<Option<(Spooled<'s>, usize)>, CacheError> {
        for n in lengths(ids.len()).rev() {
            let key = hash_ids(&ids[..n]);
            let start = self.keys.partition_point(|entry| entry.0 < key);
            let mut best: Option<(Spooled<'s>, usize)> = None;
            for (_, file, number) in self.keys[start..].iter().take_while(|entry| entry.0 == key).take(CANDIDATES) {
                let document = spools[*file as usize].document(*number as usize)?;
                let common = document.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
                let rows = common.min(document.n_rows());
                if rows > best.as_ref().map_or(0, |best| best.1) {
                    best = Some((document, rows));
                }
            }
            if best.is_some() {
                return Ok(best);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_double() {
        assert_eq!(lengths(3).count(), 0);
        assert_eq!(lengths(4).collect::<Vec<_>>(), [4]);
        assert_eq!(lengths(31).collect::<Vec<_>>(), [4, 8, 16]);
        assert_eq!(lengths(32).rev().collect::<Vec<_>>(), [32, 16, 8, 4]);
    }
}
