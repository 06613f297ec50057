//! Rows of a table, by id.

mod cpu;
mod op;
pub mod reference;
