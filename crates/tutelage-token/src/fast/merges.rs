//! Pairs that become one, the lowest rank first and the leftmost of one rank first, until none is left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

/// Which pairs become what, and when.
#[derive(Debug, Default)]
pub(super) struct Merges(FxHashMap<u64, (u32, u32)>);

/// Words up to this long are searched from end to end; longer ones have a heap.
const SHORT: usize = 64;

const NEVER: u32 = u32::MAX;

/// Memory of the merging of words.
#[derive(Debug, Default)]
pub(super) struct MergeMemory {
    ranks: Vec<u32>,
    links: Vec<(u32, u32)>,
    heap: BinaryHeap<Reverse<(u32, u32, u32)>>,
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

impl Merges {
    pub(super) fn insert(&mut self, (left, right): (u32, u32), rank: u32, id: u32) {
        self.0.insert(key(left, right), (rank, id));
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        self.0.get(&key(left, right)).copied()
    }

    /// Merges the ids of a word.
    pub(super) fn merge(&self, ids: &mut Vec<u32>, memory: &mut MergeMemory) {
        match ids.len() {
            0 | 1 => {}
            2..=SHORT => self.merge_short(ids, &mut memory.ranks),
            _ => self.merge_long(ids, memory),
        }
    }

    fn rank(&self, left: u32, right: u32) -> u32 {
        self.get(left, right).map_or(NEVER, |(rank, _)| rank)
    }

    fn merge_short(&self, ids: &mut Vec<u32>, ranks: &mut Vec<u32>) {
        ranks.clear();
        ranks.extend(ids.windows(2).map(|pair| self.rank(pair[0], pair[1])));
        loop {
            let (mut at, mut least) = (0, NEVER);
            for (i, &rank) in ranks.iter().enumerate() {
                if rank < least {
                    (at, least) = (i, rank);
                }
            }
            if least == NEVER {
                return;
            }
            let Some((_, id)) = self.get(ids[at], ids[at + 1]) else { return };
            ids[at] = id;
            ids.remove(at + 1);
            ranks.remove(at);
            if at < ranks.len() {
                ranks[at] = self.rank(id, ids[at + 1]);
            }
            if at > 0 {
                ranks[at - 1] = self.rank(ids[at - 1], id);
            }
        }
    }

    /// The same for long words: a list whose members know their neighbours, and a heap of pairs.
    fn merge_long(&self, ids: &mut Vec<u32>, memory: &mut MergeMemory) {
        const GONE: u32 = u32::MAX;
        let n = ids.len() as u32;
        let MergeMemory { links, heap, .. } = memory;
        links.clear();
        // Before and after; beyond the ends is n.
        links.extend((0..n).map(|i| (if i == 0 { n } else { i - 1 }, i + 1)));
        heap.clear();
        let push = |heap: &mut BinaryHeap<_>, ids: &[u32], left: u32, right: u32| {
            if left < n
                && right < n
                && let Some((rank, id)) = self.get(ids[left as usize], ids[right as usize])
            {
                heap.push(Reverse((rank, left, id)));
            }
        };
        (1..n).for_each(|right| push(heap, ids, right - 1, right));
        while let Some(Reverse((rank, left, id))) = heap.pop() {
            let right = links[left as usize].1;
            // Either may have become part of another since.
            if ids[left as usize] == GONE
                || right >= n
                || self.get(ids[left as usize], ids[right as usize]) != Some((rank, id))
            {
                continue;
            }
            ids[left as usize] = id;
            ids[right as usize] = GONE;
            let after = links[right as usize].1;
            links[left as usize].1 = after;
            if after < n {
                links[after as usize].0 = left;
            }
            push(heap, ids, links[left as usize].0, left);
            push(heap, ids, left, after);
        }
        ids.retain(|&id| id != GONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_one() {
        // ab, bc, abc by either way, and runs of a.
        let mut merges = Merges::default();
        for (rank, (pair, id)) in
            [((1, 2), 10), ((2, 3), 11), ((10, 3), 12), ((1, 11), 12), ((1, 1), 13), ((13, 13), 14)]
                .into_iter()
                .enumerate()
        {
            merges.insert(pair, rank as u32, id);
        }
        let mut memory = MergeMemory::default();
        let mut state = 7u64;
        for n in 1..400 {
            let word: Vec<u32> = (0..n % 90 + 1)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    1 + (state >> 33) as u32 % 3
                })
                .collect();
            let (mut short, mut long) = (word.clone(), word.clone());
            merges.merge_short(&mut short, &mut memory.ranks);
            merges.merge_long(&mut long, &mut memory);
            assert_eq!(short, long, "{word:?}");
        }
        let mut ids = vec![1, 1, 1, 1, 2, 3];
        merges.merge(&mut ids, &mut memory);
        // (1, 2) is first: what is left of the run is 1 1 1, then 13 1.
        assert_eq!(ids, [13, 1, 12]);
    }
}
