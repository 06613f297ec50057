//! A bias: the same row added to every row.

mod cpu;
mod op;
pub mod reference;
