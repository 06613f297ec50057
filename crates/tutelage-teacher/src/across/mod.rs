//! A teacher with another vocabulary: what it says counts where both have read the same text.
//!
//! The student's ids of a document are spelled out, and the teacher reads that text in its own tokens. Where a token of both ends at
//! the same byte, both say what follows the same text, and the teacher's row speaks of the student's (the exact part of GOLD's span
//! alignment). Of its row, entries count that stand for the same bytes in both vocabularies, end of document for end of document; all
//! its other mass is one class, which an objective with a tail compares as such. Rows within a token of the teacher's have no teacher.
//!
//! Departure from ULD (2402.12030) and GOLD: there, what has no like is compared by sorted probabilities, most likely with most likely,
//! whatever they stand for; here it is one class. So the distance is one between two coarsened distributions over the same events, and
//! nothing is guessed.

mod align;
mod source;
mod vocabulary;

pub use source::{AcrossSource, Alignment};
pub use vocabulary::{Across, Encode, Vocabulary};
