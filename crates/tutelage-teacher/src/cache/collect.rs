//! A teacher's distributions, truncated as they come off the engine's chunked output layer.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tutelage_data::Batch;
use tutelage_loss::truncate::top_p_k;
use tutelage_model::{Decoder, Input};
use tutelage_run::RandomStream;
use tutelage_tensor::Tape;
use tutelage_tensor::kernels::linear_loss::LogitObjective;
use tutelage_tensor::simd::RowMath;

use super::{Kept, Source};
use crate::CacheError;

/// Entries of a row: ids, and log-probabilities or counts.
pub type Row = Vec<(u32, f32)>;

/// Puts the most likely entries first; of equal ones the lower id.
pub(crate) fn most_likely_first(row: &mut Row) {
    row.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

struct Collector<'a> {
    kept: &'a Kept,
    vocabulary: usize,
    /// Number in the packed set of the sequence of each row, and the row in it.
    places: &'a [(usize, usize)],
    rows: Vec<Mutex<Row>>,
}

impl LogitObjective for Collector<'_> {
    fn n_terms(&self) -> usize {
        1
    }

    fn row(&self, math: RowMath, row: usize, logits_v: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        let logits_v = &mut logits_v[..self.vocabulary];
        let entries = match *self.kept {
            Kept::TopPK { top_p, top_k } => {
                let lse = math.log_sum_exp(logits_v, 1.0);
                logits_v.iter_mut().for_each(|x| *x -= lse);
                top_p_k(logits_v, top_p as f32, top_k).iter().map(|&id| (id, logits_v[id as usize])).collect()
            }
            Kept::Samples { n, seed } => {
                math.softmax(logits_v, 1.0);
                draw(logits_v, n, seed, self.places[row])
            }
        };
        *self.rows[row].lock().unwrap_or_else(PoisonError::into_inner) = entries;
        terms[0] = 0.0;
    }
}

/// `n` independent draws, as a function of (seed, sequence, row) alone.
fn draw(p_v: &[f32], n: usize, seed: u64, (sequence, row): (usize, usize)) -> Row {
    let mut stream = RandomStream::new(seed, &format!("teacher samples, sequence {sequence}, row {row}"));
    let mut cumulative = Vec::with_capacity(p_v.len());
    let mut total = 0.0f64;
    for &p in p_v {
        total += f64::from(p);
        cumulative.push(total);
    }
    let mut ids: Vec<u32> = (0..n)
        .map(|_| {
            let u = stream.uniform() * total;
            cumulative.partition_point(|&c| c <= u).min(p_v.len() - 1) as u32
        })
        .collect();
    ids.sort_unstable();
    ids.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f32)).collect()
}

/// A model here.
#[derive(Debug)]
pub struct ModelSource<'a> {
    /// The model.
    pub teacher: &'a Decoder,
    /// What is kept of its distributions.
    pub kept: Kept,
    /// Entries of the vocabulary; rows of its output layer beyond them are padding, and get no mass.
    pub vocabulary: usize,
}

impl Source for ModelSource<'_> {
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError> {
        let of_sequence = |(sequence, rows): &(usize, Range<usize>)| {
            let sequence = *sequence;
            (0..rows.len()).map(move |row| (sequence, row))
        };
        let places: Vec<(usize, usize)> = batch.sequences.iter().flat_map(of_sequence).collect();
        let input = Input { ids: &batch.ids, positions: &batch.positions, documents: &batch.documents };
        let mut tape = Tape::inference(self.teacher.params());
        let hidden = self.teacher.hidden(&mut tape, input);
        let rows = batch.ids.iter().map(|_| Mutex::default()).collect();
        let collector = Collector { kept: &self.kept, vocabulary: self.vocabulary, places: &places, rows };
        tape.linear_loss(&hidden, self.teacher.head(), None, &collector);
        Ok(collector.rows.into_iter().map(|row| row.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_without_bias() {
        let p = [0.5, 0.3, 0.15, 0.05];
        let (n, mut counts) = (50, [0.0f32; 4]);
        for row in 0..2000 {
            let entries = draw(&p, n, 1, (3, row));
            assert_eq!(entries.iter().map(|e| e.1).sum::<f32>(), n as f32);
            entries.iter().for_each(|&(id, count)| counts[id as usize] += count);
        }
        for (count, p) in counts.iter().zip(p) {
            assert!((count / 100_000.0 - p).abs() < 0.006, "{counts:?}");
        }
        assert_eq!(draw(&p, n, 1, (3, 7)), draw(&p, n, 1, (3, 7)));
        assert_ne!(draw(&p, n, 1, (3, 7)), draw(&p, n, 2, (3, 7)));
    }
}
