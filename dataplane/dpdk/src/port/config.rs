//! What a port can do, what is wanted of it, and what it was granted.

use std::fmt;

use photongate_dpdk_sys as sys;

use crate::Errno;

/// What a port is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// Name of the device: a PCI address, or a virtual device's name.
    pub name: String,
    /// Name of its driver.
    pub driver: String,
    /// Ethernet address.
    pub mac: [u8; 6],
    /// NUMA node, if it belongs to one.
    pub socket: Option<u32>,
    /// Largest IP packet at present, in bytes.
    pub mtu: u16,
    /// Smallest value that `mtu` can have.
    pub min_mtu: u16,
    /// Largest value that `mtu` can have.
    pub max_mtu: u16,
    /// How many receive queues it can have.
    pub max_rx_queues: u16,
    /// How many transmit queues it can have.
    pub max_tx_queues: u16,
    /// Entries of the table that maps hash values to receive queues; 0 without receive-side scaling.
    pub reta_size: u16,
    /// Bytes of the hash key that it takes; 0 if it does not say.
    pub hash_key_size: u8,
    /// Whether it can choose the receive queue by the IP addresses alone, for IPv4 and IPv6.
    pub rss_over_addresses: bool,
    /// Whether it can split long packets over several buffers.
    pub rx_scatter: bool,
    /// Whether it checks IP and UDP checksums.
    pub rx_checksums: bool,
    /// Whether it fills in the IPv4 header checksum.
    pub tx_ip_checksum: bool,
    /// Whether it fills in the UDP checksum.
    pub tx_udp_checksum: bool,
    /// Whether it sends packets that lie in several buffers.
    pub tx_multi_segment: bool,
}

impl PortInfo {
    pub(super) fn read(port: u16) -> Result<Self, Errno> {
        let mut raw = sys::pg_port_info::default();
        // SAFETY: `raw` can be written, and the shim checks the port number.
        Errno::check(unsafe { sys::pg_port_info(port, &raw mut raw) })?;
        Ok(Self {
            name: text(&raw.name),
            driver: text(&raw.driver),
            mac: raw.mac,
            socket: u32::try_from(raw.socket).ok(),
            mtu: raw.mtu,
            min_mtu: raw.min_mtu,
            max_mtu: raw.max_mtu,
            max_rx_queues: raw.max_rx_queues,
            max_tx_queues: raw.max_tx_queues,
            reta_size: raw.reta_size,
            hash_key_size: raw.hash_key_size,
            rss_over_addresses: raw.rss_l3,
            rx_scatter: raw.rx_scatter,
            rx_checksums: raw.rx_checksum,
            tx_ip_checksum: raw.tx_ip_checksum,
            tx_udp_checksum: raw.tx_udp_checksum,
            tx_multi_segment: raw.tx_multi_segment,
        })
    }
}

/// What is wanted of a port. What it cannot do is left out and told in [`Granted`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Packets that wait in a receive queue.
    pub rx_descriptors: u16,
    /// Packets that wait in a transmit queue.
    pub tx_descriptors: u16,
    /// Largest IP packet, in bytes; `None` keeps the device's.
    pub mtu: Option<u16>,
    /// Toeplitz key for receive-side scaling over the IP addresses. Repeated for a device that takes a longer one.
    ///
    /// There is no choice of ports or other fields: the caller relies on a flow's packets staying together whatever
    /// an attacker can alter. Used only with more than one receive queue.
    pub rss_key: [u8; 40],
    /// Have checksums of received packets checked, and those of sent ones filled in, where the device can.
    pub checksums: bool,
    /// Receive packets for any Ethernet address.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: None,
            rss_key: DEFAULT_RSS_KEY,
            checksums: true,
            promiscuous: true,
        }
    }
}

/// What a port was set up with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Packets that wait in a receive queue.
    pub rx_descriptors: u16,
    /// Packets that wait in a transmit queue.
    pub tx_descriptors: u16,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// Whether the receive queue is chosen by the IP addresses alone. With several queues and without this, the
    /// device spreads packets by a rule of its own, which may use anything in them.
    pub rss_over_addresses: bool,
    /// Whether [`crate::Mbuf::ip_checksum`] and [`crate::Mbuf::l4_checksum`] may know something.
    pub rx_checksums: bool,
    /// Whether the IPv4 header checksum can be left to the port.
    pub tx_ip_checksum: bool,
    /// Whether the UDP checksum can be left to the port.
    pub tx_udp_checksum: bool,
    /// Whether packets may be sent that lie in several buffers.
    pub tx_multi_segment: bool,
    /// What was wanted and not granted.
    pub downgrades: Vec<Downgrade>,
}

/// Something that was wanted of a port, and that it cannot do. The caller does it in software, or does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// Fewer receive queues.
    RxQueues {
        /// How many were wanted.
        wanted: u16,
        /// How many there are.
        granted: u16,
    },
    /// Fewer transmit queues.
    TxQueues {
        /// How many were wanted.
        wanted: u16,
        /// How many there are.
        granted: u16,
    },
    /// Another MTU.
    Mtu {
        /// Bytes wanted.
        wanted: u16,
        /// Bytes possible.
        granted: u16,
    },
    /// No receive-side scaling over the addresses alone.
    Rss,
    /// Packets longer than a buffer may be lost.
    Scatter {
        /// Bytes of the longest frame.
        frame: u32,
        /// Bytes of a buffer.
        buffer: u16,
    },
    /// The IPv4 header checksum is not filled in.
    TxIpChecksum,
    /// The UDP checksum is not filled in.
    TxUdpChecksum,
    /// Only packets for the port's own Ethernet address are received.
    Promiscuous,
}

impl fmt::Display for Downgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::RxQueues { wanted, granted } => write!(f, "has {granted} receive queues, {wanted} were wanted"),
            Self::TxQueues { wanted, granted } => write!(f, "has {granted} transmit queues, {wanted} were wanted"),
            Self::Mtu { wanted, granted } => write!(f, "has an MTU of {granted}, {wanted} was wanted"),
            Self::Rss => f.write_str("cannot spread packets over queues by their addresses alone"),
            Self::Scatter { frame, buffer } => {
                write!(f, "cannot split packets, and frames of up to {frame} bytes do not fit buffers of {buffer}")
            }
            Self::TxIpChecksum => f.write_str("does not fill in IPv4 header checksums"),
            Self::TxUdpChecksum => f.write_str("does not fill in UDP checksums"),
            Self::Promiscuous => f.write_str("cannot receive packets for other Ethernet addresses"),
        }
    }
}

/// Microsoft's key from the specification of receive-side scaling, which most drivers default to as well.
const DEFAULT_RSS_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b,
    0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
    0x01, 0xfa,
];

pub(super) fn text(bytes: &[std::ffi::c_char]) -> String {
    bytes.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte as u8)).collect()
}
