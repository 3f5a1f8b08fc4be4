//! `[[ports]]`: the network ports, and where packets go from one to another.

mod checks;
mod device;

use std::net::IpAddr;

use photongate_net::config::{Located, Place, Reported, Section, Value};
use photongate_pipeline::{ControlPolicy, LfSettings, NextHop, Role};
use photongate_wire::MacAddress;

use super::MemoryConfig;

pub(crate) use device::{Device, PciAddress};

/// One of `[[ports]]`.
#[derive(Clone, Debug)]
pub(crate) struct PortConfig {
    /// What the operator calls it. No two ports have the same name.
    pub name: String,
    /// What drives it.
    pub device: Device,
    /// Which side it is on.
    pub role: Role,
    /// Where packets that arrive here leave: a place in the list of ports.
    pub forward_to: usize,
    /// Largest IP packet on the link, in bytes.
    pub mtu: u16,
    /// Ethernet destination of what leaves here.
    pub next_hop: NextHop,
    /// What becomes of ARP, NDP, LLDP and their like.
    pub control: ControlPolicy,
    /// Name of the kernel interface that stands for this port.
    pub exception: Option<String>,
    /// Addresses of this machine on the link.
    pub addresses: Vec<IpAddr>,
    /// Whether the device may compute checksums, where it can.
    pub checksum_offload: bool,
}

/// What other sections say that ports depend on, as far as it could be read.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) lf: Result<&'c LfSettings, Reported>,
    pub(super) memory: Result<&'c MemoryConfig, Reported>,
}

/// Reads `[[ports]]`.
pub(super) fn read(root: &mut Section<'_>, context: Context<'_>) -> Result<Vec<PortConfig>, Reported> {
    let drafts = root.sections("ports", draft)?;
    if drafts.is_empty() {
        return Err(root.refuse("ports", "missing: add a [[ports]] section for each network port"));
    }
    if drafts.len() > MOST_PORTS {
        let message = format!("{} ports are too many: {MOST_PORTS} at most", drafts.len());
        return Err(root.refuse("ports", message));
    }
    let checked = checks::compare(root, &drafts, context);
    let targets = checks::targets(root, &drafts);
    checked?;
    drafts.into_iter().zip(targets?).map(|(draft, forward_to)| draft.finish(forward_to)).collect()
}

/// Reads where a port sends packets to: `"keep"`, `"swap"`, or an address.
pub(super) fn next_hop(value: &Value<'_>) -> Result<NextHop, Reported> {
    match value.text()? {
        "keep" => Ok(NextHop::Keep),
        "swap" => Ok(NextHop::Swap),
        text => match text.parse::<MacAddress>() {
            Ok(address) if address.is_multicast() => Err(value.refuse("is a group address, which no neighbour has")),
            Ok(address) => Ok(NextHop::Address(address)),
            Err(_) => Err(value
                .refuse("is no next hop: write an Ethernet address like \"02:00:00:00:00:01\", \"swap\" or \"keep\"")),
        },
    }
}

/// A port that is read but not yet compared with the others.
struct Draft {
    name: Result<Located<String>, Reported>,
    device: Result<Located<Device>, Reported>,
    role: Result<Role, Reported>,
    forward_to: Result<Located<String>, Reported>,
    mtu: Result<u16, Reported>,
    mtu_place: Place,
    next_hop: Result<NextHop, Reported>,
    control: Result<ControlPolicy, Reported>,
    exception: Result<Option<Located<String>>, Reported>,
    addresses: Result<Vec<IpAddr>, Reported>,
    checksum_offload: Result<bool, Reported>,
}

/// Reads a port. Never an error, so that the ports can be compared even if some have mistakes.
fn draft(port: &mut Section<'_>) -> Result<Draft, Reported> {
    let exception = port.optional_with("exception", |value| {
        let name = interface_name(value.text()?).map_err(|why| value.refuse(why))?;
        Ok(Located { value: name, place: value.place().clone() })
    });
    let default = if port.has("exception") { ControlPolicy::Kernel } else { ControlPolicy::Forward };
    let control = port.or_with("control", default, |value| {
        value.choice(&[
            ("kernel", ControlPolicy::Kernel),
            ("forward", ControlPolicy::Forward),
            ("drop", ControlPolicy::Drop),
        ])
    });
    let control = match control {
        Ok(ControlPolicy::Kernel) if !port.has("exception") => {
            let message = "\"kernel\" needs an interface of the kernel: add exception = \"pgx0\", or choose another";
            Err(port.refuse("control", message))
        }
        other => other,
    };
    let addresses = match port.list("addresses") {
        Ok(addresses) if !addresses.is_empty() && !port.has("exception") => {
            let message = "packets to these addresses go to the kernel, and there is no interface for that: \
                           add exception = \"pgx0\"";
            Err(port.refuse("addresses", message))
        }
        other => other,
    };
    Ok(Draft {
        name: port.required_with("name", "\"inside\"", port_name),
        device: port.required("device"),
        role: port.required_with("role", "\"inside\"", |value| {
            value.choice(&[("inside", Role::Inside), ("outside", Role::Outside), ("auto", Role::Auto)])
        }),
        forward_to: port.required("forward_to"),
        mtu: port.or_with("mtu", DEFAULT_MTU, |mtu| mtu.number(LEAST_MTU..=MOST_MTU, "bytes")),
        mtu_place: port.place_of("mtu"),
        next_hop: port.or_with("next_hop", NextHop::Keep, next_hop),
        control,
        exception,
        addresses,
        checksum_offload: port.or("checksum_offload", true),
    })
}

impl Draft {
    fn finish(self, forward_to: usize) -> Result<PortConfig, Reported> {
        Ok(PortConfig {
            name: self.name?.value,
            device: self.device?.value,
            role: self.role?,
            forward_to,
            mtu: self.mtu?,
            next_hop: self.next_hop?,
            control: self.control?,
            exception: self.exception?.map(|exception| exception.value),
            addresses: self.addresses?,
            checksum_offload: self.checksum_offload?,
        })
    }
}

fn port_name(value: &Value<'_>) -> Result<Located<String>, Reported> {
    let name = value.text()?;
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.len() > LONGEST_PORT_NAME || !name.chars().all(plain) {
        let why = format!("cannot name a port: use up to {LONGEST_PORT_NAME} letters, digits, `-`, `_` and `.`");
        return Err(value.refuse(why));
    }
    Ok(Located { value: name.to_owned(), place: value.place().clone() })
}

/// Checks the name of a kernel interface as Linux does (`dev_valid_name`).
fn interface_name(name: &str) -> Result<String, String> {
    if name.len() > LONGEST_INTERFACE_NAME {
        let length = name.len();
        return Err(format!("has {length} characters: a kernel interface's name has {LONGEST_INTERFACE_NAME} at most"));
    }
    let odd = |character: char| character.is_whitespace() || "/:".contains(character);
    if name.is_empty() || name == "." || name == ".." || name.contains(odd) {
        return Err("cannot name a kernel interface: use letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(name.to_owned())
}

const MOST_PORTS: usize = 16;
const LONGEST_PORT_NAME: usize = 32;

/// Linux's `IFNAMSIZ`, less the zero behind the name.
const LONGEST_INTERFACE_NAME: usize = 15;

const DEFAULT_MTU: u16 = 1500;

/// What every IPv4 host can receive (RFC 791, section 3.1).
const LEAST_MTU: u16 = 576;

/// What jumbo frames commonly carry.
const MOST_MTU: u16 = 9216;
