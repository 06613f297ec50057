//! A meeting point of threads that meet many thousand times a second: they spin rather than sleep.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Where `n` threads wait for each other.
#[derive(Debug)]
pub(super) struct Barrier {
    n: usize,
    arrived: AtomicUsize,
    meetings: AtomicUsize,
    broken: AtomicBool,
}

/// Looks at the meeting's number before the thread gives its core away.
const SPINS: usize = 4_000;

impl Barrier {
    pub(super) fn new(n: usize) -> Self {
        Self { n, arrived: AtomicUsize::new(0), meetings: AtomicUsize::new(0), broken: AtomicBool::new(false) }
    }

    /// Waits for the others; false when one of them will not come.
    pub(super) fn wait(&self) -> bool {
        let meeting = self.meetings.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.n {
            self.arrived.store(0, Ordering::Relaxed);
            self.meetings.store(meeting.wrapping_add(1), Ordering::Release);
            return true;
        }
        let mut spins = 0;
        while self.meetings.load(Ordering::Acquire) == meeting {
            if self.broken.load(Ordering::Relaxed) {
                return false;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        true
    }

    /// Lets nobody wait any longer when the thread that holds it ends in a panic.
    pub(super) fn alarm(&self) -> Alarm<'_> {
        Alarm(self)
    }
}

/// See [`Barrier::alarm`].
pub(super) struct Alarm<'b>(&'b Barrier);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_goes_on_before_all_are_there() {
        let (barrier, sum) = (Barrier::new(3), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 1..=200 {
                        sum.fetch_add(1, Ordering::Relaxed);
                        assert!(barrier.wait());
                        assert_eq!(sum.load(Ordering::Relaxed), 3 * round);
                        assert!(barrier.wait());
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_lets_the_others_go() {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let broken = scope.spawn(|| {
                let _alarm = barrier.alarm();
                panic!("on purpose");
            });
            assert!(broken.join().is_err());
            assert!(!barrier.wait());
        });
    }
}
