//! What several roles share and no library gives: configuration loading and shutdown.

#![forbid(unsafe_code)]

pub mod config;
mod shutdown;

pub use shutdown::Shutdown;
