//! What ports must agree on with each other and with other sections.

use std::net::IpAddr;

use photongate_net::config::{Place, Reported, Section};
use photongate_pipeline::Role;

use super::{Context, Draft};

/// Compares the ports, as far as each could be read.
pub(super) fn compare(root: &Section<'_>, drafts: &[Draft], context: Context<'_>) -> Result<(), Reported> {
    let names = drafts.iter().filter_map(|draft| draft.name.as_ref().ok());
    let devices = || drafts.iter().filter_map(|draft| draft.device.as_ref().ok());
    let exceptions = drafts.iter().filter_map(|draft| draft.exception.as_ref().ok()?.as_ref());
    let taps = devices().filter_map(|device| Some((device.value.new_interface()?, &device.place)));
    if context.memory.is_ok_and(|memory| !memory.hugepages) {
        for card in devices().filter(|device| device.value.pci().is_some()) {
            let message = "a network card without hugepages is slow, if it works at all: set memory.hugepages = true";
            root.warn_at(&card.place, message);
        }
    }
    let names = distinct(root, names.map(|name| (name.value.as_str(), &name.place)), "is an earlier port's name too");
    let used =
        distinct(root, devices().map(|device| (device.value.name(), &device.place)), "is an earlier port's device too");
    let interfaces = exceptions.map(|exception| (exception.value.as_str(), &exception.place)).chain(taps);
    let interfaces = distinct(root, interfaces, "is the name of another port's kernel interface too");
    let mtus = ipv6_mtu(root, drafts, context);
    names.and(used).and(interfaces).and(mtus)
}

/// Where each port's packets leave, as places in the list.
pub(super) fn targets(root: &Section<'_>, drafts: &[Draft]) -> Result<Vec<usize>, Reported> {
    // All are looked up before the first error ends it: each has a message of its own.
    let targets: Vec<_> = drafts.iter().map(|draft| target(root, drafts, draft)).collect();
    targets.into_iter().collect()
}

fn target(root: &Section<'_>, drafts: &[Draft], draft: &Draft) -> Result<usize, Reported> {
    let forward_to = draft.forward_to.as_ref().map_err(|reported| *reported)?;
    let called = |other: &Draft| other.name.as_ref().is_ok_and(|name| name.value == forward_to.value);
    let Some(target) = drafts.iter().position(called) else {
        // A name that could not be read may be the one.
        let names: Result<Vec<_>, _> =
            drafts.iter().map(|draft| draft.name.as_ref().map(|name| &*name.value)).collect();
        let names = names.map_err(|reported| *reported)?.join(", ");
        let message = format!("{:?} is no port: the ports here are {names}", forward_to.value);
        return Err(root.refuse_at(&forward_to.place, message));
    };
    let message = match (&draft.role, &drafts[target].role) {
        (Ok(Role::Inside), Ok(Role::Inside)) => {
            "both ports are inside, so authenticated packets would go to our own hosts: forward to an outside port"
        }
        (Ok(Role::Outside), Ok(Role::Outside)) => {
            "both ports are outside, so no packet would ever reach our hosts: forward to an inside port"
        }
        _ => return Ok(target),
    };
    Err(root.refuse_at(&forward_to.place, message))
}

/// IPv6 works only over links that carry packets of 1280 bytes (RFC 8200, section 5).
fn ipv6_mtu(root: &Section<'_>, drafts: &[Draft], context: Context<'_>) -> Result<(), Reported> {
    let mut outcome = Ok(());
    let Some(reason) = ipv6_use(drafts, context) else { return outcome };
    for draft in drafts {
        if let Ok(mtu) = draft.mtu
            && mtu < LEAST_IPV6_MTU
        {
            let message = format!("{mtu} is too small for IPv6, which {reason} uses: at least {LEAST_IPV6_MTU} bytes");
            outcome = Err(root.refuse_at(&draft.mtu_place, message));
        }
    }
    outcome
}

/// The first field with an IPv6 address in it.
fn ipv6_use(drafts: &[Draft], context: Context<'_>) -> Option<String> {
    if context.lf.is_ok_and(|lf| lf.public_v6.is_some()) {
        return Some("lf.public_address".to_owned());
    }
    let of_port = |draft: &Draft| draft.addresses.as_ref().is_ok_and(|addresses| addresses.iter().any(IpAddr::is_ipv6));
    drafts.iter().position(of_port).map(|port| format!("ports[{port}].addresses"))
}

/// Refuses every name that was given before.
fn distinct<'n>(
    root: &Section<'_>,
    names: impl Iterator<Item = (&'n str, &'n Place)>,
    why: &str,
) -> Result<(), Reported> {
    let mut seen = Vec::new();
    let mut outcome = Ok(());
    for (name, place) in names {
        if seen.contains(&name) {
            outcome = Err(root.refuse_at(place, format!("{name:?} {why}: give each its own")));
        }
        seen.push(name);
    }
    outcome
}

const LEAST_IPV6_MTU: u16 = 1280;
