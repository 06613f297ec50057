//! Output layer and loss in one, in chunks of tokens.
//!
//! Logits exist for one chunk at a time, the student's and a live teacher's side by side; an
//! [`LogitObjective`] turns the student's into their gradient in place, and the chunk is multiplied back
//! into the gradients of the hidden states and of the output weights before the next one is made.
//! So memory is `chunk x vocabulary`, never `tokens x vocabulary`.

mod chunks;
mod objective;
mod op;
pub mod reference;

pub use chunks::chunk_bytes;
pub use objective::{LogitObjective, TeacherLogits};
