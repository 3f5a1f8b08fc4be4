//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
#[cfg(feature = "dataplane")]
pub(crate) mod filter;
pub(crate) mod import;
pub(crate) mod verify;
