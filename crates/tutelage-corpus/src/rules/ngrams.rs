//! Tables of n-grams, by hash, that keep their memory.

/// Hashes and how often each was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Hash, round, count.
    slots: Vec<(u64, u32, u32)>,
    round: u32,
}

impl Seen {
    /// Forgets all, and makes room for `n`.
    pub(super) fn clear(&mut self, n: usize) {
        let size = (2 * n.max(8)).next_power_of_two();
        if self.slots.len() < size || self.round == u32::MAX {
            self.slots = vec![(0, 0, 0); size.max(self.slots.len())];
            self.round = 0;
        }
        self.round += 1;
    }

    /// Counts it; returns how often it was seen now.
    pub(super) fn add(&mut self, hash: u64) -> u32 {
        let slot = self.find(hash);
        let (key, round, count) = &mut self.slots[slot];
        if *round != self.round {
            (*key, *round, *count) = (hash, self.round, 0);
        }
        *count += 1;
        *count
    }

    /// How often it was seen.
    pub(super) fn count(&self, hash: u64) -> u32 {
        let (_, round, count) = self.slots[self.find(hash)];
        if round == self.round { count } else { 0 }
    }

    /// Its slot, or the free one where it belongs.
    fn find(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        loop {
            let (key, round, _) = self.slots[slot];
            if round != self.round || key == hash {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// The hash of words in a row, by those of the words.
pub(super) fn gram_hash(words: impl ExactSizeIterator<Item = u64>) -> u64 {
    let n = words.len() as u64;
    words.fold(n, |all, one| (all.rotate_left(5) ^ one).wrapping_mul(0xf135_7aea_2e62_a9c5))
}

/// Hash of bytes: the polynomial in `BASE` modulo 2^61 - 1, so that the hash of a part of a text comes from those of its ends.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    powers: Vec<u64>,
}

const MODULUS: u64 = (1 << 61) - 1;
const BASE: u64 = 0x1b87_3593_cc9e_2d51 % MODULUS;

fn multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let sum = (product as u64 & MODULUS) + (product >> 61) as u64;
    if sum >= MODULUS { sum - MODULUS } else { sum }
}

impl Rolling {
    /// The hash of what came before and `bytes` after it.
    pub(super) fn extend(hash: u64, bytes: &[u8]) -> u64 {
        bytes.iter().fold(hash, |hash, &byte| {
            let sum = multiply(hash, BASE) + u64::from(byte) + 1;
            if sum >= MODULUS { sum - MODULUS } else { sum }
        })
    }

    /// The hash of what came before and `len` bytes of hash `next` after it.
    pub(super) fn join(&mut self, hash: u64, next: u64, len: usize) -> u64 {
        let sum = multiply(hash, self.power(len)) + next;
        if sum >= MODULUS { sum - MODULUS } else { sum }
    }

    /// The hash of the last `len` bytes before `end`, where `start` is the hash of all before those.
    pub(super) fn part(&mut self, start: u64, end: u64, len: usize) -> u64 {
        let before = multiply(start, self.power(len));
        if end >= before { end - before } else { end + MODULUS - before }
    }

    fn power(&mut self, len: usize) -> u64 {
        while self.powers.len() <= len {
            let next = self.powers.last().map_or(1, |&last| multiply(last, BASE));
            self.powers.push(next);
        }
        self.powers[len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hash_as_what_they_are() {
        let mut rolling = Rolling::default();
        let text = b"one and two and three";
        for start in 0..text.len() {
            for end in start..=text.len() {
                let before = Rolling::extend(0, &text[..start]);
                let all = Rolling::extend(0, &text[..end]);
                assert_eq!(rolling.part(before, all, end - start), Rolling::extend(0, &text[start..end]));
            }
        }
    }

    #[test]
    fn counts_are_those_of_a_map() {
        let mut seen = Seen::default();
        for round in 0..3u64 {
            seen.clear(500);
            let mut map = std::collections::HashMap::new();
            for i in 0..500u64 {
                let hash = (i * i + round) % 97;
                let count = map.entry(hash).or_insert(0);
                *count += 1;
                assert_eq!(seen.add(hash), *count);
            }
            assert_eq!(seen.count(1_000_000), 0);
            assert!(map.iter().all(|(&hash, &count)| seen.count(hash) == count));
        }
    }
}
