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

/// The addresses of one family, whose they are, and where their routes are.
struct Family<A> {
    lanes: ArrayVec<u8, MAX_BURST>,
    addresses: ArrayVec<A, MAX_BURST>,
    places: [usize; MAX_BURST],
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

    /// Finds the routes, and begins to fetch them.
    #[inline(always)]
    pub(crate) fn find<T: Copy>(&mut self, routes: &RouteTable<T>) {
        let Self { ipv4, ipv6 } = self;
        if !ipv4.lanes.is_empty() {
            routes.find_v4(&ipv4.addresses, &mut ipv4.places);
        }
        if !ipv6.lanes.is_empty() {
            routes.find_v6(&ipv6.addresses, &mut ipv6.places);
        }
    }

    /// Tells `each` which routes were found, and whose they are.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(&self, routes: &RouteTable<T>, mut each: impl FnMut(usize, Option<&T>)) {
        self.ipv4.found().for_each(|(lane, place)| each(lane, routes.value_v4(place)));
        self.ipv6.found().for_each(|(lane, place)| each(lane, routes.value_v6(place)));
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
    fn found(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lanes.iter().zip(&self.places).map(|(lane, place)| (usize::from(*lane) % MAX_BURST, *place))
    }
}

impl<A> Default for Family<A> {
    fn default() -> Self {
        Self { lanes: ArrayVec::new(), addresses: ArrayVec::new(), places: [0; MAX_BURST] }
    }
}
