//! Addresses of a burst's packets, to be routed together: one look-up waits for memory at each step, many wait for it at the same time.

use crate::lanes::MAX_BURST;
use crate::routes::RouteTable;
use arrayvec::ArrayVec;
use std::net::IpAddr;

/// One address of each of some packets. None is an IPv4-mapped IPv6 address: such packets do not get here.
#[derive(Default)]
pub(crate) struct Addresses {
    ipv4: Family<u32>,
    ipv6: Family<u128>,
}

/// The addresses of one family, and whose they are.
struct Family<A> {
    lanes: ArrayVec<u8, MAX_BURST>,
    addresses: ArrayVec<A, MAX_BURST>,
}

impl Addresses {
    /// Adds the address of the packet in `lane`. Not called more than [`MAX_BURST`] times.
    #[inline(always)]
    pub(crate) fn add(&mut self, lane: usize, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.ipv4.add(lane, address.to_bits()),
            IpAddr::V6(address) => self.ipv6.add(lane, address.to_bits()),
        }
    }

    /// Tells `each` what `routes` has for each address, and whose it is.
    #[inline(always)]
    pub(crate) fn route<T: Copy>(&self, routes: &RouteTable<T>, mut each: impl FnMut(usize, Option<&T>)) {
        if !self.ipv4.lanes.is_empty() {
            routes.look_up_all_v4(&self.ipv4.addresses, |n, route| each(self.ipv4.lane(n), route));
        }
        if !self.ipv6.lanes.is_empty() {
            routes.look_up_all_v6(&self.ipv6.addresses, |n, route| each(self.ipv6.lane(n), route));
        }
    }
}

impl<A> Family<A> {
    #[inline(always)]
    fn add(&mut self, lane: usize, address: A) {
        // There is room for all packets of a burst.
        let _ = self.lanes.try_push(lane as u8);
        let _ = self.addresses.try_push(address);
    }

    #[inline(always)]
    fn lane(&self, n: usize) -> usize {
        usize::from(self.lanes[n]) % MAX_BURST
    }
}

impl<A> Default for Family<A> {
    fn default() -> Self {
        Self { lanes: ArrayVec::new(), addresses: ArrayVec::new() }
    }
}
