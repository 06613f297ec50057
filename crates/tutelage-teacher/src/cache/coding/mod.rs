//! Rows of a cache as bits.
//!
//! A row's entries are a set: in the order of [`super::order`] what is coded is the gap to the next, by frequencies that
//! depend on where in that order it begins. So an id costs little more than the entropy of "is it kept" over the vocabulary, given how
//! often each is, and its place among the kept ones costs nothing. Probabilities follow as levels above the row's
//! lowest ([`levels`]); counts of samples less one, as they are. Frequencies are those of the part.

mod buckets;
mod levels;
mod rans;

use tutelage_loss::SparseTargets;

use self::buckets::Buckets;
use self::rans::{Decoder, Lookup, Share, Table};
use super::Kept;
use super::collect::Row;
use super::order::IdOrder;

const COUNT: Buckets = Buckets { direct: 7, parts: 2 };
const GAP: Buckets = Buckets { direct: 3, parts: 2 };
const VALUE: Buckets = Buckets { direct: 5, parts: 3 };
/// Bits of a row's lowest level that are as they are.
const LOW_BITS: u32 = 3;

// Tables by place: how many entries, the lowest level, values, gaps by where they begin.
const N_ENTRIES: usize = 0;
const LOW: usize = 1;
const VALUES: usize = 2;
const GAPS: usize = 3;
const N_GAPS: usize = 40;
const N_TABLES: usize = GAPS + N_GAPS;

/// The table of gaps that begin at a rank: two for each doubling.
#[inline]
fn gap_table(rank: u32) -> usize {
    let Some(exponent) = rank.checked_ilog2() else { return GAPS };
    let half = if exponent == 0 { 0 } else { (rank >> (exponent - 1)) & 1 };
    GAPS + ((1 + 2 * exponent + half) as usize).min(N_GAPS - 1)
}

/// What the numbers of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    LogProbs,
    Counts,
}

impl Values {
    fn of(kept: &Kept) -> Self {
        match kept {
            Kept::TopPK { .. } => Values::LogProbs,
            Kept::Samples { .. } => Values::Counts,
        }
    }
}

/// Takes the symbols of rows, one after another.
trait Sink {
    fn symbol(&mut self, table: usize, symbol: usize);
    fn raw(&mut self, value: u32, bits: u32);

    fn number(&mut self, table: usize, buckets: Buckets, value: u32) {
        let (symbol, rest, n_bits) = buckets.split(value);
        self.symbol(table, symbol);
        // Twelve bits at a time, the upper ones first.
        let mut left = n_bits;
        while left > 0 {
            let n = left.min(12);
            left -= n;
            self.raw((rest >> left) & ((1 << n) - 1), n);
        }
    }
}

/// Gives a row to a sink.
fn describe(row: &Row, values: Values, order: &IdOrder, sink: &mut impl Sink) {
    sink.number(N_ENTRIES, COUNT, row.len() as u32);
    let number = |value: f32| match values {
        Values::LogProbs => levels::level(value) as u32,
        Values::Counts => value as u32 - 1,
    };
    let mut entries: Vec<(u32, u32)> = row.iter().map(|&(id, value)| (order.rank(id), number(value))).collect();
    entries.sort_unstable();
    let low = match (values, entries.iter().map(|entry| entry.1).min()) {
        (Values::LogProbs, Some(low)) => {
            sink.symbol(LOW, (low >> LOW_BITS) as usize);
            sink.raw(low & ((1 << LOW_BITS) - 1), LOW_BITS);
            low
        }
        _ => 0,
    };
    let mut from = 0;
    for (rank, number) in entries {
        sink.number(gap_table(from), GAP, rank - from);
        sink.number(VALUES, VALUE, number - low);
        from = rank + 1;
    }
}

/// Counts symbols.
struct Counts(Vec<Vec<u64>>);

impl Sink for Counts {
    fn symbol(&mut self, table: usize, symbol: usize) {
        self.0[table][symbol] += 1;
    }

    fn raw(&mut self, _: u32, _: u32) {}
}

/// Keeps shares.
struct Shares<'a> {
    tables: &'a [Table],
    shares: Vec<Share>,
}

impl Sink for Shares<'_> {
    fn symbol(&mut self, table: usize, symbol: usize) {
        self.shares.push(self.tables[table].share(symbol));
    }

    fn raw(&mut self, value: u32, bits: u32) {
        self.shares.push(Share::raw(value, bits));
    }
}

/// Adds up bits.
struct Cost<'a> {
    tables: &'a [Table],
    bits: Bits,
    ids: bool,
}

impl Sink for Cost<'_> {
    fn symbol(&mut self, table: usize, symbol: usize) {
        self.ids = table >= GAPS;
        self.add(self.tables[table].share(symbol).bits());
    }

    fn raw(&mut self, _: u32, bits: u32) {
        self.add(f64::from(bits));
    }
}

impl Cost<'_> {
    fn add(&mut self, bits: f64) {
        *(if self.ids { &mut self.bits.ids } else { &mut self.bits.values }) += bits;
    }
}

/// What rows cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bits {
    /// Which entries.
    pub(super) ids: f64,
    /// How many, and their numbers.
    pub(super) values: f64,
}

/// The frequencies of a part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coding {
    values: Values,
    tables: Vec<Table>,
}

impl Coding {
    /// Of rows that will be encoded.
    pub(super) fn learn<'r>(kept: &Kept, order: &IdOrder, rows: impl Iterator<Item = &'r Row>) -> Self {
        let values = Values::of(kept);
        let mut counts = Counts(vec![vec![0; 256]; N_TABLES]);
        rows.for_each(|row| describe(row, values, order, &mut counts));
        Self { values, tables: counts.0.iter().map(|counts| Table::new(counts)).collect() }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.tables.iter().for_each(|table| table.write(&mut out));
        out
    }

    /// Nothing if the bytes are none of ours.
    pub(super) fn read(kept: &Kept, mut bytes: &[u8]) -> Option<Self> {
        let tables = (0..N_TABLES).map(|_| Table::read(&mut bytes)).collect::<Option<Vec<_>>>()?;
        bytes.is_empty().then_some(Self { values: Values::of(kept), tables })
    }

    pub(super) fn encode(&self, order: &IdOrder, rows: &[Row]) -> Vec<u8> {
        let mut sink = Shares { tables: &self.tables, shares: Vec::new() };
        rows.iter().for_each(|row| describe(row, self.values, order, &mut sink));
        rans::encode(&sink.shares)
    }

    /// What rows cost that were learned from.
    pub(super) fn cost(&self, order: &IdOrder, rows: &[Row]) -> Bits {
        let mut sink = Cost { tables: &self.tables, bits: Bits::default(), ids: false };
        rows.iter().for_each(|row| describe(row, self.values, order, &mut sink));
        sink.bits
    }

    pub(super) fn reader<'o>(&self, order: &'o IdOrder) -> BlockReader<'o> {
        let tables = self.tables.iter().map(Table::lookup).collect();
        BlockReader { order, values: self.values, tables, log_probs: levels::log_probs() }
    }
}

/// Reads blocks of one part.
#[derive(Debug)]
pub(super) struct BlockReader<'o> {
    order: &'o IdOrder,
    values: Values,
    tables: Vec<Lookup>,
    log_probs: Vec<f32>,
}

impl BlockReader<'_> {
    /// Appends `n_rows` rows to `out`; says what is wrong with the bytes if something is.
    pub(super) fn decode(&self, bytes: &[u8], n_rows: usize, out: &mut SparseTargets) -> Result<(), &'static str> {
        const SHORT: &str = "a block ends before its last row";
        let mut decoder = Decoder::new(bytes).ok_or(SHORT)?;
        for _ in 0..n_rows {
            self.row(&mut decoder, out)
                .ok_or("an entry of a block lies outside the vocabulary, or the block ends early")?;
            out.end_row();
        }
        if decoder.is_done() { Ok(()) } else { Err("a block goes on after its last row") }
    }

    #[inline]
    fn row(&self, decoder: &mut Decoder<'_>, out: &mut SparseTargets) -> Option<()> {
        let count = self.number(decoder, N_ENTRIES, COUNT)?;
        let low = match self.values {
            Values::LogProbs if count > 0 => {
                let upper = decoder.symbol(&self.tables[LOW])? as u32;
                (upper << LOW_BITS) + decoder.raw(LOW_BITS)?
            }
            _ => 0,
        };
        let mut from = 0u32;
        for _ in 0..count {
            let rank = from.checked_add(self.number(decoder, gap_table(from), GAP)?)?;
            let number = low + self.number(decoder, VALUES, VALUE)?;
            out.ids.push(self.order.id(rank)?);
            out.values.push(match self.values {
                Values::LogProbs => *self.log_probs.get(number as usize)?,
                Values::Counts => (number + 1) as f32,
            });
            from = rank + 1;
        }
        Some(())
    }

    #[inline]
    fn number(&self, decoder: &mut Decoder<'_>, table: usize, buckets: Buckets) -> Option<u32> {
        let (base, mut left) = buckets.base(decoder.symbol(&self.tables[table])?)?;
        let mut rest = 0;
        while left > 0 {
            let n = left.min(12);
            left -= n;
            rest = rest << n | decoder.raw(n)?;
        }
        base.checked_add(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tutelage_run::RandomStream;

    const VOCABULARY: usize = 300;

    fn rows(kept: &Kept, n: usize) -> Vec<Row> {
        let mut stream = RandomStream::new(1, "rows");
        let row = |_| {
            let k = stream.below(kept.max_entries() as u64 + 1) as usize;
            let mut ids: Vec<u32> = (0..VOCABULARY as u32).collect();
            stream.shuffle(&mut ids);
            let value = |stream: &mut RandomStream| match kept {
                Kept::TopPK { .. } => (stream.uniform() as f32 + 1e-6).ln() * 2.0,
                Kept::Samples { .. } => (1 + stream.below(900)) as f32,
            };
            ids[..k].iter().map(|&id| (id, value(&mut stream))).collect()
        };
        (0..n).map(row).collect()
    }

    fn kinds() -> [Kept; 2] {
        [Kept::TopPK { top_p: 1.0, top_k: 200 }, Kept::Samples { n: 130, seed: 0 }]
    }

    #[test]
    fn rows_come_back_at_the_cost_that_is_reported() {
        let counts: Vec<u64> = (0..VOCABULARY as u64).map(|id| id * 7 % 11).collect();
        let order = IdOrder::new(&counts);
        for kept in kinds() {
            let rows = rows(&kept, 80);
            let coding = Coding::learn(&kept, &order, rows.iter());
            assert_eq!(Coding::read(&kept, &coding.write()), Some(coding.clone()));
            let bytes = coding.encode(&order, &rows);
            let bits = coding.cost(&order, &rows);
            assert!((bytes.len() as f64 - (bits.ids + bits.values) / 8.0).abs() < 8.0, "{} {bits:?}", bytes.len());
            let mut out = SparseTargets::new();
            coding.reader(&order).decode(&bytes, rows.len(), &mut out).unwrap();
            let log_probs = levels::log_probs();
            for (i, row) in rows.iter().enumerate() {
                let value = |value: f32| match kept {
                    Kept::TopPK { .. } => log_probs[levels::level(value)],
                    Kept::Samples { .. } => value,
                };
                let mut expected: Vec<(u32, f32)> = row.iter().map(|&(id, v)| (order.rank(id), value(v))).collect();
                expected.sort_by_key(|entry| entry.0);
                let (ids, values) = out.row(i);
                let found: Vec<(u32, f32)> = ids.iter().map(|&id| order.rank(id)).zip(values.iter().copied()).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn whatever_the_bytes_are_decoding_ends() {
        let order = IdOrder::new(&[0; VOCABULARY]);
        let mut stream = RandomStream::new(2, "bytes");
        for kept in kinds() {
            let rows = rows(&kept, 20);
            let coding = Coding::learn(&kept, &order, rows.iter());
            let (bytes, tables) = (coding.encode(&order, &rows), coding.write());
            for _ in 0..2000 {
                let mut bytes = bytes.clone();
                let at = stream.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << stream.below(8);
                bytes.truncate(bytes.len() - stream.below(3) as usize);
                let mut tables = tables.clone();
                if stream.below(2) == 0 {
                    let at = stream.below(tables.len() as u64) as usize;
                    tables[at] = stream.below(256) as u8;
                }
                let Some(coding) = Coding::read(&kept, &tables) else { continue };
                let mut out = SparseTargets::new();
                let _ = coding.reader(&order).decode(&bytes, rows.len(), &mut out);
                assert!(out.ids.iter().all(|&id| (id as usize) < VOCABULARY));
            }
        }
    }
}
