//! The run folder: the one place that files are written through.
//!
//! # Tour
//! - [`write_atomic`], [`AtomicFile`] and [`AtomicFolder`]: beside, fsync, rename; never half a file.
//! - [`MappedFile`]: a read-only memory map. With the feature `parquet`, a reader of Parquet whose assertions are errors. [`{FileLock, RunLock}`]: one process a run folder.
//! - [`struct@Hash`]: what a file was made from. [`AppendedFile`] and [`Journal`]: bytes and lines that are
//!   only ever appended, and cut back to a checkpoint. [`EventFile`]: the same numbers for TensorBoard.
//! - [`RandomStream`]: numbers that depend on (seed, purpose) alone.
//! - [`records`]: what the files of a run hold. [`Event`]: what happens, for whoever shows it.
//! - [`FileError`]: the errors of all of this; [`FileError::is_request`] says whose fault it was.

mod appended;
mod atomic;
mod error;
mod events;
mod hash;
mod journal;
mod lock;
mod machine;
mod mapped;
#[cfg(feature = "parquet")]
mod parquet;
mod random;
pub mod records;
mod tensorboard;

pub use appended::AppendedFile;
pub use atomic::{
    AtomicFile, AtomicFolder, create_folder, link_or_copy, remove_file, remove_folder, rename, write_atomic, write_json,
};
pub use error::{FileError, read_bytes, read_json, read_text};
pub use events::{Event, Observer, Silent, StopFlag};
pub use hash::{ContentHasher, Hash, Hasher, hash_bytes, hash_file};
pub use journal::{Journal, read_lines};
pub use lock::{FileLock, RunLock};
pub use machine::{Machine, peak_memory_bytes};
pub use mapped::MappedFile;
#[cfg(feature = "parquet")]
pub use parquet::{guarded, parquet_reader};
pub use random::RandomStream;
pub use tensorboard::EventFile;
