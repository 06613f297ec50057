//! K-quants: blocks of 256 values, whose sub-blocks have quantised scales of their own.

use super::quants::half_at;

/// 16 sub-blocks of 16; 4 bits of scale and 4 of offset each; values of 2 bits.
pub(super) fn q2(block: &[u8], out: &mut [f32]) {
    let (scales, quants) = (&block[..16], &block[16..80]);
    let (d, d_min) = (half_at(block, 80), half_at(block, 82));
    for (sub, out) in out.chunks_exact_mut(16).enumerate() {
        let (scale, min) = (d * f32::from(scales[sub] & 15), d_min * f32::from(scales[sub] >> 4));
        let (from, shift) = two_bits(sub);
        for (out, q) in out.iter_mut().zip(&quants[from..]) {
            *out = scale * f32::from(q >> shift & 3) - min;
        }
    }
}

/// 16 sub-blocks of 16; scales of 6 bits around zero; values of 2 bits and a third apart, inverted.
pub(super) fn q3(block: &[u8], out: &mut [f32]) {
    let (high, quants, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half_at(block, 108);
    for (sub, out) in out.chunks_exact_mut(16).enumerate() {
        let low = if sub < 8 { scales[sub] & 15 } else { scales[sub - 8] >> 4 };
        let scale = low | (scales[8 + sub % 4] >> (2 * (sub / 4)) & 3) << 4;
        let scale = d * (f32::from(scale) - 32.0);
        let (from, shift) = two_bits(sub);
        // One bit of `high` for each 32 values.
        let (bit, first) = (sub / 2, sub % 2 * 16);
        for (i, out) in out.iter_mut().enumerate() {
            let third = if high[first + i] >> bit & 1 == 1 { 0.0 } else { 4.0 };
            *out = scale * (f32::from(quants[from + i] >> shift & 3) - third);
        }
    }
}

/// Where the 2-bit values of a sub-block are: 128 values in 32 bytes, 32 at each shift.
fn two_bits(sub: usize) -> (usize, usize) {
    (sub / 8 * 32 + sub % 2 * 16, sub % 8 / 2 * 2)
}

/// 8 sub-blocks of 32; scales and offsets of 6 bits; values of 4 bits.
pub(super) fn q4(block: &[u8], out: &mut [f32]) {
    let quants = &block[16..144];
    four_bits(block, quants, out, |_, _| 0);
}

/// The same with a fifth bit apart.
pub(super) fn q5(block: &[u8], out: &mut [f32]) {
    let (high, quants) = (&block[16..48], &block[48..176]);
    four_bits(block, quants, out, |sub, i| (high[i] >> sub & 1) << 4);
}

fn four_bits(block: &[u8], quants: &[u8], out: &mut [f32], more: impl Fn(usize, usize) -> u8) {
    let (d, d_min, scales) = (half_at(block, 0), half_at(block, 2), &block[4..16]);
    for (sub, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = six_bits(scales, sub);
        let (scale, min) = (d * f32::from(scale), d_min * f32::from(min));
        for (i, out) in out.iter_mut().enumerate() {
            let q = quants[sub / 2 * 32 + i] >> (sub % 2 * 4) & 15;
            *out = scale * f32::from(q | more(sub, i)) - min;
        }
    }
}

/// Scale and offset of a sub-block out of 12 bytes: the first four have theirs whole, the others' upper bits lie above.
fn six_bits(scales: &[u8], sub: usize) -> (u8, u8) {
    match sub {
        0..4 => (scales[sub] & 63, scales[sub + 4] & 63),
        _ => (scales[sub + 4] & 15 | scales[sub - 4] >> 6 << 4, scales[sub + 4] >> 4 | scales[sub] >> 6 << 4),
    }
}

/// 16 sub-blocks of 16; scales of 8 bits; values of 4 bits and two more apart, around zero.
pub(super) fn q6(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half_at(block, 208);
    for (sub, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(scales[sub].cast_signed());
        // 128 values in 64 bytes of low and 32 of high bits, 32 values after another.
        let (part, quarter, first) = (sub / 8, sub % 8 / 2, sub % 2 * 16);
        for (i, out) in out.iter_mut().enumerate() {
            let at = first + i;
            let low = low[part * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
            let high = high[part * 32 + at] >> (quarter * 2) & 3;
            *out = scale * (f32::from(low | high << 4) - 32.0);
        }
    }
}
