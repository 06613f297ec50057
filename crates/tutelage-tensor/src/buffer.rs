//! Memory that is reused from step to step.
//!
//! Fresh pages cost more than the arithmetic on them, so a dropped [`Buffer`] goes back to its pool and
//! the next request of about its size takes it. Contents of a taken buffer are unspecified but initialised.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Element;

/// One cache line, and the width of a 512-bit register.
const ALIGNMENT: usize = 64;
const SMALLEST_CLASS: usize = 4096;
/// Blocks of this size and more begin on such a border and are asked for in pages of it.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes a pool has taken from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes held by live buffers and by the free lists together: the pool's footprint.
    pub reserved: usize,
    /// How many buffers came from the system rather than from a free list.
    pub fresh_buffers: u64,
}

/// Free memory by size class.
#[derive(Default)]
pub(crate) struct BufferPool {
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    free: HashMap<usize, Vec<Block>>,
    reserved: usize,
    fresh_buffers: u64,
}

struct Block(NonNull<u8>);

// SAFETY: a block is an exclusively owned allocation; no thread keeps a pointer into it once it is here.
unsafe impl Send for Block {}

impl BufferPool {
    fn state(&self) -> std::sync::MutexGuard<'_, PoolState> {
        // A panic elsewhere cannot leave the lists half-changed: each critical section is one push or pop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory_use(&self) -> MemoryUse {
        let state = self.state();
        MemoryUse { reserved: state.reserved, fresh_buffers: state.fresh_buffers }
    }

    fn take(&self, class: usize) -> NonNull<u8> {
        if let Some(block) = self.state().free.get_mut(&class).and_then(Vec::pop) {
            return block.0;
        }
        let layout = layout_of(class);
        // SAFETY: the layout has a non-zero size (the smallest class is 4096 bytes).
        let pointer = unsafe { if class >= HUGE_PAGE { alloc(layout) } else { alloc_zeroed(layout) } };
        let Some(pointer) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        if class >= HUGE_PAGE {
            ask_for_huge_pages(pointer, class);
            // SAFETY: the block has `class` bytes and is nobody else's yet.
            unsafe { pointer.as_ptr().write_bytes(0, class) };
        }
        let mut state = self.state();
        state.reserved += class;
        state.fresh_buffers += 1;
        pointer
    }

    fn give(&self, pointer: NonNull<u8>, class: usize) {
        self.state().free.entry(class).or_default().push(Block(pointer));
    }
}

impl Drop for BufferPool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (class, blocks) in state.free.drain() {
            for block in blocks {
                // SAFETY: every block was allocated by `take` with the layout of its class.
                unsafe { dealloc(block.0.as_ptr(), layout_of(class)) };
            }
        }
    }
}

/// Products walk through large blocks in rows that are pages apart, so fewer, larger pages are worth asking for.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(pointer: NonNull<u8>, len: usize) {
    // SAFETY: advice about memory that is ours; what it does not suit is ignored by the system.
    unsafe { libc::madvise(pointer.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: NonNull<u8>, _: usize) {}

fn layout_of(class: usize) -> Layout {
    let alignment = if class >= HUGE_PAGE { HUGE_PAGE } else { ALIGNMENT };
    match Layout::from_size_align(class, alignment) {
        Ok(layout) => layout,
        Err(_) => panic!("a buffer of {class} bytes exceeds the address space"),
    }
}

/// Sizes are rounded up to eighths of a power of two: at most 12.5 % is wasted and few classes exist.
fn class_of(bytes: usize) -> usize {
    let bytes = bytes.max(SMALLEST_CLASS);
    let step = (bytes.next_power_of_two() / 16).max(ALIGNMENT);
    bytes.div_ceil(step) * step
}

/// A slice of numbers that goes back to its pool when dropped.
pub struct Buffer<T: Element> {
    pointer: NonNull<T>,
    len: usize,
    class: usize,
    pool: Arc<BufferPool>,
    _elements: PhantomData<T>,
}

// SAFETY: a buffer owns its memory exclusively, like `Vec<T>`; `T` is a plain number.
unsafe impl<T: Element> Send for Buffer<T> {}
// SAFETY: shared access is read-only, like `&[T]`.
unsafe impl<T: Element> Sync for Buffer<T> {}

impl<T: Element> Buffer<T> {
    pub(crate) fn take(pool: &Arc<BufferPool>, len: usize) -> Self {
        let class = class_of(len * size_of::<T>());
        let pointer = pool.take(class).cast();
        Self { pointer, len, class, pool: Arc::clone(pool), _elements: PhantomData }
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.pool.give(self.pointer.cast(), self.class);
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the block holds at least `len` elements, is aligned to 64 bytes, was zeroed at birth
        // (any bit pattern is a value of `T`, which is sealed), and is owned by `self`.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }
}

impl<T: Element> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer<{:?}>[{}]", T::DTYPE, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_memory_is_taken_again() {
        let pool = Arc::new(BufferPool::default());
        let first = Buffer::<f32>::take(&pool, 5000);
        let address = first.as_ptr();
        drop(first);
        let second = Buffer::<f32>::take(&pool, 4990);
        assert_eq!(second.as_ptr(), address);
        assert_eq!(pool.memory_use().reserved, class_of(20_000));
    }

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for bytes in (4096..200_000).step_by(37) {
            let class = class_of(bytes);
            assert!(class >= bytes && class <= bytes + bytes / 8 + ALIGNMENT, "{bytes} -> {class}");
            assert_eq!(class % ALIGNMENT, 0);
        }
    }
}
