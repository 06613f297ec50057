//! Symbols by their frequencies: range asymmetric numeral systems (1311.2540), with tables that stay.
//!
//! What was pushed last comes out first, so a writer keeps all symbols and encodes them from the end. A state of 32 bits, words
//! of 16; frequencies are shares of 4096.

/// Frequencies of a table sum to this.
pub(super) const TOTAL: u32 = 1 << BITS;
const BITS: u32 = 12;
/// The state is never below.
const LOWEST: u32 = 1 << 16;

/// Frequencies of an alphabet of at most 256 symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Where each symbol's share begins, and the end.
    starts: Vec<u16>,
}

/// A share of the numbers below [`TOTAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    start: u16,
    frequency: u16,
}

impl Share {
    /// `bits` (at most 12) bits as they are.
    pub(super) fn raw(value: u32, bits: u32) -> Self {
        let frequency = (TOTAL >> bits) as u16;
        Self { start: value as u16 * frequency, frequency }
    }

    /// What it costs.
    pub(super) fn bits(self) -> f64 {
        (f64::from(TOTAL) / f64::from(self.frequency)).log2()
    }
}

impl Table {
    /// Frequencies as near to counts as can be; whatever was counted has some.
    pub(super) fn new(counts: &[u64]) -> Self {
        let n: u64 = counts.iter().sum();
        let share = |count: u64| (count as f64 * f64::from(TOTAL) / n.max(1) as f64).round() as i64;
        let mut frequencies: Vec<i64> = counts.iter().map(|&count| share(count).max(i64::from(count > 0))).collect();
        // Rounding is made good where it matters least: at the most frequent symbol that can bear it.
        let mut excess = frequencies.iter().sum::<i64>() - i64::from(TOTAL);
        while n > 0 && excess != 0 {
            let largest = (0..frequencies.len()).max_by_key(|&i| (frequencies[i], std::cmp::Reverse(i))).unwrap_or(0);
            let change = excess.clamp(-i64::from(TOTAL), frequencies[largest] / 2);
            frequencies[largest] -= change;
            excess -= change;
        }
        let n = frequencies.iter().rposition(|&f| f > 0).map_or(0, |last| last + 1);
        let mut starts = vec![0];
        let mut sum = 0;
        for frequency in &frequencies[..n] {
            sum += *frequency as u16;
            starts.push(sum);
        }
        Self { starts }
    }

    pub(super) fn share(&self, symbol: usize) -> Share {
        Share { start: self.starts[symbol], frequency: self.starts[symbol + 1] - self.starts[symbol] }
    }

    /// Appends the number of symbols and their frequencies.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(((self.starts.len() - 1) as u16).to_le_bytes());
        for pair in self.starts.windows(2) {
            out.extend((pair[1] - pair[0]).to_le_bytes());
        }
    }

    /// Takes a table from the front of `bytes`; nothing if it is none.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut next = || {
            let (number, rest) = bytes.split_first_chunk::<2>()?;
            *bytes = rest;
            Some(u16::from_le_bytes(*number))
        };
        let n = next()?;
        let mut starts = vec![0u16];
        let mut sum = 0u32;
        for _ in 0..n {
            sum += u32::from(next()?);
            starts.push(u16::try_from(sum).ok()?);
        }
        (n <= 256 && (n == 0 || sum == TOTAL)).then_some(Self { starts })
    }

    /// For decoding.
    pub(super) fn lookup(&self) -> Lookup {
        let mut symbols = Vec::new();
        for (symbol, pair) in self.starts.windows(2).enumerate() {
            symbols.resize(usize::from(pair[1]), symbol as u8);
        }
        Lookup { table: self.clone(), symbols }
    }
}

/// A table with the symbol of each number below [`TOTAL`].
#[derive(Debug)]
pub(super) struct Lookup {
    table: Table,
    symbols: Vec<u8>,
}

/// Encodes shares, which will be decoded in the order given.
pub(super) fn encode(shares: &[Share]) -> Vec<u8> {
    let mut state = LOWEST;
    let mut words: Vec<u16> = Vec::new();
    for share in shares.iter().rev() {
        let frequency = u32::from(share.frequency);
        if u64::from(state) >= u64::from(frequency) << (32 - BITS) {
            words.push(state as u16);
            state >>= 16;
        }
        state = ((state / frequency) << BITS) + state % frequency + u32::from(share.start);
    }
    let mut out = state.to_le_bytes().to_vec();
    out.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    out
}

/// Takes symbols out again.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    state: u32,
    words: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let (state, words) = bytes.split_first_chunk::<4>()?;
        Some(Self { state: u32::from_le_bytes(*state), words })
    }

    /// The next symbol of a table; nothing if the bytes end, or the table has no symbols.
    #[inline]
    pub(super) fn symbol(&mut self, lookup: &Lookup) -> Option<usize> {
        let symbol = usize::from(*lookup.symbols.get((self.state % TOTAL) as usize)?);
        self.take(lookup.table.share(symbol))?;
        Some(symbol)
    }

    /// The next `bits` (at most 12) bits.
    #[inline]
    pub(super) fn raw(&mut self, bits: u32) -> Option<u32> {
        let value = (self.state % TOTAL) >> (BITS - bits);
        self.take(Share::raw(value, bits))?;
        Some(value)
    }

    #[inline]
    fn take(&mut self, share: Share) -> Option<()> {
        self.state = u32::from(share.frequency) * (self.state >> BITS) + self.state % TOTAL - u32::from(share.start);
        if self.state < LOWEST {
            let (word, rest) = self.words.split_first_chunk::<2>()?;
            self.words = rest;
            self.state = self.state << 16 | u32::from(u16::from_le_bytes(*word));
        }
        Some(())
    }

    /// Whether all was taken that was encoded.
    pub(super) fn is_done(&self) -> bool {
        self.words.is_empty() && self.state == LOWEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_come_back_at_the_cost_of_their_entropy() {
        let counts = [900u64, 0, 50, 1, 3, 46];
        let table = Table::new(&counts);
        let mut bytes = Vec::new();
        table.write(&mut bytes);
        let mut rest = &bytes[..];
        assert_eq!((Table::read(&mut rest), rest.len()), (Some(table.clone()), 0));
        let symbols: Vec<usize> = (0..6).flat_map(|s| std::iter::repeat_n(s, counts[s] as usize)).collect();
        let shuffled: Vec<usize> = (0..symbols.len()).map(|i| symbols[i * 619 % 1000]).collect();
        let mut shares = Vec::new();
        for (i, &symbol) in shuffled.iter().enumerate() {
            shares.push(table.share(symbol));
            shares.push(Share::raw(i as u32 % 32, 5));
        }
        let encoded = encode(&shares);
        let entropy: f64 = counts.iter().filter(|&&c| c > 0).map(|&c| c as f64 * (1000.0 / c as f64).log2()).sum();
        let cost: f64 = shares.iter().map(|share| share.bits()).sum();
        assert!(cost < 1.01 * (entropy + 5000.0) + 1.0, "{cost} {entropy}");
        assert!((encoded.len() as f64) < cost / 8.0 + 6.0, "{} {}", encoded.len(), cost / 8.0);
        let (lookup, mut decoder) = (table.lookup(), Decoder::new(&encoded).unwrap());
        for (i, &symbol) in shuffled.iter().enumerate() {
            assert_eq!((decoder.symbol(&lookup), decoder.raw(5)), (Some(symbol), Some(i as u32 % 32)));
        }
        assert!(decoder.is_done() && decoder.symbol(&lookup).is_none_or(|_| !decoder.is_done()));
    }

    #[test]
    fn tables_of_one_symbol_of_none_and_of_many_are_tables() {
        assert_eq!(Table::new(&[0, 7]).share(1).bits(), 0.0);
        let none = Table::new(&[0, 0]);
        assert_eq!(Decoder::new(&encode(&[])).unwrap().symbol(&none.lookup()), None);
        let many = Table::new(&(0..256).map(|i| 1 + 1_000_000 * u64::from(i == 9)).collect::<Vec<_>>());
        assert!((0..256).all(|symbol| many.share(symbol).frequency > 0));
        assert_eq!(many.starts.last(), Some(&4096));
    }

    #[test]
    fn damaged_tables_are_none() {
        for bytes in [&[1u8][..], &[1, 0, 5, 0], &[2, 0, 0, 16, 1, 0], &[1, 1]] {
            assert_eq!(Table::read(&mut &bytes[..]), None);
        }
    }
}
