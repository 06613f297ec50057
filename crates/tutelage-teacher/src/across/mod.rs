//! A teacher with another vocabulary: what it says counts where both have read the same text.
//!
//! The student's ids of a document are spelled out, and the teacher reads that text in its own tokens. Where a token of both ends at
//! the same byte, both say what follows the same text, and the teacher's row speaks of the student's (GOLD's span alignment). Its mass
//! becomes the student's by what the student would write:
//! - The mass of a token goes to the student's entry for the same bytes, or else to the first of the tokens that the student
//!   writes for it; what ends a document is what ends one.
//! - Within such a token the student's rows have a teacher too: the mass of those tokens that begin with what the student has
//!   written of it, by what follows, relative to their sum.
//! - Where the teacher writes the student's next token as several of its own, that token has their probabilities' product (GOLD's
//!   merged span), which is taken from the first of them where that is an entry too.
//!
//! Mass without an entry (tokens without text, tokens that end where a path ends) is one class, which an objective with a tail
//! compares as such. Rows within a token that the student writes otherwise than alone have no teacher.
//!
//! What a student writes for a token alone may not be what it writes in a longer text: an entry that is the beginning of a longer one
//! has mass here that the student would give to the longer. GOLD and ULD have the same.
//!
//! Departure from ULD (2402.12030) and GOLD: there, what has no like is compared by sorted probabilities, most likely with most likely,
//! whatever they stand for. Here the distance is one between two coarsened distributions over the same events.

mod align;
mod entries;
mod source;
mod vocabulary;

pub use source::{AcrossSource, Alignment};
pub use vocabulary::{Across, Encode, Ids, Vocabulary};
