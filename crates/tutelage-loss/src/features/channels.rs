//! Channel distillation carried over to language models (2006.01683, section 3.1).
//!
//! There the weight of a channel is the mean of an image's feature map over its places; here it is the mean of a hidden channel over
//! the learned tokens of a document. Weights of student and teacher are compared by their mean square difference
//! ([`super::hidden_mse`] of the means).
//!
//! Departures: the paper's code sums over pairs of layers, here it is their mean; its connector is a 1x1 convolution with batch norm
//! and ReLU, here a learned projection, which commutes with the mean and so costs a row a document. Documents count alike, however
//! long they are.
