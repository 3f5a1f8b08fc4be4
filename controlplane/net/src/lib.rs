//! What several roles share and no library gives: configuration loading, files that hold secrets, TLS identities and a private authority
//! that issues them, HTTP servers and their callers, metrics, and shutdown.

#![forbid(unsafe_code)]

pub mod config;
pub mod http;
pub mod https;
pub mod metrics;
mod node_address;
mod oidc;
pub mod pki;
#[cfg(feature = "quic")]
pub mod quic;
pub mod secret_file;
mod shutdown;
pub mod state_folder;
mod time;
pub mod tls;
pub mod unix_socket;

pub use node_address::NodeAddress;
pub use oidc::{JwksLocation, OidcConfig, OidcError};
pub use shutdown::Shutdown;
pub use time::{now, rfc3339};
