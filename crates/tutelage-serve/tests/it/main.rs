//! The server, over real connections, with a tiny random model.

#![allow(clippy::unwrap_used)]

mod bounds;
mod chat;
mod completions;
mod description;
mod refusals;
mod support;
mod vanishing;
