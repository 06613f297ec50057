//! The program as a user meets it: a tiny recipe from text to report, interruptions, and wrong requests.

#![allow(clippy::unwrap_used)]

mod across;
mod captures;
mod data;
mod features;
mod generate;
mod gguf;
mod interrupted;
mod mixed;
mod on_policy;
mod online;
mod remote;
mod routes;
mod selection;
mod serve;
mod stored;
mod support;
mod tokenizer;
mod unread;
mod whole;
mod wrong;
