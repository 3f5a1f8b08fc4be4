use std::fs::{self, Permissions};

use photongate_pipeline::limits::LimitSettings;

use super::*;

#[test]
fn the_least_configuration_takes_its_defaults() {
    let config = FilterConfig::parse(FILE.as_ref(), MINIMAL).unwrap();
    assert_eq!(config.isd_as.to_string(), "1-ff00:0:111");
    assert_eq!((config.lf.port, config.lf.protocol.0), (49149, 3));
    assert_eq!(config.keys.times, photongate_drkey::KeyTimes::default());
    assert_eq!((config.workers.count, config.workers.burst), (1, 32));
    assert!(config.best_effort.is_none() && config.wireguard.is_none() && !config.outbound.reassemble);
    assert_eq!(config.limits.overall, LimitSettings::default());
    assert!(config.warnings.is_empty());
}

#[test]
fn ports_are_joined_by_name() {
    let config = FilterConfig::parse(FILE.as_ref(), MINIMAL).unwrap();
    let joined: Vec<_> = config.ports.iter().map(|port| (port.name.as_str(), port.forward_to)).collect();
    assert_eq!(joined, [("inside", 1), ("outside", 0)]);
}

#[test]
fn a_peer_takes_the_protocol_of_the_filter_unless_it_has_its_own() {
    let text = format!("{MINIMAL}drkey_protocol = 7\n{}[lf]\ndrkey_protocol = 9\n", peer("3-1", "10.3.0.0/16"));
    let config = FilterConfig::parse(FILE.as_ref(), &text).unwrap();
    let protocols: Vec<_> = config.peers.iter().map(|peer| peer.protocol.0).collect();
    assert_eq!(protocols, [7, 9]);
}

#[test]
fn the_example_configuration_is_valid() {
    let config = FilterConfig::load("config/filter.toml".as_ref()).unwrap();
    assert_eq!(config.peers[0].isd_as.to_string(), "20-ff00:0:112");
}

#[test]
fn whatever_becomes_of_the_text_there_is_an_answer_without_a_panic() {
    let example = include_str!("../../config/filter.toml");
    for (offset, character) in example.char_indices().step_by(97) {
        let (before, after) = (&example[..offset], &example[offset + character.len_utf8()..]);
        for text in
            [before.to_owned(), format!("{before}{after}"), format!("{before}\"{after}"), format!("{before}ä[{after}")]
        {
            if let Err(problems) = FilterConfig::parse(FILE.as_ref(), &text) {
                assert!(problems.iter().len() > 0, "refused without a reason:\n{text}");
                assert!(!problems.to_string().contains(&SECRET[..8]), "{problems}");
            }
        }
    }
}

#[test]
fn every_field_is_in_the_example_and_in_the_reference() {
    let example = include_str!("../../config/filter.toml");
    let reference = include_str!("../../docs/reference/filter.toml.md");
    let fields = config::read_text(FILE.as_ref(), EVERYTHING, |root| read(root, None)).unwrap().fields;
    assert!(fields.len() > 60, "only {} fields", fields.len());
    for field in &fields {
        let name = field.rsplit('.').next().unwrap();
        assert!(mentions(example, name), "config/filter.toml does not mention {field}");
        let described = [format!("`{name}`"), format!("`[{name}]`"), format!("`[[{name}]]`")];
        assert!(described.iter().any(|it| reference.contains(it)), "the reference does not describe {field}");
    }
}

#[test]
fn the_reference_describes_no_field_that_there_is_not() {
    let reference = include_str!("../../docs/reference/filter.toml.md");
    let fields = config::read_text(FILE.as_ref(), EVERYTHING, |root| read(root, None)).unwrap().fields;
    let known: Vec<_> = fields.iter().map(|field| field.rsplit('.').next().unwrap()).collect();
    // A row of a table of fields begins with the field's name.
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for row in rows {
        assert!(known.contains(&row), "the reference describes `{row}`, which is no field");
    }
}

#[test]
fn mistakes_in_different_sections_are_reported_at_once_with_their_lines() {
    let text = MINIMAL.replace("forward_to = \"inside\"", "forward_to = \"insde\"\nmtu = 20")
        + "[lf]\nprot = 1\n[workers]\nburst = 65\n[keys]\nepoch = \"10s\"\n";
    let problems = FilterConfig::parse(FILE.as_ref(), &text).unwrap_err().to_string();
    let expected = r#"filter.toml:13:14: ports[1].forward_to: "insde" is no port: the ports here are inside, outside
filter.toml:14:7: ports[1].mtu: 20 is too small: 576 to 9216 bytes
filter.toml:20:1: lf.prot: unknown field: did you mean `port`?
filter.toml:22:9: workers.burst: 65 is too large: 1 to 64 packets
filter.toml:24:9: keys.epoch: an epoch of 10s is too short: with prefetch 30s, grace 2s and time_threshold 1s it must be at least 33s"#;
    assert_eq!(problems, expected);
}

#[test]
fn what_every_file_must_have_is_asked_for() {
    let problems = FilterConfig::parse(FILE.as_ref(), "").unwrap_err().to_string();
    let expected = r#"filter.toml:1:1: isd_as: missing: add isd_as = "1-ff00:0:110"
filter.toml:1:1: ports: missing: add a [[ports]] section for each network port"#;
    assert_eq!(problems, expected);
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
fn an_empty_peer_is_asked_for_what_it_lacks() {
    let secrets = r#"shared_secrets = [{ secret = "(32 hexadecimal digits)", not_before = "2026-01-01T00:00:00Z" }]"#;
    assert_eq!(
        refusals("[[peers]]\n"),
        [
            r#"peers[1].isd_as: missing: add isd_as = "1-ff00:0:110""#.to_owned(),
            format!("peers[1].shared_secrets: missing: add {secrets}"),
        ]
    );
}

#[test]
fn bad_lf_settings_are_refused() {
    refused("[lf]\nport = 0", "lf.port: 0 is too small: 1 to 65535");
    refused("[lf]\ndrkey_protocol = 65536", "lf.drkey_protocol: 65536 is too large: 0 to 65535");
    refused(
        "[lf]\nsource_port = \"random\"",
        r#"lf.source_port: "random" is not a choice here: write "fixed" or "flow""#,
    );
    refused(
        "[lf]\npublic_address = [\"192.0.2.1\", \"2001:db8::1\", \"192.0.2.2\"]",
        "lf.public_address[2]: 192.0.2.2 is a second IPv4 address beside 192.0.2.1: keep one",
    );
}

#[test]
fn bad_key_times_are_refused_with_the_numbers() {
    refused(
        "[keys]\nepoch = \"1h\"\nprefetch = \"1h\"",
        "keys.epoch: an epoch of 3600s is too short: with prefetch 3600s, grace 2s and time_threshold 1s it must be \
         at least 3603s",
    );
    refused("[keys]\nepoch = \"366d\"", "keys.epoch: \"366d\" is too long: at most 31536000s");
    refused("[keys]\ntime_threshold = \"181s\"", "keys.time_threshold: \"181s\" is too long: at most 180s");
    refused("[keys]\ntime_threshold = \"10us\"", "keys.time_threshold: \"10us\" is too short: at least 1ms");
    refused("[keys]\nmax_peers = 1_000_001", "keys.max_peers: 1000001 is too large: 1 to 1000000 peers");
}

#[test]
fn more_peers_than_the_dictionary_has_room_for_are_refused() {
    let text = format!("{}[keys]\nmax_peers = 1\n", peer("3-1", "10.3.0.0/16"));
    refused(&text, "peers: 2 peers, but keys.max_peers is 1: raise it");
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
    assert_eq!(small(&MINIMAL.replace("10.248.2.0/24", "2001:db8::/32")), [why("peers[0].prefixes")]);
    let addresses = "role = \"outside\"\nexception = \"pgx\"\naddresses = [\"2001:db8::1\"]";
    assert_eq!(small(&MINIMAL.replace("role = \"outside\"", addresses)), [why("ports[1].addresses")]);
    assert_eq!(small(&format!("{MINIMAL}[lf]\npublic_address = [\"2001:db8::1\"]\n")), [why("lf.public_address")]);
    let ipv4 = MINIMAL.replace("role = \"inside\"", "role = \"inside\"\nmtu = 1279");
    assert!(FilterConfig::parse(FILE.as_ref(), &ipv4).is_ok());
}

#[test]
fn a_network_card_without_hugepages_is_warned_about() {
    let text = MINIMAL.replace("net_tap0,iface=pg-in", "3b:00.0");
    let config = FilterConfig::parse(FILE.as_ref(), &text).unwrap();
    assert_eq!(
        config.warnings[0].to_string(),
        "filter.toml:4:10: ports[0].device: a network card without hugepages is slow, if it works at all: set memory.hugepages = true"
    );
}

#[test]
fn bad_workers_are_refused() {
    refused("[workers]\ncount = 0", "workers.count: 0 is too small: 1 to 128 workers");
    refused("[workers]\nburst = 0", "workers.burst: 0 is too small: 1 to 64 packets");
    refused("[workers]\ncores = [1, 1]", "workers.cores[1]: 1 is listed twice: each worker needs a core of its own");
    refused(
        "[workers]\ncores = []",
        "workers.cores: this is an empty list: name one core for each worker, or leave the field out",
    );
    refused(
        "[workers]\ncount = 2\ncores = [1]",
        "workers.cores: 2 workers and a list of 1 cores: give each worker one core",
    );
    let [problem] = &refusals("[workers]\ncrypto = \"abacus\"")[..] else { panic!("one problem is expected") };
    let start =
        "workers.crypto: \"abacus\" cannot be used: no crypto backend `abacus` on this machine: choose one of auto, ";
    assert!(problem.starts_with(start), "{problem}");
}

#[test]
fn there_are_as_many_workers_as_cores_are_listed() {
    let config = FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}[workers]\ncores = [2, 3]\n")).unwrap();
    assert_eq!(config.workers.count, 2);
}

#[test]
fn bad_memory_is_refused() {
    refused("[memory]\nmib = 1", "memory.mib: 1 is too small: 64 to 1048576 MiB");
    refused("[memory]\nbuffers = 100", "memory.buffers: 100 is too small: 1024 to 16777216 buffers");
    refused(
        "[memory]\nbuffers = 200_000",
        "memory.buffers: 200000 buffers take 452 MiB, and memory.mib is 256: raise it, or have fewer buffers",
    );
    let why = "cannot name files: use up to 32 letters, digits, `-` and `_`";
    refused("[dpdk]\nname = \"../x\"", &format!("dpdk.name: \"../x\" {why}"));
    refused("[dpdk]\nname = \"\"", &format!("dpdk.name: \"\" {why}"));
    refused("[dpdk]\narguments = \"--log-level=8\"", "dpdk.arguments: this is text: write a list in brackets: [ … ]");
}

#[test]
fn bad_duplicate_filters_are_refused() {
    refused(
        "[duplicates]\npackets_per_second = 0",
        "duplicates.packets_per_second: 0 is too small: 1 to 10000000000 packets per second",
    );
    refused(
        "[duplicates]\nfalse_positive_rate = 0.2",
        "duplicates.false_positive_rate: 0.2 is out of range: 1e-12 to 1e-1",
    );
    refused("[duplicates]\nmemory_limit_mib = 0", "duplicates.memory_limit_mib: 0 is too small: 1 to 1048576 MiB");
    let [problem] = &refusals("[duplicates]\nmemory_limit_mib = 1")[..] else { panic!("one problem is expected") };
    assert!(problem.starts_with("duplicates.memory_limit_mib: remembering 1000000 packets per second"), "{problem}");
    assert!(problem.contains("raise memory_limit_mib to "), "{problem}");
}

#[test]
fn a_duplicate_filter_that_is_off_may_be_as_large_as_it_likes() {
    let text = format!("{MINIMAL}[duplicates]\nenabled = false\nmemory_limit_mib = 1\n");
    assert!(FilterConfig::parse(FILE.as_ref(), &text).unwrap().duplicates.is_none());
}

#[test]
fn bad_limits_are_refused() {
    refused(
        "[limits]\noverall = {}",
        "limits.overall: limits nothing: add bits_per_second or packets_per_second, or remove it",
    );
    refused(
        "[limits]\npeer = { burst_bytes = 9000 }",
        "limits.peer.burst_bytes: burst_bytes has no effect without bits_per_second: add bits_per_second, or remove burst_bytes",
    );
    refused(
        "[limits]\nauthenticated = { bits_per_second = 1000, burst_bytes = 1 }",
        "limits.authenticated.burst_bytes: burst_bytes is 1: packets larger than the burst never pass, so give at least 1518",
    );
    refused(
        "[limits]\nicmp_errors = { packets_per_second = 200_000_000_000_000 }",
        "limits.icmp_errors.packets_per_second: packets_per_second is more than 100000000000000: for no limit, leave it out",
    );
    refused("[best_effort]\nlimit = 5", "best_effort.limit: this is a whole number: write a table of fields");
    refused("[wireguard]\nport = 51820", "wireguard: limits nothing: add handshake or data, or remove [wireguard]");
    refused("[wireguard]\nport = 0\ndata = { packets_per_second = 1 }", "wireguard.port: 0 is too small: 1 to 65535");
}

#[test]
fn destinations_have_one_limit_each() {
    let limit = "limit = { packets_per_second = 1 }";
    let text = format!(
        "[limits]\ndestinations = [{{ prefix = \"10.0.0.0/8\", {limit} }}, {{ prefix = \"10.0.0.0/8\", {limit} }}]"
    );
    refused(
        &text,
        "limits.destinations[1].prefix: 10.0.0.0/8 has a limit already, in limits.destinations[0]: keep one",
    );
    refused(
        "[limits]\ndestinations = [{ prefix = \"10.0.0.0/8\" }]",
        "limits.destinations[0].limit: missing: add limit = { bits_per_second = 1_000_000_000 }",
    );
}

#[test]
fn bad_traffic_rules_are_refused() {
    refused(
        "[outbound]\nunknown_destination = \"reject\"",
        r#"outbound.unknown_destination: "reject" is not a choice here: write "forward" or "drop""#,
    );
    refused(
        "[outbound]\nfragments = \"forward\"",
        r#"outbound.fragments: "forward" is not a choice here: write "drop" or "reassemble""#,
    );
    refused("[inbound]\nnext_hop = 1", "inbound.next_hop: 1 is a whole number: write text in quotes");
}

#[test]
fn a_peer_cannot_be_the_filters_own_as() {
    refused(
        &peer("1-ff00:0:111", "10.3.0.0/16"),
        r#"peers[1].isd_as: "1-ff00:0:111" is this filter's own AS (isd_as): peers are other ASes"#,
    );
}

#[test]
fn a_peer_is_listed_once_for_each_protocol() {
    refused(
        &peer("20-ff00:0:112", "10.3.0.0/16"),
        "peers[1].isd_as: 20-ff00:0:112 with DRKey protocol 3 is peers[0] already: keep one of them",
    );
    let other = peer("20-ff00:0:112", "10.3.0.0/16") + "drkey_protocol = 4\n";
    assert!(FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}{other}")).is_ok());
}

#[test]
fn a_prefix_lies_behind_one_peer() {
    refused(
        &peer("3-1", "10.248.2.0/24"),
        r#"peers[1].prefixes[0]: "10.248.2.0/24" is a prefix of peers[0] already: it can lie behind one peer only"#,
    );
    refused(
        &peer("3-1", "10.3.0.0/16\", \"10.3.0.0/16"),
        r#"peers[1].prefixes[1]: "10.3.0.0/16" is listed twice: keep one"#,
    );
    refused(
        &peer("3-1", "10.248.2.1/24"),
        r#"peers[1].prefixes[0]: "10.248.2.1/24" has bits beyond its length: write 10.248.2.0/24, or 10.248.2.1/32 for the one address"#,
    );
    assert!(FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}{}", peer("3-1", "10.248.2.0/25"))).is_ok());
}

#[test]
fn bad_secrets_are_refused_without_showing_them() {
    let zeroes = "0".repeat(32);
    let cases = [
        (
            format!("{{ secret = \"{zeroes}\", {START} }}"),
            ": a shared secret must not be all zeroes: generate one with `openssl rand -hex 16`",
        ),
        (
            format!("{{ secret = \"{SECRET}0\", {START} }}"),
            ".secret: this is no key: it has 33 characters, but a key is 32 hexadecimal digits",
        ),
        (format!("{{ {START} }}"), ".secret: missing: add secret = \"(32 hexadecimal digits)\" or file = \"…\""),
        (format!("{{ secret = \"{SECRET}\" }}"), ".not_before: missing: add not_before = \"2026-01-01T00:00:00Z\""),
        (
            format!("{{ secret = \"{SECRET}\", not_before = \"{SECRET}\" }}"),
            ".not_before: this is not a time: write it like 2026-01-01T00:00:00Z",
        ),
        (
            format!("{{ secret = \"{SECRET}\", not_before = 2200-01-01T00:00:00Z }}"),
            ".not_before: this lies beyond the year 2200: correct the date",
        ),
        (
            format!("{{ secret = \"{SECRET}\", {START} }}, {{ secret = \"{SECRET}\", {START} }}"),
            ".not_before: this is the not_before of an earlier secret too: which one is meant?",
        ),
    ];
    for (secrets, expected) in cases {
        let text = MINIMAL.replace(&format!("{{ secret = \"{SECRET}\", {START} }}"), &secrets);
        let problems = problems(&text);
        let [problem] = &problems[..] else { panic!("one problem is expected: {problems:?}") };
        let (place, _) = problem.split_once(']').unwrap();
        assert_eq!(place, "peers[0");
        assert!(problem.ends_with(expected), "{problem}");
        assert!(!problem.contains(&SECRET[..8]), "{problem}");
    }
}

#[test]
fn a_secret_that_ends_its_predecessor_too_soon_is_refused_at_its_date() {
    // Three days after the first secret its second epoch begins; the second secret would end it a second later.
    let second = format!("{START} }}, {{ secret = \"{SECRET}\", not_before = \"2026-01-04T00:00:01Z\"");
    let problems = FilterConfig::parse(FILE.as_ref(), &MINIMAL.replace(START, &second)).unwrap_err().to_string();
    let expected = "filter.toml:17:165: peers[0].shared_secrets[1].not_before: the shared secret ";
    assert!(problems.starts_with(expected), "{problems}");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join(FILE), folder.path().join("peer"));
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, MINIMAL.replace(&format!("secret = \"{SECRET}\""), "file = \"peer\"")).unwrap();
    assert!(FilterConfig::load(&file).unwrap().warnings.is_empty());
    fs::write(&file, MINIMAL.replace("secret =", "file = \"peer\", secret =")).unwrap();
    let problems = FilterConfig::load(&file).unwrap_err().to_string();
    assert!(problems.ends_with("peers[0].shared_secrets[0].file: given beside secret: keep one of them"), "{problems}");
}

#[test]
fn a_secret_that_every_user_can_read_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    fs::write(&file, MINIMAL).unwrap();
    for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let config = FilterConfig::load(&file).unwrap();
        assert_eq!(config.warnings.len(), warnings);
        for warning in config.warnings {
            let chmod = format!("run chmod o-r {}", file.display());
            assert!(warning.message.contains(&chmod), "{warning}");
        }
    }
}

#[test]
fn best_effort_that_can_use_up_the_overall_limit_is_warned_about() {
    let overall = "[limits]\noverall = { packets_per_second = 1000 }\n";
    let warnings = |best_effort: &str| {
        let config = FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}{overall}{best_effort}")).unwrap();
        (config.best_effort.is_some(), config.warnings.len())
    };
    assert_eq!(warnings(""), (false, 0));
    assert_eq!(warnings("[best_effort]\nenabled = false\n"), (false, 0));
    assert_eq!(warnings("[best_effort]\nlimit = { packets_per_second = 10 }\n"), (true, 0));
    assert_eq!(warnings("[best_effort]\n"), (true, 1));
}

#[test]
fn a_filter_without_peers_is_warned_about() {
    let (text, _) = MINIMAL.split_once("[[peers]]").unwrap();
    let config = FilterConfig::parse(FILE.as_ref(), text).unwrap();
    let expected = "filter.toml:1:1: peers: no peers: nothing can be authenticated, in either direction";
    assert_eq!(config.warnings[0].to_string(), expected);
}

/// Checks that `text` behind the least configuration has the one problem `expected`.
#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(refusals(text), [expected]);
}

/// The problems of `text` behind the least configuration.
fn refusals(text: &str) -> Vec<String> {
    problems(&format!("{MINIMAL}{text}"))
}

/// The problems of the least configuration with `old` replaced by `new`.
fn edited(old: &str, new: &str) -> Vec<String> {
    assert!(MINIMAL.contains(old));
    problems(&MINIMAL.replacen(old, new, 1))
}

/// The problems of the least configuration with `line` in its first port.
fn refused_in_port(line: &str) -> Vec<String> {
    edited("role = \"inside\"", &format!("role = \"inside\"\n{line}"))
}

/// Field and message of each problem.
fn problems(text: &str) -> Vec<String> {
    let problems = FilterConfig::parse(FILE.as_ref(), text).expect_err("the configuration has mistakes");
    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

fn peer(isd_as: &str, prefix: &str) -> String {
    format!(
        "[[peers]]\nisd_as = \"{isd_as}\"\nprefixes = [\"{prefix}\"]\nshared_secrets = [{{ secret = \"{SECRET}\", {START} }}]\n"
    )
}

/// Whether a line of TOML, or of a comment in it, gives the field or opens the section.
fn mentions(toml: &str, name: &str) -> bool {
    let opens = [format!("[{name}]"), format!("[[{name}]]")];
    toml.lines().any(|line| line.contains(&format!("{name} =")) || opens.iter().any(|header| line.contains(header)))
}

const FILE: &str = "filter.toml";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const START: &str = "not_before = \"2026-01-01T00:00:00Z\"";

const MINIMAL: &str = r#"isd_as = "1-ff00:0:111"
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "inside"
forward_to = "outside"
# Lines are counted from one,
# and comments count.
[[ports]]
name = "outside"
device = "net_tap1,iface=pg-out"
role = "outside"
forward_to = "inside"
[[peers]]
isd_as = "20-ff00:0:112"
prefixes = ["10.248.2.0/24"]
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }]
"#;

/// A configuration with every section, so that reading it asks for every field.
const EVERYTHING: &str = r#"isd_as = "1-ff00:0:111"
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "auto"
forward_to = "inside"
[limits]
overall = { packets_per_second = 1 }
authenticated = { packets_per_second = 1 }
peer = { packets_per_second = 1 }
icmp_errors = { packets_per_second = 1 }
control = { packets_per_second = 1 }
destinations = [{ prefix = "10.0.0.0/8", limit = { packets_per_second = 1 } }]
[best_effort]
limit = { packets_per_second = 1 }
[wireguard]
handshake = { packets_per_second = 1 }
[[peers]]
isd_as = "20-ff00:0:112"
limit = { packets_per_second = 1 }
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }]
"#;
