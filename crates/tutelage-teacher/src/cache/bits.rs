//! Numbers of a few bits.

/// Bits that hold every number up to `max`.
pub(super) fn width(max: u64) -> u32 {
    (u64::BITS - max.leading_zeros()).max(1)
}

/// Appends numbers, low bits first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    n_pending: u32,
}

impl BitWriter {
    /// Appends the low `width` (at most 32) bits of `value`.
    pub(super) fn push(&mut self, value: u32, width: u32) {
        self.pending |= u64::from(value) << self.n_pending;
        self.n_pending += width;
        while self.n_pending >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.n_pending -= 8;
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.n_pending > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

/// Takes them out again.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u64,
    n_pending: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, n_pending: 0 }
    }

    /// The next `width` (at most 32) bits, or nothing at the end.
    pub(super) fn next(&mut self, width: u32) -> Option<u32> {
        while self.n_pending < width {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.pending |= u64::from(byte) << self.n_pending;
            self.n_pending += 8;
        }
        let value = self.pending & ((1u64 << width) - 1);
        self.pending >>= width;
        self.n_pending -= width;
        Some(value as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        assert_eq!([0, 1, 2, 255, 256].map(width), [1, 1, 2, 8, 9]);
        let numbers = [(5, 3), (0, 1), (0xffff_ffff, 32), (1023, 10), (1, 2)];
        let mut writer = BitWriter::default();
        numbers.iter().for_each(|&(value, width)| writer.push(value, width));
        let bytes = writer.finish();
        assert_eq!(bytes.len(), 6);
        let mut reader = BitReader::new(&bytes);
        assert!(numbers.iter().all(|&(value, width)| reader.next(width) == Some(value)));
        assert_eq!(reader.next(9), None);
    }
}
