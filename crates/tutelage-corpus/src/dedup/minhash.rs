//! MinHash (Broder, 1997): of each of many hash functions the least value over a set. Two sets agree in one of them with the
//! probability of their Jaccard similarity.

use pulp::Arch;

/// The hash functions.
#[derive(Debug)]
pub(super) struct MinHash {
    arch: Arch,
    /// Of each function a mask and an odd factor; as many as fill the last block.
    masks: Vec<u32>,
    factors: Vec<u32>,
    n: usize,
}

/// Functions that are worked out together.
const BLOCK: usize = 32;

impl MinHash {
    pub(super) fn new(n: usize, seed: u64) -> Self {
        let mut random = tutelage_run::RandomStream::new(seed, "minhash");
        let mut draw = || random.below(1 << 32) as u32;
        let padded = n.next_multiple_of(BLOCK);
        let pairs: Vec<(u32, u32)> = (0..padded).map(|_| (draw(), draw() | 1)).collect();
        let (masks, factors) = pairs.into_iter().unzip();
        Self { arch: Arch::new(), masks, factors, n }
    }

    /// The least value of each function over the shingles.
    pub(super) fn signature(&self, shingles: &[u32], out: &mut Vec<u32>) {
        out.clear();
        out.resize(self.masks.len(), u32::MAX);
        let (masks, factors) = (&self.masks[..], &self.factors[..]);
        self.arch.dispatch(
            #[inline(always)]
            || {
                let functions = masks.as_chunks::<BLOCK>().0.iter().zip(factors.as_chunks::<BLOCK>().0);
                for (least, (masks, factors)) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(functions) {
                    for &shingle in shingles {
                        for i in 0..BLOCK {
                            least[i] = least[i].min(hash(shingle, masks[i], factors[i]));
                        }
                    }
                }
            },
        );
        out.truncate(self.n);
    }
}

/// A bijection of 32 bits that mixes well enough for its least values to be fair: tested below.
#[inline(always)]
fn hash(shingle: u32, mask: u32, factor: u32) -> u32 {
    let x = (shingle ^ mask).wrapping_mul(factor);
    let x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_estimates_similarity() {
        let minhash = MinHash::new(128, 1);
        let mut random = tutelage_run::RandomStream::new(5, "sets");
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for shared in [0usize, 20, 50, 80, 100] {
            let (mut sum, mut squares) = (0.0, 0.0);
            let rounds = 200;
            for _ in 0..rounds {
                let both: Vec<u32> = (0..shared).map(|_| random.below(1 << 32) as u32).collect();
                let mut one = || (0..100 - shared).map(|_| random.below(1 << 32) as u32).collect::<Vec<u32>>();
                let sets = [[both.clone(), one()].concat(), [both, one()].concat()];
                minhash.signature(&sets[0], &mut a);
                minhash.signature(&sets[1], &mut b);
                let same = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / 128.0;
                sum += same;
                squares += same * same;
            }
            let expected = shared as f64 / (200 - shared) as f64;
            let (mean, n) = (sum / f64::from(rounds), f64::from(rounds));
            // The binomial's deviation, and four of those of the mean.
            let deviation = (expected * (1.0 - expected) / 128.0).sqrt();
            assert!((mean - expected).abs() <= 4.0 * deviation / n.sqrt(), "{expected}: {mean}");
            let found = (squares / n - mean * mean).max(0.0).sqrt();
            assert!((found - deviation).abs() <= 0.2 * deviation, "{expected}: deviation {found} beside {deviation}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same() {
        let minhash = MinHash::new(70, 3);
        let shingles: Vec<u32> = (0..1000u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let mut found = Vec::new();
        minhash.signature(&shingles, &mut found);
        let plain: Vec<u32> = (0..70)
            .map(|i| shingles.iter().map(|&s| hash(s, minhash.masks[i], minhash.factors[i])).min().unwrap())
            .collect();
        assert_eq!(found, plain);
    }
}
