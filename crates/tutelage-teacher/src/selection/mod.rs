//! Which of several teachers teach a document, learned from what their teaching does (RL-KD: 2012.06048).
//!
//! A policy sees of each document what its teachers make of it, and draws who teaches it; after the step it is told by how much the
//! student's cross-entropy with that step's text fell, and is moved towards what it drew when that was much (REINFORCE, with the running
//! mean as the baseline). [`Choice::Each`] draws every teacher or not; [`Choice::Weights`] draws weights of all, the continuous variant
//! (MTKD-RL: 2502.18510, whose reward and policy network differ).
//!
//! Departures: the unit is a document; the state has no representation of the text, but each teacher's own cross-entropy with it beside
//! the others', and how sure it is; the reward is what the update changed, where the paper has the loss itself; selected teachers are
//! averaged as distributions, whose forward KL has the gradient of the mean of their KLs.

mod choose;
mod measure;
mod policy;

pub(crate) use choose::choose;
pub use policy::{Choice, Policy};
