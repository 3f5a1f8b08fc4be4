//! A decentralised store: values lie under their own SHA-256 on whichever nodes are nearest to it, and are found in a logarithmic number
//! of steps with no server in the middle.
//!
//! The core is pure: [`node`] is a state machine that is told what happened (datagrams, requests, time) and says what to do (send, store,
//! fetch, answer). It has no sockets, clocks or randomness, so a simulator runs thousands of nodes from a seed.
//!
//! What crosses the network: [`message`], with [`id`] and [`contact`] in it. `docs/protocol/dht.md` has an example of each.
//! Values themselves do not travel in datagrams: [`transfer`] is how one node asks another for one.
//!
//! What a node keeps is in its [`store`]. A file is a list of values, its [`manifest`]; [`fetch`] gets its pieces from several nodes at once.
//!
//! Whether others have a value is told by what they send: [`copies`].
//!
//! [`server`] joins all of it into a running node, which is asked by a [`handle`].

#![forbid(unsafe_code)]

mod api;
pub mod config;
pub mod contact;
pub mod copies;
pub mod fetch;
pub mod handle;
pub mod id;
pub mod lines;
mod lookup;
pub mod manifest;
pub mod message;
pub mod node;
mod providers;
pub mod server;
mod service;
#[cfg(test)]
mod simulation;
mod socket;
pub mod store;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
pub mod transfer;
pub mod transport;

pub use contact::Contact;
pub use id::{Distance, Id};
