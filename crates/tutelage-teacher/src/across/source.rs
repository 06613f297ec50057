//! Targets for a cache, from a teacher with another vocabulary.

use std::sync::{Mutex, PoisonError};

use tutelage_data::Batch;
use tutelage_loss::truncate::top_p_k;
use tutelage_model::{Decoder, Input};
use tutelage_tensor::Tape;
use tutelage_tensor::kernels::linear_loss::LogitObjective;
use tutelage_tensor::simd::RowMath;

use super::Across;
use crate::CacheError;
use crate::cache::{Row, Source};

/// A model here that has another vocabulary than its student.
pub struct AcrossSource<'a> {
    /// The model.
    pub teacher: &'a Decoder,
    /// What ids stand for.
    pub across: &'a Across,
    /// Probability mass to keep, of the entries that both have.
    pub top_p: f64,
    /// Most entries to keep.
    pub top_k: usize,
    /// What has aligned so far.
    pub alignment: Alignment,
}

/// How much of a text has aligned.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Alignment {
    /// The student's rows.
    pub rows: u64,
    /// Those that a row of the teacher's speaks of.
    pub aligned: u64,
    /// Sum over those of the teacher's mass on entries that both have.
    pub mass: f64,
}

/// Collects what both have of some rows.
struct Collector<'a> {
    source: &'a AcrossSource<'a>,
    /// Whether a row of the teacher's is asked for.
    wanted: &'a [bool],
    rows: Vec<Mutex<Row>>,
}

impl LogitObjective for Collector<'_> {
    fn n_terms(&self) -> usize {
        1
    }

    fn row(&self, math: RowMath, row: usize, logits_v: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        terms[0] = 0.0;
        if !self.wanted[row] {
            return;
        }
        let AcrossSource { across, top_p, top_k, .. } = *self.source;
        // What the output layer has beyond the vocabulary is padding.
        let logits_v = &logits_v[..across.teacher.entries.len().min(logits_v.len())];
        let lse = math.log_sum_exp(logits_v, 1.0);
        let logit = |id: u32| logits_v.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let shared: Vec<f32> = across.pairs.iter().map(|&(theirs, _)| logit(theirs) - lse).collect();
        terms[0] = shared.iter().map(|&log_p| f64::from(log_p).exp()).sum();
        let kept = top_p_k(&shared, top_p as f32, top_k);
        let entries = kept.into_iter().map(|i| (across.pairs[i as usize].1, shared[i as usize]));
        *self.rows[row].lock().unwrap_or_else(PoisonError::into_inner) = entries.collect();
    }
}

impl Source for AcrossSource<'_> {
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError> {
        let config = self.teacher.config();
        let (mut ids, mut positions, mut documents) = (Vec::new(), Vec::new(), Vec::new());
        // For each of the student's rows the teacher's.
        let mut places = vec![None; batch.ids.len()];
        for rows in &batch.documents {
            let aligned = self.across.align(&batch.ids[rows.clone()], config.n_positions());
            let aligned = aligned.map_err(|source| CacheError::Text { source })?;
            let start = ids.len();
            for (row, own) in rows.clone().zip(&aligned.rows) {
                places[row] = own.map(|own| start + own);
            }
            positions.extend(0..aligned.ids.len() as i32);
            ids.extend(aligned.ids);
            if ids.len() > start {
                documents.push(start..ids.len());
            }
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= config.vocab_size) {
            let found = format!("the teacher's tokenizer makes id {id}, and its model has {} rows", config.vocab_size);
            return Err(CacheError::Text { source: found.into() });
        }
        let mut wanted = vec![false; ids.len()];
        places.iter().flatten().for_each(|&row: &usize| wanted[row] = true);
        let mut tape = Tape::inference(self.teacher.params());
        let input = Input { ids: &ids, positions: &positions, documents: &documents };
        let hidden = self.teacher.hidden(&mut tape, input);
        let rows = ids.iter().map(|_| Mutex::default()).collect();
        let collector = Collector { source: self, wanted: &wanted, rows };
        let mass = tape.linear_loss(&hidden, self.teacher.head(), None, &collector)[0];
        let mut found = collector.rows;
        let mut take = |row: usize| std::mem::take(found[row].get_mut().unwrap_or_else(PoisonError::into_inner));
        let out = places.iter().map(|place| place.map_or_else(Vec::new, &mut take)).collect();
        self.alignment.rows += batch.ids.len() as u64;
        self.alignment.aligned += places.iter().flatten().count() as u64;
        self.alignment.mass += mass;
        Ok(out)
    }
}
