//! Two sites and the Internet between them, with somebody in the middle who hears everything.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};

use super::{Namespace, RawSocket};

/// A host behind a filter. Filter and host each have a namespace; the filter's ports are moved from the one to the
/// other when they are there.
#[derive(Debug)]
pub(crate) struct Side {
    /// `a` or `b`.
    pub(crate) letter: char,
    /// Where the host is. Its interface is [`HOST_INTERFACE`].
    pub(crate) host: Namespace,
    /// Where the filter runs.
    pub(crate) filter: Namespace,
}

/// A hub that both filters and the attacker are connected to.
#[derive(Debug)]
pub(crate) struct Internet {
    hub: Namespace,
    /// Where the attacker is. Its interface is [`ATTACKER_INTERFACE`].
    pub(crate) attacker: Namespace,
}

impl Side {
    /// A host and a place for its filter, not connected to anything.
    ///
    /// # Errors
    /// Namespaces cannot be made.
    pub(crate) fn create(letter: char) -> Result<Self> {
        let host = Namespace::create(&format!("host{letter}"))?;
        // Nothing that the host says of its own accord should disturb the counts.
        host.sysctl(&[
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv6.conf.default.router_solicitations=0",
            "net.ipv6.conf.default.accept_ra=0",
            "net.ipv6.conf.default.addr_gen_mode=1",
        ])?;
        Ok(Self { letter, host, filter: Namespace::create(&format!("filter{letter}"))? })
    }

    /// Gives the host its end of the filter's inside port, and these addresses (`10.248.1.1/16`).
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn connect_host(&self, addresses: &[&str]) -> Result<()> {
        let host = self.host.name();
        self.filter.ip(&format!("link set {INSIDE} netns {host} name {HOST_INTERFACE}"))?;
        self.host.ip(&format!("link set {HOST_INTERFACE} address {} up", self.host_mac()))?;
        for address in addresses {
            let no_detection = if address.contains(':') { "nodad" } else { "" };
            self.host.ip(&format!("address add {address} dev {HOST_INTERFACE} {no_detection}"))?;
        }
        Ok(())
    }

    /// Lays a fibre to another side, for their key servers. Each gets its address of [`FIBRE`] there.
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn join(&self, other: &Self) -> Result<()> {
        let there = other.filter.name();
        self.filter.ip(&format!("link add {FIBRE_INTERFACE} type veth peer name {FIBRE_INTERFACE} netns {there}"))?;
        for (side, address) in [self, other].into_iter().zip(FIBRE) {
            side.filter.ip(&format!("address add {address}/30 dev {FIBRE_INTERFACE}"))?;
            side.filter.ip(&format!("link set {FIBRE_INTERFACE} up"))?;
        }
        Ok(())
    }

    /// The Ethernet address of the host.
    pub(crate) fn host_mac(&self) -> String {
        format!("02:00:00:00:00:{:02x}", u32::from(self.letter) & 0xff)
    }
}

impl Internet {
    /// A hub with an attacker.
    ///
    /// # Errors
    /// Namespaces cannot be made.
    pub(crate) fn create() -> Result<Self> {
        let internet = Self { hub: Namespace::create("internet")?, attacker: Namespace::create("attacker")? };
        for namespace in [&internet.hub, &internet.attacker] {
            // Only what the sites and the attacker send should be on the wire.
            namespace.sysctl(&["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])?;
        }
        // A bridge that forgets at once where addresses are sends everything everywhere.
        internet.hub.ip("link add hub type bridge ageing_time 0 mcast_snooping 0 stp_state 0")?;
        internet.hub.ip("link set hub up")?;
        // Nor does a wire look into packets, as bridges do where a firewall has asked for it.
        internet.hub.run("sysctl -q -e net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")?;
        let attacker = internet.attacker.name();
        internet.hub.ip(&format!("link add to-attacker type veth peer name {ATTACKER_INTERFACE} netns {attacker}"))?;
        internet.hub.ip("link set to-attacker master hub up")?;
        internet.attacker.ip(&format!("link set {ATTACKER_INTERFACE} up"))?;
        Ok(internet)
    }

    /// Connects the outside port of a side's filter.
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn connect(&self, side: &Side) -> Result<()> {
        let port = port_of(side);
        side.filter.ip(&format!("link set {OUTSIDE} netns {} name {port}", self.hub.name()))?;
        // The kernel's end of the wire must not claim the frames that are for the filter's.
        self.hub.ip(&format!("link set {port} address 02:00:00:00:02:{:02x}", u32::from(side.letter) & 0xff))?;
        self.hub.ip(&format!("link set {port} master hub up"))
    }

    /// Cuts the wire between the hub and a side, or mends it.
    ///
    /// # Errors
    /// What `ip` says.
    pub(crate) fn set_connected(&self, side: &Side, connected: bool) -> Result<()> {
        let plug = if connected { "master hub" } else { "nomaster" };
        self.hub.ip(&format!("link set {} {plug}", port_of(side)))
    }

    /// The attacker's ear and mouth.
    ///
    /// # Errors
    /// No permission.
    pub(crate) fn attacker_socket(&self) -> Result<RawSocket> {
        self.attacker.enter(|| RawSocket::open(ATTACKER_INTERFACE)).context("the attacker's interface")
    }
}

fn port_of(side: &Side) -> String {
    format!("to-{}", side.letter)
}

/// What the configurations of filters call the kernel's end of their TAP ports.
pub(crate) const INSIDE: &str = "pg-inside";
/// See [`INSIDE`].
pub(crate) const OUTSIDE: &str = "pg-outside";

/// What the ends of the [fibre](Side::join) are called, in the order of the sides.
pub(crate) const FIBRE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 247, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 247, 0, 2))];

const FIBRE_INTERFACE: &str = "pg-fibre";

/// A host's interface.
pub(crate) const HOST_INTERFACE: &str = "pg0";

/// The attacker's interface.
pub(crate) const ATTACKER_INTERFACE: &str = "pg0";
