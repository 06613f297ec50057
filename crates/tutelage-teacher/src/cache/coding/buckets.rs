//! Numbers as a symbol and some bits: small ones each their own symbol, larger ones some symbols for each doubling.

/// How numbers are divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    /// Numbers below `2^direct` have symbols of their own.
    pub(super) direct: u32,
    /// Each doubling above has `2^parts` symbols; at most `direct`.
    pub(super) parts: u32,
}

impl Buckets {
    /// Symbol of a number, the bits that are left, and how many.
    #[inline]
    pub(super) fn split(self, value: u32) -> (usize, u32, u32) {
        if value >> self.direct == 0 {
            return (value as usize, 0, 0);
        }
        let exponent = value.ilog2();
        let n_bits = exponent - self.parts;
        let part = (value >> n_bits) - (1 << self.parts);
        let symbol = (1 << self.direct) + ((exponent - self.direct) << self.parts) + part;
        (symbol as usize, value & ((1 << n_bits) - 1), n_bits)
    }

    /// The smallest number of a symbol, and how many bits are added to it; nothing beyond 32 bits.
    #[inline]
    pub(super) fn base(self, symbol: usize) -> Option<(u32, u32)> {
        let symbol = symbol as u32;
        let Some(above) = symbol.checked_sub(1 << self.direct) else { return Some((symbol, 0)) };
        let exponent = self.direct + (above >> self.parts);
        let n_bits = exponent - self.parts;
        let part = above & ((1 << self.parts) - 1);
        (exponent < 32).then(|| (((1 << self.parts) + part) << n_bits, n_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_larger_numbers_are_none() {
        assert_eq!(Buckets { direct: 7, parts: 2 }.base(255), None);
    }

    #[test]
    fn numbers_come_back_and_symbols_are_in_order() {
        for buckets in
            [Buckets { direct: 3, parts: 2 }, Buckets { direct: 5, parts: 3 }, Buckets { direct: 7, parts: 2 }]
        {
            let mut last = None;
            for value in (0..5000).chain([65_535, 200_000, 1 << 20]) {
                let (symbol, rest, n_bits) = buckets.split(value);
                let (base, bits) = buckets.base(symbol).unwrap();
                assert_eq!((base + rest, bits), (value, n_bits), "{value} {buckets:?}");
                assert!(rest >> n_bits == 0 && symbol < 256 && Some(symbol) >= last && n_bits <= 24);
                last = Some(symbol);
            }
        }
    }
}
