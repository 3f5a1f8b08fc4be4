//! Header views over byte slices: every byte format of the packet path, one file a format. No DPDK, no I/O.
//!
//! A view is made by `parse`, which proves once that the bytes hold what the accessors read; no accessor can fail or
//! panic afterwards. Views borrow the packet and copy nothing. What a view says is what the packet claims: nothing here
//! checks a MAC, and a checksum only where the method's name says so. `…Mut` views change headers in place.

#![forbid(unsafe_code)]

pub mod checksum;
pub mod ethernet;
mod icmp;
mod ip_protocol;
pub mod ipv4;
pub mod ipv6;
mod isd_as;
pub mod lf;
pub mod lf2;
mod malformed;
pub mod tcp;
#[cfg(test)]
mod testing;
mod time;
pub mod too_big;
pub mod udp;
mod wireguard;

pub use checksum::Sum;
pub use ethernet::{EtherType, Ethernet, EthernetMut, InvalidMacAddress, MacAddress, VlanTag};
pub use icmp::{IcmpType, Icmpv6Type};
pub use ip_protocol::IpProtocol;
pub use ipv4::{Ipv4, Ipv4Mut};
pub use ipv6::{Fragment, Ipv6, Ipv6Mut, UpperLayer};
pub use isd_as::{InvalidIsdAs, IsdAs};
pub use lf::{Lf, LfHeader};
pub use lf2::{Lf2, Lf2Header};
pub use malformed::Malformed;
pub use tcp::{Tcp, TcpFlags};
pub use time::{EpochNanos, Nanos, UnixNanos};
pub use too_big::{NoAnswer, TooBig};
pub use udp::{Udp, UdpHeader, UdpMut};
pub use wireguard::WireguardMessage;
