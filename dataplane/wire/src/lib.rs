//! Header views over byte slices: every byte format of the packet path, one file a format. No DPDK, no I/O.

#![forbid(unsafe_code)]

mod isd_as;
mod time;

pub use isd_as::{InvalidIsdAs, IsdAs};
pub use time::{EpochNanos, Nanos, UnixNanos};
