//! The quantum key server: ETSI GS QKD 014 towards applications, QKD links below, routing and trusted relay between servers.
//!
//! What decides is pure: `stock`, `routing` and `relay` have no sockets, clocks or randomness of their own. Around them
//! are thin shells: `store` keeps what must outlive the process, `links` brings key material in, `sae`, `peer` and `admin` answer.

#![forbid(unsafe_code)]

pub mod admin;
pub mod chair;
pub mod client;
pub mod config;
pub mod directory;
pub mod drkey;
pub mod encoding;
pub mod faults;
pub mod ids;
pub mod intake;
pub mod key_id;
pub mod keys;
pub mod link_registry;
pub mod links;
pub mod materials;
pub mod measures;
pub mod members;
pub mod peer;
pub mod preferences;
pub mod relay;
pub mod routing;
pub mod sae;
pub mod secrets;
pub mod server;
pub mod sources;
pub mod stock;
pub mod store;
