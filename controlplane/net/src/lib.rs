//! What several roles share and no library gives: configuration loading, files that hold secrets,
//! HTTP servers and their callers, and shutdown.

#![forbid(unsafe_code)]

pub mod config;
pub mod http;
pub mod secret_file;
mod shutdown;
pub mod tls;
pub mod unix_socket;

pub use shutdown::Shutdown;
