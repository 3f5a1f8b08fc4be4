//! Which worker owns a packet: receive-side scaling over authenticated fields only.
//!
//! Each worker has its own duplicate filter, so all copies of a packet must reach the same worker. A packet is
//! therefore steered by what its authentication tag covers, the host addresses that enter the key derivation, and
//! never by UDP ports, which an attacker can rewrite: a replay with another port would land on a worker that has not
//! seen it.
//!
//! The hash is Toeplitz with an indirection table, exactly as NICs compute it (Microsoft, "RSS Hashing Functions",
//! `NdisHashFunctionToeplitz`; DPDK, `rte_softrss` of `rte_thash.h`), so that a packet steered in software and one
//! steered by a NIC programmed with [`KEY`] and [`Steering::reta`] meet the same worker.
//!
//! Addresses are folded first, as the key derivation does: a pair of IPv4-mapped IPv6 addresses hashes like the IPv4
//! pair, because both forms of one packet verify under the same key. A NIC does not know this; packets that carry
//! IPv4-mapped addresses in an IPv6 header must be refused or steered in software.

use std::net::{IpAddr, Ipv6Addr};

/// The Toeplitz key: that of Microsoft's verification suite, so that what is published there tests what runs here.
///
/// The other common choice, `6d5a` repeated, makes the hash symmetric in source and destination, which nothing here
/// needs: what a worker remembers (duplicates, timestamps) is about one direction. It has a price: only the exclusive
/// or of the two addresses' 16-bit halves counts, so that two sites whose hosts talk in pairs (10.1.0.7 with
/// 10.2.0.7, 10.1.0.8 with 10.2.0.8) would load a single worker.
///
/// A NIC that wants a longer key (52 bytes are usual) gets this one with anything behind it: the hash of two IPv6
/// addresses reads 36 bytes of the key.
pub const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b,
    0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
    0x01, 0xfa,
];

/// Entries of the indirection table.
///
/// A NIC with a larger table gets [`Steering::reta`] repeated; one with a smaller table agrees only if the number of
/// workers divides its size.
pub const RETA_LEN: usize = 128;

/// What the hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Source and destination address.
    Both,
    /// The source address alone: where a NAT rewrites the destination, the address in the packet is not the one that
    /// was authenticated.
    SourceOnly,
}

/// Maps address pairs to workers. Immutable; one is shared by all.
#[derive(Clone, Debug)]
pub struct Steering {
    over: Over,
    reta: [u16; RETA_LEN],
}

impl Steering {
    /// Spreads packets over `workers` by what `over` names.
    ///
    /// # Panics
    /// If there is no worker, or more than 65,536.
    pub fn new(workers: usize, over: Over) -> Self {
        assert!((1..=1 << 16).contains(&workers), "{workers} workers cannot share the packets");
        Self { over, reta: std::array::from_fn(|entry| (entry % workers) as u16) }
    }

    /// The worker, from 0, that owns packets from `source` to `destination`.
    pub fn owner(&self, source: IpAddr, destination: IpAddr) -> usize {
        let hash = match self.over {
            Over::Both => hash_pair(source, destination),
            Over::SourceOnly => hash_one(source),
        };
        usize::from(self.reta[hash as usize % RETA_LEN])
    }

    /// The indirection table to program into a NIC: the receive queue for each value of the hash's low seven bits,
    /// queues numbered like workers.
    pub fn reta(&self) -> &[u16; RETA_LEN] {
        &self.reta
    }
}

fn hash_pair(source: IpAddr, destination: IpAddr) -> u32 {
    match (source.to_canonical(), destination.to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            toeplitz(0, &source.octets()) ^ toeplitz(4, &destination.octets())
        }
        (source, destination) => toeplitz(0, &as_ipv6(source).octets()) ^ toeplitz(16, &as_ipv6(destination).octets()),
    }
}

fn hash_one(source: IpAddr) -> u32 {
    match source.to_canonical() {
        IpAddr::V4(source) => toeplitz(0, &source.octets()),
        IpAddr::V6(source) => toeplitz(0, &source.octets()),
    }
}

/// A pair of which only one is mapped travels in an IPv6 header, and is hashed as it stands there.
fn as_ipv6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The share of `bytes`, which stand at `offset` of the hash input, in the hash: shares combine by exclusive or.
fn toeplitz<const N: usize>(offset: usize, bytes: &[u8; N]) -> u32 {
    let tables = TABLES[offset..offset + N].iter();
    tables.zip(bytes).fold(0, |hash, (table, byte)| hash ^ table[usize::from(*byte)])
}

/// What each value of each input byte adds to the hash.
static TABLES: [[u32; 256]; INPUT_LEN] = {
    let mut tables = [[0; 256]; INPUT_LEN];
    let mut position = 0;
    while position < INPUT_LEN {
        let mut value = 0;
        while value < 256 {
            let mut bit = 0;
            while bit < 8 {
                if value & (0x80 >> bit) != 0 {
                    tables[position][value] ^= key_window(position * 8 + bit);
                }
                bit += 1;
            }
            value += 1;
        }
        position += 1;
    }
    tables
};

/// The 32 bits of the key from bit `first` on.
const fn key_window(first: usize) -> u32 {
    let (byte, shift) = (first / 8, first % 8);
    let mut bits = 0_u64;
    let mut i = 0;
    while i < 5 {
        bits = bits << 8 | KEY[byte + i] as u64;
        i += 1;
    }
    (bits >> (8 - shift)) as u32
}

/// Two IPv6 addresses.
const INPUT_LEN: usize = 32;

#[cfg(test)]
mod tests;
