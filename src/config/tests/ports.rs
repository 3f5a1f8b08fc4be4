//! `[[ports]]`.

use super::*;

#[test]
fn ports_are_joined_by_name() {
    let config = FilterConfig::parse(FILE.as_ref(), MINIMAL).unwrap();
    let joined: Vec<_> = config.ports.iter().map(|port| (port.name.as_str(), port.forward_to)).collect();
    assert_eq!(joined, [("inside", 1), ("outside", 0)]);
}

#[test]
fn an_empty_port_is_asked_for_what_it_lacks() {
    let problems = refusals("[[ports]]\n");
    assert_eq!(
        problems,
        [
            r#"ports[2].name: missing: add name = "inside""#,
            r#"ports[2].device: missing: add device = "0000:3b:00.0""#,
            r#"ports[2].role: missing: add role = "inside""#,
            r#"ports[2].forward_to: missing: add forward_to = "text""#,
        ]
    );
}

#[test]
fn bad_devices_are_refused() {
    let device = |device: &str| edited("net_tap0,iface=pg-in", device);
    let no_device = "is no device: write a PCI address like 0000:3b:00.0 (`dpdk-devbind.py --status-dev net` lists them), \
                     or one of DPDK's virtual devices like net_tap0,iface=pg0 or net_af_packet0,iface=eth0";
    for text in ["eth0", "", "0000:3b:00", "3b:00.8", "3b:0.0", "0000:3g:00.0"] {
        assert_eq!(device(text), [format!("ports[0].device: {text:?} {no_device}")]);
    }
    assert_eq!(
        device("net_tap,iface=x"),
        [r#"ports[0].device: "net_tap,iface=x" needs a number, to tell it from others of its kind: write net_tap0"#]
    );
    assert_eq!(
        device("net_tap0,iface=a-very-long-name"),
        [
            r#"ports[0].device: "net_tap0,iface=a-very-long-name" names "a-very-long-name", which has 16 characters: a kernel interface's name has 15 at most"#
        ]
    );
}

#[test]
fn a_pci_address_is_recognised_with_and_without_its_domain() {
    for text in ["3B:00.1", "0000:3b:00.1,rx_vec=1"] {
        let text = MINIMAL.replace("net_tap0,iface=pg-in", text) + "[memory]\nhugepages = true\n";
        let config = FilterConfig::parse(FILE.as_ref(), &text).unwrap();
        assert_eq!(config.ports[0].device.pci().unwrap().as_str(), "0000:3b:00.1");
    }
}

#[test]
fn bad_ports_are_refused() {
    let port = |line: &str| refused_in_port(line);
    assert_eq!(port("mtu = 9217"), ["ports[0].mtu: 9217 is too large: 576 to 9216 bytes"]);
    assert_eq!(
        port("next_hop = \"router\""),
        [
            r#"ports[0].next_hop: "router" is no next hop: write an Ethernet address like "02:00:00:00:00:01", "swap" or "keep""#
        ]
    );
    assert_eq!(
        port("next_hop = \"ff:ff:ff:ff:ff:ff\""),
        [r#"ports[0].next_hop: "ff:ff:ff:ff:ff:ff" is a group address, which no neighbour has"#]
    );
    assert_eq!(
        port("control = \"kernel\""),
        [r#"ports[0].control: "kernel" needs an interface of the kernel: add exception = "pgx0", or choose another"#]
    );
    assert_eq!(
        port("addresses = [\"10.0.0.1\"]"),
        [
            r#"ports[0].addresses: packets to these addresses go to the kernel, and there is no interface for that: add exception = "pgx0""#
        ]
    );
    assert_eq!(
        port("exception = \"pgx-sixteen-char\""),
        [r#"ports[0].exception: "pgx-sixteen-char" has 16 characters: a kernel interface's name has 15 at most"#]
    );
    for name in ["", ".", "..", "a/b", "a b", "a:1"] {
        let why = "cannot name a kernel interface: use letters, digits, `-`, `_` and `.`";
        assert_eq!(port(&format!("exception = {name:?}")), [format!("ports[0].exception: {name:?} {why}")]);
    }
}

#[test]
fn bad_names_and_roles_of_ports_are_refused() {
    let why = "cannot name a port: use up to 32 letters, digits, `-`, `_` and `.`";
    assert_eq!(edited("name = \"inside\"", "name = \"in side\""), [format!("ports[0].name: \"in side\" {why}")]);
    assert_eq!(
        edited("role = \"inside\"", "role = \"in\""),
        [r#"ports[0].role: "in" is not a choice here: write "inside", "outside" or "auto""#]
    );
}

#[test]
fn a_port_must_forward_to_a_port_of_the_other_side() {
    assert_eq!(
        edited("forward_to = \"outside\"", "forward_to = \"internet\""),
        [r#"ports[0].forward_to: "internet" is no port: the ports here are inside, outside"#]
    );
    assert_eq!(
        edited("forward_to = \"outside\"", "forward_to = \"inside\""),
        [
            "ports[0].forward_to: both ports are inside, so authenticated packets would go to our own hosts: forward to an outside port"
        ]
    );
    assert_eq!(
        edited("forward_to = \"inside\"", "forward_to = \"outside\""),
        [
            "ports[1].forward_to: both ports are outside, so no packet would ever reach our hosts: forward to an inside port"
        ]
    );
}

#[test]
fn a_port_with_both_roles_may_forward_to_itself() {
    let text =
        MINIMAL.replace("role = \"inside\"\nforward_to = \"outside\"", "role = \"auto\"\nforward_to = \"inside\"");
    assert_eq!(FilterConfig::parse(FILE.as_ref(), &text).unwrap().ports[0].forward_to, 0);
}

#[test]
fn what_ports_cannot_share_is_refused() {
    assert_eq!(
        edited("name = \"outside\"", "name = \"inside\"")[0],
        r#"ports[0].forward_to: "outside" is no port: the ports here are inside, inside"#
    );
    assert_eq!(
        edited("name = \"outside\"", "name = \"inside\"")[1],
        r#"ports[1].name: "inside" is an earlier port's name too: give each its own"#
    );
    assert_eq!(
        edited("net_tap1,iface=pg-out", "net_tap0,iface=pg-out"),
        [r#"ports[1].device: "net_tap0" is an earlier port's device too: give each its own"#]
    );
    assert_eq!(
        edited("net_tap1,iface=pg-out", "net_tap1,iface=pg-in"),
        [r#"ports[1].device: "pg-in" is the name of another port's kernel interface too: give each its own"#]
    );
    let text = MINIMAL.replace("role =", "exception = \"pgx\"\nrole =");
    assert_eq!(
        problems(&text),
        [r#"ports[1].exception: "pgx" is the name of another port's kernel interface too: give each its own"#]
    );
}

#[test]
fn ports_are_compared_even_if_one_of_them_has_another_mistake() {
    let text = MINIMAL.replace("net_tap1,iface=pg-out\"", "net_tap0,iface=pg-out\"\nmtu = 1");
    assert_eq!(
        problems(&text),
        [
            r#"ports[1].device: "net_tap0" is an earlier port's device too: give each its own"#,
            "ports[1].mtu: 1 is too small: 576 to 9216 bytes",
        ]
    );
}

#[test]
fn more_ports_than_there_is_room_for_are_refused() {
    let ports: String = (2..17)
        .map(|number| format!("[[ports]]\nname = \"p{number}\"\ndevice = \"net_null{number}\"\nrole = \"auto\"\nforward_to = \"inside\"\n"))
        .collect();
    refused(&ports, "ports: 17 ports are too many: 16 at most");
}

#[test]
fn ipv6_needs_an_mtu_of_1280() {
    let small = |text: &str| problems(&text.replace("role = \"inside\"", "role = \"inside\"\nmtu = 1279"));
    let why =
        |field: &str| format!("ports[0].mtu: 1279 is too small for IPv6, which {field} uses: at least 1280 bytes");
    assert_eq!(
        small(&MINIMAL.replace("10.248.2.0/24", "2001:db8::/32")),
        [
            "peers[0].prefixes[0]: \"2001:db8::/32\" is IPv6, which needs links of 1280 bytes, and a port has an mtu of 1279: raise it"
        ]
    );
    let addresses = "role = \"outside\"\nexception = \"pgx\"\naddresses = [\"2001:db8::1\"]";
    assert_eq!(small(&MINIMAL.replace("role = \"outside\"", addresses)), [why("ports[1].addresses")]);
    assert_eq!(small(&format!("{MINIMAL}[lf]\npublic_address = [\"2001:db8::1\"]\n")), [why("lf.public_address")]);
    let ipv4 = MINIMAL.replace("role = \"inside\"", "role = \"inside\"\nmtu = 1279");
    assert!(FilterConfig::parse(FILE.as_ref(), &ipv4).is_ok());
}
