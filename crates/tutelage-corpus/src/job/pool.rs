//! The threads of a job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tutelage_run::{Event, Observer, StopFlag};

use super::block::Block;
use super::ledger::UnitRecord;
use super::unit::{Reading, Writing};
use super::{DocumentStage, Job};
use crate::CorpusError;
use crate::input::{Unit, Watch};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A unit that is being read.
struct Active<'u> {
    unit: &'u Unit,
    watch: Arc<Watch>,
    reading: Mutex<Reading>,
    writing: Mutex<Writing>,
    /// Told when blocks were appended.
    appended: Condvar,
    /// Chunks of the whole unit, once it is read.
    chunks: Mutex<Option<u64>>,
    place: usize,
}

struct Pool<'j, 'u, S> {
    job: &'j Job<'j>,
    stage: &'j S,
    work: &'j Path,
    units: &'j [(u32, &'u Unit)],
    /// The next unit that nobody has.
    next: AtomicUsize,
    /// Units that are read side by side. Each is read by one thread at a time and worked on by all of its threads.
    slots: Vec<Mutex<Option<Arc<Active<'u>>>>>,
    done: Mutex<Vec<Option<UnitRecord>>>,
    failed: Mutex<Option<CorpusError>>,
    stopped: AtomicBool,
    watches: Mutex<Vec<Arc<Watch>>>,
}

/// Works on every unit; nothing when it was asked to stop.
pub(super) fn run<S: DocumentStage>(
    job: &Job<'_>,
    stage: &S,
    work: &Path,
    units: &[(u32, &Unit)],
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Option<Vec<UnitRecord>>, CorpusError> {
    let threads = job.threads.max(1);
    // One reader keeps a few threads busy; more would only scatter the disk's reads.
    let n_slots = (threads / 4).clamp(1, units.len().max(1));
    let pool = Pool {
        job,
        stage,
        work,
        units,
        next: AtomicUsize::new(0),
        slots: (0..n_slots).map(|_| Mutex::new(None)).collect(),
        done: Mutex::new(units.iter().map(|_| None).collect()),
        failed: Mutex::new(None),
        stopped: AtomicBool::new(false),
        watches: Mutex::new(Vec::new()),
    };
    let total: u64 = units.iter().map(|(_, unit)| unit.bytes).sum();
    let detail = format!("{} files, {:.1} MB", units.len(), total as f64 / 1e6);
    observer.event(&Event::StageStarted { stage: stage.name(), detail: &detail, total: Some(total), done: 0 });
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel::<()>();
        for thread in 0..threads {
            let (pool, sender) = (&pool, sender.clone());
            scope.spawn(move || {
                // A panic must not leave the others waiting for blocks that never come.
                let _alarm = Alarm(&pool.stopped);
                if let Err(error) = pool.work(thread % n_slots) {
                    lock(&pool.failed).get_or_insert(error);
                    pool.stopped.store(true, Ordering::Relaxed);
                }
                drop(sender);
            });
        }
        drop(sender);
        // Ends when every thread has dropped its sender.
        while let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(Duration::from_millis(100)) {
            if stop.is_raised() {
                pool.stopped.store(true, Ordering::Relaxed);
            }
            observer.event(&Event::Progress { done: pool.bytes_read(), note: "" });
        }
    });
    if let Some(error) = lock(&pool.failed).take() {
        return Err(error);
    }
    let records: Option<Vec<UnitRecord>> = lock(&pool.done).drain(..).collect();
    Ok(records)
}

/// Stops the pool when its thread ends in a panic.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl<'u, S: DocumentStage> Pool<'_, 'u, S> {
    fn bytes_read(&self) -> u64 {
        lock(&self.watches).iter().map(|watch| watch.bytes()).sum()
    }

    fn work(&self, slot: usize) -> Result<(), CorpusError> {
        let mut worker = self.stage.worker();
        while !self.stopped.load(Ordering::Relaxed) {
            let Some(active) = self.active(slot)? else { return Ok(()) };
            let next = {
                let mut reading = lock(&active.reading);
                let next = reading.next()?;
                if let Some(chunks) = reading.ended_after() {
                    *lock(&active.chunks) = Some(chunks);
                }
                next
            };
            let Some((chunk, sequence, at)) = next else {
                self.leave(slot, &active);
                self.finish_if_whole(&active)?;
                continue;
            };
            let block =
                catch_unwind(AssertUnwindSafe(|| Block::of(self.stage, &mut worker, self.job.settings, &chunk, at)));
            let block = block.map_err(|_| {
                let last = at.index + chunk.items.len() as u64;
                CorpusError::Panicked(format!("{}: a panic in documents {} to {last}", active.unit.name, at.index + 1))
            })?;
            drop(chunk);
            let block = block.packed(self.job.settings.compression)?;
            self.deliver(&active, sequence, block)?;
            self.finish_if_whole(&active)?;
        }
        self.commit(slot)
    }

    /// The slot's unit, or the next one that is not done; nothing when there is none left.
    fn active(&self, slot: usize) -> Result<Option<Arc<Active<'u>>>, CorpusError> {
        let mut held = lock(&self.slots[slot]);
        while held.is_none() {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((number, unit)) = self.units.get(place) else { return Ok(None) };
            let writing = Writing::open(self.job, self.stage.ending(), unit, *number, self.work)?;
            if writing.record.is_done() {
                lock(&self.done)[place] = Some(writing.record);
                continue;
            }
            let watch = Arc::new(Watch::default());
            lock(&self.watches).push(Arc::clone(&watch));
            let reading = Reading::open(self.job, unit, *number, writing.record.chunks, &watch)?;
            *held = Some(Arc::new(Active {
                unit,
                watch,
                reading: Mutex::new(reading),
                writing: Mutex::new(writing),
                appended: Condvar::new(),
                chunks: Mutex::new(None),
                place,
            }));
        }
        Ok(held.clone())
    }

    /// Makes room in the slot, if it still holds this unit.
    fn leave(&self, slot: usize, active: &Arc<Active<'u>>) {
        let mut held = lock(&self.slots[slot]);
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, active)) {
            *held = None;
        }
    }

    /// Hands a block over, and waits while too many lie before it: memory is bounded by the threads.
    fn deliver(&self, active: &Active<'u>, sequence: u64, block: Block) -> Result<(), CorpusError> {
        let mut writing = lock(&active.writing);
        let ahead = 2 * self.job.threads as u64;
        while sequence > writing.appended() + ahead && !self.stopped.load(Ordering::Relaxed) {
            let waited = active.appended.wait_timeout(writing, Duration::from_millis(100));
            writing = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        writing.take(sequence, block)?;
        active.appended.notify_all();
        Ok(())
    }

    /// Ends the unit when its last block was appended.
    fn finish_if_whole(&self, active: &Active<'u>) -> Result<(), CorpusError> {
        let Some(chunks) = *lock(&active.chunks) else { return Ok(()) };
        let mut writing = lock(&active.writing);
        if writing.appended() == chunks && !writing.record.is_done() {
            writing.finish(active.unit, active.watch.bytes(), active.watch.hash())?;
            lock(&self.done)[active.place] = Some(writing.record.clone());
        }
        Ok(())
    }

    /// What is appended stays, for the next start.
    fn commit(&self, slot: usize) -> Result<(), CorpusError> {
        match &*lock(&self.slots[slot]) {
            Some(active) => lock(&active.writing).commit(),
            None => Ok(()),
        }
    }
}
