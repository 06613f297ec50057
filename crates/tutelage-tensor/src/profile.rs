//! Time by operation, for benches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time spent in one kind of operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpTime {
    /// Its name, as in "attention backward".
    pub name: &'static str,
    /// How often it ran.
    pub calls: u64,
    /// Seconds of the calling thread, waiting for the others included.
    pub seconds: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Profile {
    on: AtomicBool,
    entries: Mutex<BTreeMap<&'static str, (u64, Duration)>>,
}

impl Profile {
    /// Begins or ends counting.
    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// What was counted since the last call, longest first.
    pub(crate) fn take(&self) -> Vec<OpTime> {
        let entries = std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner));
        let mut out: Vec<OpTime> = entries
            .into_iter()
            .map(|(name, (calls, time))| OpTime { name, calls, seconds: time.as_secs_f64() })
            .collect();
        out.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        out
    }

    pub(crate) fn timed<R>(&self, name: &'static str, work: impl FnOnce() -> R) -> R {
        if !self.on.load(Ordering::Relaxed) {
            return work();
        }
        let begun = Instant::now();
        let result = work();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(name).or_default();
        entry.0 += 1;
        entry.1 += begun.elapsed();
        result
    }
}
