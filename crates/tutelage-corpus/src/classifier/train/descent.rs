//! Stochastic gradient descent over rows: the mean of a text's vectors, a linear layer, softmax or a sigmoid for each label
//! (Joulin and others, 1607.01759, eq. 1).
//!
//! Departures from fastText 0.9.2: documents come in an order that is drawn anew for each epoch; the learning rate falls with
//! documents, not with words; and 16 documents are read together, before any of them changes vectors (fastText's threads
//! overwrite each other's vectors as they come). So the same seed gives the same bits for any number of threads: who adds to a vector
//! is who owns it, in the order of the documents. The linear layer changes after each document.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::time::Duration;

use tutelage_run::{Event, Observer, RandomStream, StopFlag};

use super::barrier::Barrier;
use super::examples::Examples;
use super::settings::{Choice, ClassifierTraining};

/// Documents that are read together.
const TOGETHER: usize = 16;

/// Vectors of rows, each with the thread that owns it, and of labels.
#[derive(Debug)]
pub(in crate::classifier) struct Weights {
    pub(in crate::classifier) dim: usize,
    n_rows: usize,
    /// Row `r` is row `r / parts` of part `r % parts`.
    parts: Vec<RwLock<Part>>,
    /// Of the labels.
    pub(in crate::classifier) output: Vec<f32>,
}

impl Weights {
    /// Vectors of rows that some example has are drawn, the others are 0; so are those of labels.
    pub(super) fn new(
        examples: &Examples,
        n_rows: usize,
        n_labels: usize,
        dim: usize,
        threads: usize,
        seed: u64,
    ) -> Self {
        let n_parts = 1usize << threads.max(1).ilog2();
        let parts = (0..n_parts).map(|part| {
            let rows = (n_rows + n_parts - 1 - part) / n_parts;
            RwLock::new(Part::new(rows * dim))
        });
        let mut weights = Self { dim, n_rows, parts: parts.collect(), output: vec![0.0; n_labels * dim] };
        let mut seen = vec![0u64; n_rows.div_ceil(64)];
        let (mut labels, mut rows) = (Vec::new(), Vec::new());
        for example in 0..examples.len() {
            examples.read(example, &mut labels, &mut rows);
            rows.iter().for_each(|&row| seen[row as usize / 64] |= 1 << (row % 64));
        }
        let mut stream = RandomStream::new(seed, "classifier weights");
        let bound = 1.0 / dim as f64;
        for row in (0..n_rows).filter(|row| seen[row / 64] >> (row % 64) & 1 == 1) {
            weights.row_mut(row).fill_with(|| ((2.0 * stream.uniform() - 1.0) * bound) as f32);
        }
        weights
    }

    fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let (n, dim) = (self.parts.len(), self.dim);
        let part = self.parts[row % n].get_mut().unwrap_or_else(PoisonError::into_inner);
        &mut part.rows_mut()[row / n * dim..(row / n + 1) * dim]
    }

    /// Gives every row, in order, until one is not taken.
    pub(in crate::classifier) fn try_each_row<E>(
        &self,
        mut take: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let parts = self.read();
        (0..self.n_rows).try_for_each(|row| take(row_of(&parts, row, self.dim)))
    }

    /// Fills every row, in order, until one is not had.
    pub(super) fn try_fill_rows<E>(&mut self, mut fill: impl FnMut(&mut [f32]) -> Result<(), E>) -> Result<(), E> {
        (0..self.n_rows).try_for_each(|row| fill(self.row_mut(row)))
    }

    fn read(&self) -> Vec<RwLockReadGuard<'_, Part>> {
        self.parts.iter().map(|part| part.read().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

fn row_of<'p>(parts: &'p [RwLockReadGuard<'_, Part>], row: usize, dim: usize) -> &'p [f32] {
    // A power of two.
    let (part, at) = (row & (parts.len() - 1), row >> parts.len().ilog2());
    &parts[part].rows()[at * dim..(at + 1) * dim]
}

/// Rows that one thread owns. The first begins with a cache line, so a row of 16 numbers is one line and not parts of two.
#[derive(Debug)]
struct Part {
    numbers: Vec<f32>,
    start: usize,
}

/// Numbers of a cache line.
const LINE: usize = 16;

impl Part {
    fn new(n: usize) -> Self {
        let numbers = vec![0.0f32; n + LINE];
        // A vector that does not grow stays where it is. A system that cannot say where loses speed alone.
        let start = numbers.as_ptr().align_offset(LINE * size_of::<f32>());
        Self { numbers, start: if start <= LINE { start } else { 0 } }
    }

    fn rows(&self) -> &[f32] {
        &self.numbers[self.start..]
    }

    fn rows_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..]
    }
}

/// Adds rows up in their order, a cache line of each at a time.
fn sum_rows(parts: &[RwLockReadGuard<'_, Part>], rows: &[u32], sum: &mut [f32]) {
    let dim = sum.len();
    let (lines, rest) = sum.as_chunks_mut::<LINE>();
    for (i, line) in lines.iter_mut().enumerate() {
        let mut whole = *line;
        for &row in rows {
            let row = &row_of(parts, row as usize, dim)[i * LINE..(i + 1) * LINE];
            whole.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        *line = whole;
    }
    let from = dim - rest.len();
    if from < dim {
        for &row in rows {
            rest.iter_mut().zip(&row_of(parts, row as usize, dim)[from..]).for_each(|(sum, x)| *sum += x);
        }
    }
}

/// A document at work.
#[derive(Debug, Default)]
struct Slot {
    labels: Vec<u32>,
    rows: Vec<u32>,
    hidden: Vec<f32>,
    /// What is added to each of its rows.
    change: Vec<f32>,
}

/// One pass over the examples.
pub(super) struct Epoch<'a> {
    pub(super) examples: &'a Examples,
    pub(super) settings: &'a ClassifierTraining,
    pub(super) number: u32,
}

impl Epoch<'_> {
    /// Carries it out; the mean loss, or nothing when it was asked to stop.
    pub(super) fn run(&self, weights: &mut Weights, observer: &mut dyn Observer, stop: &StopFlag) -> Option<f64> {
        let n = self.examples.len();
        let mut order: Vec<u32> = (0..n as u32).collect();
        RandomStream::new(self.settings.seed, &format!("classifier order, epoch {}", self.number)).shuffle(&mut order);
        let mut output = std::mem::take(&mut weights.output);
        let threads = weights.parts.len();
        let barrier = Barrier::new(threads);
        let slots: Vec<RwLock<Slot>> = (0..TOGETHER).map(|_| RwLock::default()).collect();
        let (done, [stopped, ending]) = (AtomicU64::new(0), [false; 2].map(AtomicBool::new));
        let team = Team {
            epoch: self,
            weights,
            order: &order,
            slots: &slots,
            barrier: &barrier,
            done: &done,
            stopped: &stopped,
            ending: &ending,
        };
        let loss = std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel::<()>();
            let team = &team;
            for thread in 1..threads {
                let sender = sender.clone();
                scope.spawn(move || {
                    team.work(thread, None);
                    drop(sender);
                });
            }
            let first = scope.spawn({
                let output = &mut output;
                move || {
                    let loss = team.work(0, Some(output));
                    drop(sender);
                    loss
                }
            });
            let total = u64::from(self.number) * n as u64;
            while let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(Duration::from_millis(100)) {
                if stop.is_raised() {
                    stopped.store(true, Ordering::Relaxed);
                }
                let note = format!("epoch {} of {}", self.number + 1, self.settings.epochs);
                observer.event(&Event::Progress { done: total + done.load(Ordering::Relaxed), note: &note });
            }
            match first.join() {
                Ok(loss) => loss,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        weights.output = output;
        loss.map(|loss| loss / n as f64)
    }
}

/// What the threads of an epoch share.
struct Team<'a> {
    epoch: &'a Epoch<'a>,
    weights: &'a Weights,
    order: &'a [u32],
    slots: &'a [RwLock<Slot>],
    barrier: &'a Barrier,
    done: &'a AtomicU64,
    /// Raised at any time.
    stopped: &'a AtomicBool,
    /// Raised between two meetings.
    ending: &'a AtomicBool,
}

impl Team<'_> {
    /// One thread's work; the one that has the output gives the sum of losses.
    fn work(&self, thread: usize, mut output: Option<&mut Vec<f32>>) -> Option<f64> {
        let _alarm = self.barrier.alarm();
        let (dim, threads) = (self.weights.dim, self.weights.parts.len());
        let (mut loss, mut scores) = (0.0, Vec::new());
        for (batch, examples) in self.order.chunks(TOGETHER).enumerate() {
            {
                let parts = self.weights.read();
                for (example, slot) in examples.iter().zip(self.slots).skip(thread).step_by(threads) {
                    let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
                    let Slot { labels, rows, hidden, .. } = &mut *slot;
                    self.epoch.examples.read(*example as usize, labels, rows);
                    hidden.clear();
                    hidden.resize(dim, 0.0);
                    sum_rows(&parts, rows, hidden);
                    let share = 1.0 / rows.len().max(1) as f32;
                    hidden.iter_mut().for_each(|x| *x *= share);
                }
            }
            if !self.barrier.wait() {
                return None;
            }
            if let Some(output) = output.as_deref_mut() {
                for (i, slot) in self.slots[..examples.len()].iter().enumerate() {
                    let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
                    loss += self.learn(batch * TOGETHER + i, &mut slot, output, &mut scores);
                }
                self.done.fetch_add(examples.len() as u64, Ordering::Relaxed);
                // Told to the others before they meet again, so that all end after the same batch.
                self.ending.store(self.stopped.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            if !self.barrier.wait() {
                return None;
            }
            {
                let mut mine = self.weights.parts[thread].write().unwrap_or_else(PoisonError::into_inner);
                let mine = mine.rows_mut();
                for slot in &self.slots[..examples.len()] {
                    let slot = slot.read().unwrap_or_else(PoisonError::into_inner);
                    for &row in slot.rows.iter().filter(|&&row| row as usize & (threads - 1) == thread) {
                        let at = (row as usize >> threads.ilog2()) * dim;
                        mine[at..at + dim].iter_mut().zip(&slot.change).for_each(|(x, change)| *x += change);
                    }
                }
            }
            let is_ending = self.ending.load(Ordering::Relaxed);
            if !self.barrier.wait() || is_ending {
                return None;
            }
        }
        Some(loss)
    }

    /// The linear layer's part for the document of this place in the epoch; gives its loss.
    fn learn(&self, place: usize, slot: &mut Slot, output: &mut [f32], scores: &mut Vec<f32>) -> f64 {
        let Epoch { settings, examples, number } = self.epoch;
        let dim = self.weights.dim;
        let Slot { labels, rows, hidden, change } = slot;
        change.clear();
        change.resize(dim, 0.0);
        if rows.is_empty() {
            return 0.0;
        }
        let n = examples.len() as f64;
        let progress = (f64::from(*number) * n + place as f64) / (f64::from(settings.epochs) * n);
        let lr = (settings.lr * (1.0 - progress)) as f32;
        scores.clear();
        scores.extend(output.chunks_exact(dim).map(|row| row.iter().zip(&*hidden).map(|(a, b)| a * b).sum::<f32>()));
        let loss = match settings.choice {
            Choice::OneLabel => {
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = scores.iter().map(|score| (score - most).exp()).sum();
                scores.iter_mut().for_each(|score| *score = (*score - most).exp() / sum);
                -f64::from(scores[labels[0] as usize].max(1e-30)).ln()
            }
            Choice::AnyLabels => {
                scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp()));
                let of = |(label, p): (usize, &f32)| {
                    let p = if labels.contains(&(label as u32)) { *p } else { 1.0 - p };
                    -f64::from(p.max(1e-30)).ln()
                };
                scores.iter().enumerate().map(of).sum()
            }
        };
        let share = 1.0 / rows.len() as f32;
        for (label, (row, p)) in output.chunks_exact_mut(dim).zip(&*scores).enumerate() {
            let truth = if labels.contains(&(label as u32)) { 1.0 } else { 0.0 };
            let step = lr * (truth - p);
            for ((change, weight), hidden) in change.iter_mut().zip(row).zip(&*hidden) {
                *change += step * share * *weight;
                *weight += step * hidden;
            }
        }
        loss
    }
}
