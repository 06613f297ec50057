//! One sequence's entries as bits.

use half::f16;
use tutelage_loss::SparseTargets;

use super::bits::{BitReader, BitWriter, width};
use super::{CacheHeader, Kept};

/// Widths of the three kinds of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coding {
    count: u32,
    id: u32,
    value: u32,
    samples: bool,
    vocab_size: u32,
}

impl Coding {
    pub(super) fn new(header: &CacheHeader) -> Self {
        let max = header.kept.max_entries() as u64;
        let samples = matches!(header.kept, Kept::Samples { .. });
        Self {
            count: width(max),
            id: width(header.vocab_size as u64 - 1),
            value: if samples { width(max) } else { 16 },
            samples,
            vocab_size: header.vocab_size as u32,
        }
    }

    pub(super) fn encode(self, rows: &[Vec<(u32, f32)>]) -> Vec<u8> {
        let mut bits = BitWriter::default();
        for row in rows {
            bits.push(row.len() as u32, self.count);
            for &(id, value) in row {
                bits.push(id, self.id);
                let value = if self.samples { value as u32 } else { u32::from(f16::from_f32(value).to_bits()) };
                bits.push(value, self.value);
            }
        }
        bits.finish()
    }

    /// Appends `n_rows` rows to `out`; says what is wrong with the bytes if something is.
    pub(super) fn decode(self, bytes: &[u8], n_rows: usize, out: &mut SparseTargets) -> Result<(), &'static str> {
        const SHORT: &str = "a block ends before its last row";
        let mut bits = BitReader::new(bytes);
        for _ in 0..n_rows {
            let count = bits.next(self.count).ok_or(SHORT)?;
            for _ in 0..count {
                let id = bits.next(self.id).ok_or(SHORT)?;
                if id >= self.vocab_size {
                    return Err("an id lies outside the vocabulary");
                }
                let value = bits.next(self.value).ok_or(SHORT)?;
                out.ids.push(id);
                out.values.push(if self.samples { value as f32 } else { f16::from_bits(value as u16).to_f32() });
            }
            out.end_row();
        }
        Ok(())
    }
}
