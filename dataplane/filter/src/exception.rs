//! The kernel's end of a port: an interface through which the host's own stack speaks on the link.

use crate::options::TAP;
use photongate_dpdk::port::PortConfig;
use photongate_dpdk::{Eal, Mempool, Port, PortError};
use photongate_wire::MacAddress;

/// Makes the interface for port number `index`. It has the address `mac`, so that ARP answers name the port.
pub(crate) fn open(eal: Eal, index: usize, interface: &str, mac: MacAddress) -> Result<Port, PortError> {
    Port::attach(eal, &format!("{TAP}_exception{index},iface={interface},mac={mac}"))
}

/// Sets the interface up with one queue each way.
pub(crate) fn configure(port: &mut Port, mtu: usize, descriptors: u16, pool: &Mempool) -> Result<(), PortError> {
    let config = PortConfig {
        rx_descriptors: descriptors,
        tx_descriptors: descriptors,
        mtu: u16::try_from(mtu).ok(),
        checksums: false,
        ..PortConfig::default()
    };
    port.configure(&config, pool).map(drop)
}

/// An address for our end of a link whose other end, an interface of this machine's kernel, has `address`: a
/// `net_tap` device reports the kernel's address as its own.
pub(crate) fn address_beside(address: MacAddress) -> MacAddress {
    let MacAddress([first, b, c, d, e, last]) = address;
    // Locally administered (IEEE 802, section 8.4.2), as it is nobody's by registration.
    MacAddress([first | 0x02, b, c, d, e, last ^ 0x80])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ends_of_a_link_differ_in_their_address() {
        for address in [MacAddress([0, 0x64, 0x74, 0x61, 0x70, 0]), MacAddress([0xfe, 1, 2, 3, 4, 0xff])] {
            let ours = address_beside(address);
            assert_ne!(ours, address);
            assert!(!ours.is_multicast());
        }
    }
}
