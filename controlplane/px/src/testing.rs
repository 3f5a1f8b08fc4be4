//! What tests share, those of the program too: a judge of what clients saw, and chance that can be had again.

pub mod linearizability;
pub mod random;
