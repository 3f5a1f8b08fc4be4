//! Interfaces of the kernel: those that the filter makes, those that it uses, and the right to do so.

use super::{Finding, Machine};
use crate::config::{FilterConfig, PortConfig};

pub(super) fn check(machine: &Machine, config: Option<&FilterConfig>, findings: &mut Vec<Finding>) {
    let ports = config.map(|config| config.ports.as_slice()).unwrap_or_default();
    let makes: Vec<_> = ports.iter().flat_map(made).collect();
    let uses: Vec<_> = ports.iter().filter_map(|port| Some((port, used(port)?))).collect();
    if config.is_some() && makes.is_empty() && uses.is_empty() {
        findings.push(Finding::ok("interfaces", "none needed"));
        return;
    }
    if config.is_none() || !makes.is_empty() {
        findings.push(tun(machine, config.is_some()));
    }
    findings.push(capability(machine, config.is_some()));
    for (port, name) in makes {
        findings.extend(still_there(machine, port, name));
    }
    for (port, name) in uses {
        findings.push(existing(machine, port, name));
    }
}

/// The interfaces that starting the filter makes.
fn made(port: &PortConfig) -> impl Iterator<Item = (&PortConfig, &str)> {
    port.device.new_interface().into_iter().chain(port.exception.as_deref()).map(move |name| (port, name))
}

/// The interface that the port's device takes its packets from.
fn used(port: &PortConfig) -> Option<&str> {
    let driver = port.device.driver()?;
    port.device.interface().filter(|_| ["net_af_packet", "net_af_xdp"].contains(&driver))
}

fn tun(machine: &Machine, needed: bool) -> Finding {
    if machine.exists("dev/net/tun") {
        return Finding::ok("tun", "/dev/net/tun is there");
    }
    let fix = "sudo modprobe tun     # in a container: pass /dev/net/tun in";
    let message = "/dev/net/tun is not there, and the filter cannot make interfaces without it";
    if needed { Finding::fail("tun", message, fix) } else { Finding::warn("tun", message, fix) }
}

fn capability(machine: &Machine, needed: bool) -> Finding {
    if machine.capable(CAP_NET_ADMIN) && machine.capable(CAP_NET_RAW) {
        return Finding::ok("rights", "this user may make and use network interfaces");
    }
    let message = "this user may not make or use network interfaces (CAP_NET_ADMIN, CAP_NET_RAW)";
    let fix = "run it with sudo, or: sudo setcap cap_net_admin,cap_net_raw,cap_ipc_lock+ep $(command -v photongate)";
    if needed { Finding::fail("rights", message, fix) } else { Finding::warn("rights", message, fix) }
}

/// An interface that the filter is to make, and that is there already, belongs to somebody else.
fn still_there(machine: &Machine, port: &PortConfig, name: &str) -> Option<Finding> {
    machine.exists(format!("{INTERFACES}/{name}")).then(|| {
        let message = format!("the interface {name} is there already: another filter's, or a leftover");
        Finding::warn(
            format!("port {}", port.name),
            message,
            format!("stop that filter, or: sudo ip link delete {name}"),
        )
    })
}

fn existing(machine: &Machine, port: &PortConfig, name: &str) -> Finding {
    let subject = format!("port {}", port.name);
    if machine.exists(format!("{INTERFACES}/{name}")) {
        return Finding::ok(subject, format!("the interface {name} is there"));
    }
    let interfaces = machine.list(INTERFACES).join(", ");
    let fix = format!("correct iface= in the port's device; the interfaces here: {interfaces}");
    Finding::fail(subject, format!("there is no interface {name}"), fix)
}

const INTERFACES: &str = "sys/class/net";

/// Numbers of `linux/capability.h`.
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
