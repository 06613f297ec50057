//! Targets for a cache, from a teacher with another vocabulary.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tutelage_data::Batch;
use tutelage_loss::truncate::top_p_k;
use tutelage_model::{Decoder, Input};
use tutelage_tensor::Tape;
use tutelage_tensor::kernels::linear_loss::LogitObjective;
use tutelage_tensor::simd::RowMath;

use super::Across;
use super::entries::{Distribution, add_span, entries};
use crate::CacheError;
use crate::cache::{Row, Source};

/// A model here that has another vocabulary than its student.
pub struct AcrossSource<'a> {
    /// The model.
    pub teacher: &'a Decoder,
    /// What ids stand for.
    pub across: &'a Across,
    /// Probability mass to keep, of what the student has an entry for.
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
    /// Those where both have read the same.
    pub aligned: u64,
    /// Those within a token of the teacher's, taught by the mass of the tokens that begin so.
    pub within: u64,
    /// Those of the aligned whose next token the teacher writes as several of its own.
    pub spans: u64,
    /// Sum over the aligned of the teacher's mass on entries that both have.
    pub mass: f64,
    /// And of that on tokens that the student writes as several of its own.
    pub divided: f64,
}

/// Who asks a row of the teacher's: a row of the student's, and what that has read more.
type Asking = (usize, Vec<u32>);

/// Collects what some rows of the teacher's say.
struct Collector<'a> {
    source: &'a AcrossSource<'a>,
    /// Of each of the teacher's rows.
    asking: &'a [Vec<Asking>],
    /// The teacher's token after each of its rows, where its probability is asked for.
    next: &'a [Option<u32>],
    /// Of each of the student's rows.
    rows: Vec<Mutex<Row>>,
    /// Log-probabilities of `next`.
    spoken: Vec<Mutex<f32>>,
}

impl LogitObjective for Collector<'_> {
    /// The teacher's mass on what both have, and on what the student writes as several tokens, over rows where both have read the same.
    fn n_terms(&self) -> usize {
        2
    }

    fn row(&self, math: RowMath, row: usize, logits_v: &mut [f32], _: Option<&mut [f32]>, _: bool, terms: &mut [f64]) {
        terms.fill(0.0);
        if self.asking[row].is_empty() && self.next[row].is_none() {
            return;
        }
        let AcrossSource { across, top_p, top_k, .. } = *self.source;
        // What the output layer has beyond the vocabulary is padding.
        let logits_v = &logits_v[..across.teacher.entries.len().min(logits_v.len())];
        let mut p_v = logits_v.to_vec();
        math.softmax(&mut p_v, 1.0);
        let said = Distribution { logits_v, lse: math.log_sum_exp(logits_v, 1.0), p_v: &p_v };
        if let Some(id) = self.next[row] {
            *self.spoken[row].lock().unwrap_or_else(PoisonError::into_inner) = said.log_p(id);
        }
        for (student, path) in &self.asking[row] {
            if path.is_empty() {
                let (alone, all) = (said.sum(&across.alone), said.sum(&across.ids));
                terms.copy_from_slice(&[alone, all - alone]);
            }
            let (ids, values): (Vec<u32>, Vec<f32>) = entries(across, path, &said).into_iter().unzip();
            let kept = top_p_k(&values, top_p as f32, top_k).into_iter();
            let kept = kept.map(|at| (ids[at as usize], values[at as usize]));
            *self.rows[*student].lock().unwrap_or_else(PoisonError::into_inner) = kept.collect();
        }
    }
}

/// What a batch asks of the teacher.
struct Questions {
    ids: Vec<i32>,
    positions: Vec<i32>,
    documents: Vec<Range<usize>>,
    asking: Vec<Vec<Asking>>,
    /// For each of the student's rows the teacher's rows whose next tokens together are its own.
    spans: Vec<Option<Range<usize>>>,
}

impl AcrossSource<'_> {
    fn questions(&mut self, batch: &Batch) -> Result<Questions, CacheError> {
        let config = self.teacher.config();
        let (mut ids, mut positions, mut documents) = (Vec::new(), Vec::new(), Vec::new());
        let mut asking: Vec<Vec<Asking>> = Vec::new();
        let mut spans = vec![None; batch.ids.len()];
        for rows in &batch.documents {
            let own = &batch.ids[rows.clone()];
            let aligned = self.across.align(own, config.n_positions());
            let aligned = aligned.map_err(|source| CacheError::Text { source })?;
            let start = ids.len();
            asking.resize(start + aligned.ids.len(), Vec::new());
            for (row, within) in aligned.within.iter().enumerate() {
                let from = within.unwrap_or(row);
                let Some(teachers) = aligned.rows[from] else { continue };
                let path = own[from + 1..=row.max(from)].iter().map(|&id| id as u32).collect();
                asking[start + teachers].push((rows.start + row, path));
                self.alignment.aligned += u64::from(within.is_none());
                self.alignment.within += u64::from(within.is_some());
            }
            for (row, span) in rows.clone().zip(&aligned.spans) {
                spans[row] = span.as_ref().map(|span| start + span.start..start + span.end);
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
        Ok(Questions { ids, positions, documents, asking, spans })
    }
}

impl Source for AcrossSource<'_> {
    fn rows(&mut self, batch: &Batch) -> Result<Vec<Row>, CacheError> {
        let Questions { ids, positions, documents, asking, spans } = self.questions(batch)?;
        let mut next = vec![None; ids.len()];
        spans.iter().flatten().flat_map(Range::clone).for_each(|row: usize| next[row] = Some(ids[row + 1] as u32));
        let mut tape = Tape::inference(self.teacher.params());
        let input = Input { ids: &ids, positions: &positions, documents: &documents };
        let hidden = self.teacher.hidden(&mut tape, input);
        let rows = batch.ids.iter().map(|_| Mutex::default()).collect();
        let spoken = ids.iter().map(|_| Mutex::default()).collect();
        let collector = Collector { source: self, asking: &asking, next: &next, rows, spoken };
        let terms = tape.linear_loss(&hidden, self.teacher.head(), None, &collector);
        let Collector { rows, spoken, .. } = collector;
        let mut out = taken(rows);
        let spoken = taken(spoken);
        for (row, span) in spans.iter().enumerate() {
            let Some(span) = span else { continue };
            let log_p = spoken[span.clone()].iter().sum();
            let first = self.across.students(ids[span.start + 1] as u32).map(|own| own[0]);
            add_span(&mut out[row], (batch.ids[row + 1] as u32, log_p), first, self.top_k);
            self.alignment.spans += 1;
        }
        self.alignment.rows += batch.ids.len() as u64;
        self.alignment.mass += terms[0];
        self.alignment.divided += terms[1];
        Ok(out)
    }
}

fn taken<T>(cells: Vec<Mutex<T>>) -> Vec<T> {
    cells.into_iter().map(|cell| cell.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}
