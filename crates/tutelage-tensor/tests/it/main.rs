//! Every operation three ways: against its naive reference, finite differences and PyTorch.

#![allow(clippy::unwrap_used)]

mod bits;
mod blocks;
mod features;
mod linear_loss;
mod ops;
mod optimizer;
mod paged;
mod pytorch;
mod references;
mod softmax_loss;
mod support;
