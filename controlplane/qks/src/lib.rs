//! The quantum key server: ETSI GS QKD 014 towards applications, QKD links below, routing and trusted relay between servers.
//!
//! What decides is pure: `stock`, `routing` and `relay` have no sockets, clocks or randomness of their own. Around them
//! are thin shells: `store` keeps what must outlive the process, `links` brings key material in, `sae`, `peer` and `admin` answer.

#![forbid(unsafe_code)]

pub mod encoding;
pub mod ids;
pub mod key_id;
pub mod links;
pub mod relay;
pub mod routing;
pub mod secrets;
pub mod stock;
pub mod store;
