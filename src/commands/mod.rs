//! The commands, one file each.

pub(crate) mod aslist;
#[cfg(feature = "dataplane")]
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod completions;
#[cfg(feature = "dataplane")]
pub(crate) mod demo;
pub(crate) mod dht;
#[cfg(feature = "dataplane")]
pub(crate) mod filter;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod log_level;
pub(crate) mod pki;
pub(crate) mod px;
pub(crate) mod qks;
pub(crate) mod reload;
pub(crate) mod status;
pub(crate) mod top;
#[cfg(feature = "dataplane")]
pub(crate) mod trace;
pub(crate) mod verify;
