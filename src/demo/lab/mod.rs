//! A network on one machine: namespaces, what is in them, and frames on their interfaces as they are.
//!
//! The end-to-end tests are built on the same module, so nothing in here knows of the demo.

mod filter;
mod internet;
mod key_servers;
mod manage;
mod namespace;
mod outcome;
mod patience;
mod process;
mod raw_socket;
mod telemetry;
mod watch;

pub(crate) use filter::Filter;
pub(crate) use internet::{FIBRE, HOST_INTERFACE, INSIDE, Internet, OUTSIDE, Side};
pub(crate) use key_servers::{KeyServer, KeyServers, KeyServersPlan, LINK_SECRET, Place};
pub(crate) use manage::ask;
pub(crate) use namespace::{Namespace, missing, remove_leftovers};
pub(crate) use outcome::Counters;
pub(crate) use patience::Patience;
pub(crate) use raw_socket::{Direction, RawSocket};
pub(crate) use watch::{Flow, Watch};
