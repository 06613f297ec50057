//! Output layer and loss in one; memory is never `tokens x vocabulary`.
//!
//! - `chunks`: for any objective and machine. Logits exist for some rows at a time, the student's and a live teacher's
//!   side by side; a [`LogitObjective`] turns the student's into their gradient in place, and the chunk is multiplied
//!   back into the gradients of the hidden states and of the output weights.
//! - `blocks`: on tiles, for objectives in softmax form ([`SoftmaxObjective`]). Logits are never in memory.

#[cfg(target_arch = "x86_64")]
mod blocks;
mod chunks;
mod memory;
mod objective;
mod op;
pub mod reference;
mod teacher;

pub use chunks::teacher_terms;
pub use memory::LossMemory;
pub use objective::{LogitObjective, Pick, SoftmaxObjective, softmax_row};
pub use teacher::{MISSING, TeacherLogits, TeacherMember, TeacherPart};
