//! Looking at documents: one after the other, numbers of them, a few of them, two forms of them side by side.

mod diff;
mod documents;
mod histogram;
mod sample;
mod stats;
#[cfg(test)]
mod tests;

pub use diff::{Change, Diff, Fate, diff};
pub use documents::{Documents, Found, InputFiles, documents, plain_files};
pub use histogram::{Bin, Histogram};
pub use sample::{Sample, sample};
pub use stats::{Stats, count_words, stats};
