//! Documents that share a key are copies, and copies of copies: union-find over keys that were sorted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Disjoint sets of the numbers `0 .. n`.
#[derive(Debug)]
pub(super) struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    pub(super) fn new(n: u32) -> Self {
        Self { parents: (0..n).collect() }
    }

    /// The least number of the set.
    pub(super) fn root(&mut self, mut of: u32) -> u32 {
        while self.parents[of as usize] != of {
            let above = self.parents[self.parents[of as usize] as usize];
            self.parents[of as usize] = above;
            of = above;
        }
        of
    }

    pub(super) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }
}

/// A key of which parts are taken.
pub(super) trait Key: Ord + Copy + Send {
    /// Which of `parts` it belongs to.
    fn part(self, parts: u64) -> u64;
}

impl Key for u64 {
    fn part(self, parts: u64) -> u64 {
        self % parts
    }
}

impl Key for u128 {
    fn part(self, parts: u64) -> u64 {
        (self as u64) % parts
    }
}

/// Joins the documents that have a key in common. `keys` gives all keys, as often as it is asked; they are sorted in parts,
/// which together with those of other threads take no more than `memory_bytes`.
pub(super) fn join_by_keys<K: Key, I: Iterator<Item = (K, u32)>>(
    sets: &mut Sets,
    memory_bytes: usize,
    threads: usize,
    keys: impl Fn() -> I + Sync,
) {
    let threads = threads.max(1);
    let bytes = sets.parents.len() * size_of::<(K, u32)>();
    let parts = (bytes * threads).div_ceil(memory_bytes.max(1)).max(1).next_multiple_of(threads) as u64;
    let next = AtomicU64::new(0);
    let sets = Mutex::new(sets);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut part: Vec<(K, u32)> = Vec::new();
                loop {
                    let mine = next.fetch_add(1, Ordering::Relaxed);
                    if mine >= parts {
                        break;
                    }
                    part.clear();
                    part.extend(keys().filter(|(key, _)| key.part(parts) == mine));
                    part.sort_unstable();
                    let groups = part.chunk_by(|a, b| a.0 == b.0);
                    let pairs = groups.flat_map(|group| group[1..].iter().map(|&(_, other)| (group[0].1, other)));
                    let pairs: Vec<(u32, u32)> = pairs.collect();
                    let mut sets = sets.lock().unwrap_or_else(PoisonError::into_inner);
                    pairs.into_iter().for_each(|(first, other)| sets.join(first, other));
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_become_one_set() {
        let mut sets = Sets::new(8);
        for column in [vec![(5u64, 6u32), (5, 1), (9, 2)], vec![(1, 2), (2, 7), (1, 6), (3, 4), (3, 0)]] {
            join_by_keys(&mut sets, 1, 3, || column.iter().copied());
        }
        let roots: Vec<u32> = (0..8).map(|i| sets.root(i)).collect();
        assert_eq!(roots, [0, 1, 1, 3, 0, 5, 1, 7]);
    }
}
