//! DRKey types, epochs and derivation.

#![forbid(unsafe_code)]
