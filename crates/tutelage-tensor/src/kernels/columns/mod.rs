//! Columns of one array added to columns of another: what an adapter adds to a projection.

mod op;
pub mod reference;
