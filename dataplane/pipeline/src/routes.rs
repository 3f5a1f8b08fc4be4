//! Longest-prefix match: from a destination address to what is configured for the most specific prefix around it.
//!
//! Both address families live in one table. An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, RFC 4291, 2.5.5.2) is looked
//! up as the IPv4 address it stands for, and a prefix within `::ffff:0:0/96` is kept as the IPv4 prefix, because key
//! derivation folds such addresses too: one host must not have two routes. A shorter IPv6 prefix such as `::/0`
//! therefore never matches a mapped address.

mod ranges;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use ranges::{Block, Ranges};

/// An immutable table from prefixes to small values. Built once per configuration, then shared by all workers.
#[derive(Clone)]
pub struct RouteTable<T> {
    ipv4: Ranges<u32, T>,
    ipv6: Ranges<u128, T>,
    len: usize,
}

impl<T: Copy> RouteTable<T> {
    /// Builds the table.
    ///
    /// # Errors
    /// Every prefix that occurs twice, and every prefix with bits set behind its length, all in one error.
    pub fn new(routes: impl IntoIterator<Item = (IpNet, T)>) -> Result<Self, InvalidRoutes> {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        let mut problems = Vec::new();
        for (prefix, value) in routes {
            let folded = fold(prefix);
            if prefix.trunc() != prefix {
                problems.push(InvalidRoute::HostBits(prefix));
            } else if !known.insert(folded) {
                problems.push(InvalidRoute::Duplicate(prefix));
            }
            match folded {
                IpNet::V4(net) => {
                    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                    ipv4.push(Block { first, last, value });
                }
                IpNet::V6(net) => {
                    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                    ipv6.push(Block { first, last, value });
                }
            }
        }
        if !problems.is_empty() {
            return Err(InvalidRoutes(problems));
        }
        Ok(Self { len: known.len(), ipv4: Ranges::new(ipv4), ipv6: Ranges::new(ipv6) })
    }

    /// Finds the longest prefixes that contain each of up to 64 IPv4 addresses, given as numbers, and begins to fetch their values, which
    /// [`value_v4`](Self::value_v4) reads a little later. Faster than so many look-ups.
    #[inline(always)]
    pub(crate) fn find_v4(&self, addresses: &[u32], places: &mut [usize; 64]) {
        self.ipv4.find(addresses, places);
    }

    /// The value at a place that [`find_v4`](Self::find_v4) found.
    #[inline(always)]
    pub(crate) fn value_v4(&self, place: usize) -> Option<&T> {
        self.ipv4.value(place)
    }

    /// As [`find_v4`](Self::find_v4), for IPv6 addresses of which none is IPv4-mapped.
    #[inline(always)]
    pub(crate) fn find_v6(&self, addresses: &[u128], places: &mut [usize; 64]) {
        self.ipv6.find(addresses, places);
    }

    /// The value at a place that [`find_v6`](Self::find_v6) found.
    #[inline(always)]
    pub(crate) fn value_v6(&self, place: usize) -> Option<&T> {
        self.ipv6.value(place)
    }

    /// The value of the longest prefix that contains `destination`. Does not allocate.
    #[inline(always)]
    pub fn look_up(&self, destination: IpAddr) -> Option<T> {
        match destination {
            IpAddr::V4(address) => self.ipv4.look_up(address.to_bits()),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => self.ipv4.look_up(address.to_bits()),
                None => self.ipv6.look_up(address.to_bits()),
            },
        }
    }
}

impl<T> RouteTable<T> {
    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is routed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self { ipv4: Ranges::default(), ipv6: Ranges::default(), len: 0 }
    }
}

impl<T> fmt::Debug for RouteTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteTable({} prefixes)", self.len)
    }
}

/// Routes that cannot be told apart or are not prefixes: all that were found, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidRoutes(pub Vec<InvalidRoute>);

/// What is wrong with one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoute {
    /// The prefix, or the IPv4 prefix it stands for, was given before.
    #[error("prefix {0} is given twice")]
    Duplicate(IpNet),
    /// Bits behind the prefix length are set, so it is not clear whether the host or its network is meant.
    #[error("{0} has bits set behind its prefix length: the network is {net}", net = .0.trunc())]
    HostBits(IpNet),
}

/// The IPv4 prefix that an IPv4-mapped prefix stands for, or `prefix`.
fn fold(prefix: IpNet) -> IpNet {
    let IpNet::V6(ipv6) = prefix else { return prefix };
    let folded = ipv6.addr().to_ipv4_mapped().zip(ipv6.prefix_len().checked_sub(MAPPED_PREFIX_LEN));
    folded.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(prefix, IpNet::V4)
}

/// `::ffff:0:0/96`.
const MAPPED_PREFIX_LEN: u8 = 96;

#[cfg(test)]
mod tests;
