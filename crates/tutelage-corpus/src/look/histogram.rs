//! How many are how large.

use serde::Serialize;

/// Counts by size, each bin twice as wide as the one before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    bins: Vec<u64>,
    n: u64,
    sum: u64,
    most: u64,
}

/// One bin of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// Least size.
    pub from: u64,
    /// Size that is just too large.
    pub to: u64,
    /// How many there are.
    pub count: u64,
}

impl Histogram {
    /// The number of a size's bin.
    pub fn bin_of(size: u64) -> usize {
        (u64::BITS - size.leading_zeros()) as usize
    }

    /// From bins that were counted elsewhere; sum and largest size are not known then.
    pub fn from_counts(counts: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let mut all = Self::default();
        for (bin, n) in counts {
            if all.bins.len() <= bin {
                all.bins.resize(bin + 1, 0);
            }
            all.bins[bin] += n;
            all.n += n;
        }
        all
    }

    /// Counts one.
    pub fn add(&mut self, size: u64) {
        let bin = Self::bin_of(size);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += 1;
        self.n += 1;
        self.sum += size;
        self.most = self.most.max(size);
    }

    /// Sum of all sizes.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Mean size.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.n.max(1) as f64
    }

    /// Largest size.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The bins, from the first that has any.
    pub fn bins(&self) -> Vec<Bin> {
        let bins = self.bins.iter().enumerate().map(|(bin, &count)| match bin {
            0 => Bin { from: 0, to: 1, count },
            _ => Bin { from: 1 << (bin - 1), to: 1u64.checked_shl(bin as u32).unwrap_or(u64::MAX), count },
        });
        bins.skip_while(|bin| bin.count == 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_where_they_belong() {
        let mut histogram = Histogram::default();
        [1, 3, 2, 1000, 1023, 1024].into_iter().for_each(|size| histogram.add(size));
        let bins = histogram.bins();
        assert_eq!(bins[0], Bin { from: 1, to: 2, count: 1 });
        assert_eq!(bins[1], Bin { from: 2, to: 4, count: 2 });
        assert_eq!(bins[9..], [Bin { from: 512, to: 1024, count: 2 }, Bin { from: 1024, to: 2048, count: 1 }]);
        assert_eq!((histogram.sum(), histogram.most()), (3053, 1024));
        histogram.add(0);
        assert_eq!(histogram.bins()[0], Bin { from: 0, to: 1, count: 1 });
        histogram.add(u64::MAX >> 1);
        assert_eq!(histogram.bins().last().unwrap().count, 1);
    }
}
