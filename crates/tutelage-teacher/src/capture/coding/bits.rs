//! Integers of any width, most significant bit first.

/// Unpacks the first `n` integers of `width` bits, at most 64; fewer where the bytes end.
pub(super) fn unpack(bytes: &[u8], width: usize, n: usize) -> impl Iterator<Item = u64> + '_ {
    let n = n.min(bytes.len() * 8 / width.max(1));
    (0..n).map(move |i| {
        let (mut at, end) = (i * width, (i + 1) * width);
        let mut out = 0u64;
        while at < end {
            let in_byte = at % 8;
            let take = (8 - in_byte).min(end - at);
            let part = (bytes[at / 8] >> (8 - in_byte - take)) & (0xFFu16 >> (8 - take)) as u8;
            out = (out << take) | u64::from(part);
            at += take;
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_that_cross_bytes() {
        // 101 0110 0 | 1111 0001, by hand: three bits each.
        let bytes = [0b1010_1100, 0b1111_0001];
        assert_eq!(unpack(&bytes, 3, 5).collect::<Vec<_>>(), [0b101, 0b011, 0b001, 0b111, 0b000]);
        assert_eq!(unpack(&bytes, 16, 1).collect::<Vec<_>>(), [0b1010_1100_1111_0001]);
        assert_eq!(unpack(&bytes, 1, 4).collect::<Vec<_>>(), [1, 0, 1, 0]);
        assert_eq!(unpack(&u64::MAX.to_be_bytes(), 64, 1).collect::<Vec<_>>(), [u64::MAX]);
        assert_eq!(unpack(&bytes, 7, 9).count(), 2);
    }
}
