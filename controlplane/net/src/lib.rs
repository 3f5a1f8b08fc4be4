//! What several roles share and no library gives: configuration loading, files that hold secrets, and shutdown.

#![forbid(unsafe_code)]

pub mod config;
pub mod secret_file;
mod shutdown;

pub use shutdown::Shutdown;
