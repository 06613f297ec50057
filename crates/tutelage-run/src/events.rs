//! What happens in a run, for whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A stage was done by an earlier run and is kept.
    StageKept {
        /// Its name.
        stage: &'a str,
    },
    /// A stage began, or went on.
    StageStarted {
        /// Its name.
        stage: &'a str,
        /// What it will do, in a few words.
        detail: &'a str,
        /// How many units there are, if that is known.
        total: Option<u64>,
        /// Units done by an earlier run.
        done: u64,
    },
    /// Units of the current stage are done.
    Progress {
        /// How many.
        done: u64,
        /// Numbers worth showing now; empty for none.
        note: &'a str,
    },
    /// The current stage is done.
    StageFinished {
        /// Its name.
        stage: &'a str,
        /// The result, in a few words.
        result: &'a str,
        /// How long it took in this process.
        seconds: f64,
    },
    /// Something to know.
    Note(&'a str),
}

/// Someone who is told.
pub trait Observer {
    /// Takes one event.
    fn event(&mut self, event: &Event<'_>);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event<'_>) {}
}

/// Raised from outside when work should stop at the next safe point.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Forgets it, for work that begins after what was stopped.
    pub fn lower(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
