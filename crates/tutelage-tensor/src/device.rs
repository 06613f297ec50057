//! Where arithmetic happens.

use std::sync::Arc;

use rayon::prelude::*;

use crate::buffer::{Buffer, BufferPool, MemoryUse};
use crate::profile::Profile;
use crate::{Element, Isa, IsaUnavailable, OpTime};

/// A thread pool, an instruction set and a memory pool. Cheap to clone; clones share all three.
#[derive(Clone)]
pub struct Device {
    inner: Arc<Inner>,
}

struct Inner {
    threads: Arc<rayon::ThreadPool>,
    isa: Isa,
    memory: Arc<BufferPool>,
    profile: Arc<Profile>,
}

impl Device {
    /// The processor, with `n_threads` threads (at least one).
    ///
    /// # Errors
    /// When `isa` is not available on this machine.
    pub fn cpu(n_threads: usize, isa: Isa) -> Result<Self, IsaUnavailable> {
        let isa = isa.ready()?;
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(n_threads.max(1))
            .thread_name(|i| format!("tutelage-{i}"))
            .build()
            .map_err(|error| IsaUnavailable::threads(n_threads, &error))?;
        let (threads, memory, profile) = (Arc::new(threads), Arc::default(), Arc::default());
        Ok(Self { inner: Arc::new(Inner { threads, isa, memory, profile }) })
    }

    /// The same threads with memory of their own, which goes back to the system with the last buffer and clone.
    pub fn with_own_memory(&self) -> Self {
        let Inner { threads, isa, profile, .. } = &*self.inner;
        let (threads, profile) = (Arc::clone(threads), Arc::clone(profile));
        Self { inner: Arc::new(Inner { threads, isa: *isa, memory: Arc::default(), profile }) }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.inner.isa
    }

    /// Number of threads.
    pub fn n_threads(&self) -> usize {
        self.inner.threads.current_num_threads()
    }

    /// Memory taken from the system so far.
    pub fn memory_use(&self) -> MemoryUse {
        self.inner.memory.memory_use()
    }

    /// Begins or ends counting the time of operations.
    pub fn set_profiling(&self, on: bool) {
        self.inner.profile.switch(on);
    }

    /// Time by operation since the last call, longest first. Packing a weight is counted by itself and in
    /// the product that first needs it; other operations do not contain one another.
    pub fn take_profile(&self) -> Vec<OpTime> {
        self.inner.profile.take()
    }

    /// Runs `work`, an operation of this name.
    pub(crate) fn timed<R>(&self, name: &'static str, work: impl FnOnce() -> R) -> R {
        self.inner.profile.timed(name, work)
    }

    /// A buffer with unspecified contents.
    pub fn buffer<T: Element>(&self, len: usize) -> Buffer<T> {
        Buffer::take(&self.inner.memory, len)
    }

    /// A buffer of zeros.
    pub fn zeros<T: Element>(&self, len: usize) -> Buffer<T> {
        let mut buffer = self.buffer::<T>(len);
        buffer.fill(T::from_f32(0.0));
        buffer
    }

    /// Runs `work` on one of the threads: operations inside begin without waking one first.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.inner.threads.install(work)
    }

    /// Runs `task(0) .. task(n - 1)`, in any order, on all threads.
    pub fn for_each(&self, n: usize, task: impl Fn(usize) + Sync + Send) {
        match n {
            0 => {}
            1 => task(0),
            _ => self.inner.threads.install(|| (0..n).into_par_iter().for_each(task)),
        }
    }

    /// Splits `out` into blocks of `block` elements and runs `task(index, block)` on all threads.
    pub fn for_each_block<T: Send>(&self, out: &mut [T], block: usize, task: impl Fn(usize, &mut [T]) + Sync + Send) {
        if out.len() <= block {
            if !out.is_empty() {
                task(0, out);
            }
            return;
        }
        self.inner.threads.install(|| {
            out.par_chunks_mut(block).enumerate().for_each(|(index, chunk)| task(index, chunk));
        });
    }

    /// Like [`Device::for_each_block`] over two outputs divided alike.
    pub fn for_each_block2<T: Send, U: Send>(
        &self,
        (out_a, block_a): (&mut [T], usize),
        (out_b, block_b): (&mut [U], usize),
        task: impl Fn(usize, &mut [T], &mut [U]) + Sync + Send,
    ) {
        self.inner.threads.install(|| {
            out_a
                .par_chunks_mut(block_a)
                .zip(out_b.par_chunks_mut(block_b))
                .enumerate()
                .for_each(|(index, (a, b))| task(index, a, b));
        });
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device(cpu, {} threads, {})", self.n_threads(), self.isa())
    }
}

/// An output whose parts are written by different tasks.
pub(crate) struct DisjointOut<'a, T> {
    pointer: *mut T,
    len: usize,
    _out: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: the only access is `slice`, whose caller promises that parts do not overlap.
unsafe impl<T: Send> Sync for DisjointOut<'_, T> {}
// SAFETY: as above; the exclusive borrow it was made from is held for its lifetime.
unsafe impl<T: Send> Send for DisjointOut<'_, T> {}

impl<'a, T> DisjointOut<'a, T> {
    pub(crate) fn new(out: &'a mut [T]) -> Self {
        Self { pointer: out.as_mut_ptr(), len: out.len(), _out: std::marker::PhantomData }
    }

    /// The first element.
    pub(crate) fn pointer(&self) -> *mut T {
        self.pointer
    }

    /// Elements `start .. start + len`.
    ///
    /// # Safety
    /// No other part that is alive may overlap this one.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start + len <= self.len, "part {start}+{len} of an output of {}", self.len);
        // SAFETY: inside the borrowed slice (checked), and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), len) }
    }
}
