//! Sources of targets: a live model, a cache on disk, a server, or several of them.
//!
//! # Tour
//! - [`LiveTeacher`]: a model that runs beside the student; its full distribution is multiplied out chunk by
//!   chunk by the engine. [`OffloadedTeacher`] has its weights in memory only while it reads.
//! - [`cache`]: the same teacher's truncated distributions written once ([`cache::write`]) and read many times
//!   ([`CachedTeacher`]). A cache names the teacher, tokenizer and packing it was made for and is refused for
//!   others; every row carries the hash of its input ids and a checksum.
//! - [`remote`]: a teacher on a server, for caches or while the student learns.
//! - [`capture`]: what DistillKit has written of a teacher, for caches.
//! - [`across`]: a model with another vocabulary, where both have read the same text.
//! - [`SeveralTeachers`]: each document has its own by its route, or the average of some, whom a policy may choose ([`selection`]).

pub mod across;
pub mod cache;
mod cached;
pub mod capture;
mod error;
mod live;
mod offloaded;
pub mod remote;
pub mod selection;
mod several;
mod taps;

pub use cached::CachedTeacher;
pub use error::CacheError;
pub use live::LiveTeacher;
pub use offloaded::OffloadedTeacher;
pub use several::{Member, SeveralTeachers};
