//! Real traffic of the kernel's own stack through two filters. Needs root, for namespaces.

#![cfg(feature = "dataplane")]

mod support;

use std::path::Path;
use std::process::Command;

use support::lab::{Direction, Flow, HOST_INTERFACE, RawSocket, Watch};
use support::{HOST_A, HOST_B, Network, Setup, host};

#[test]
fn ordinary_traffic_passes_and_all_of_it_is_authenticated() {
    let Some(network) = Network::start(Setup::default()) else { return };
    network.connect_hosts();
    let [a, b] = &network.sides;

    let accepted = || network.filters.each_ref().map(|filter| filter.counters().unwrap().forwarded("accepted"));
    let before = accepted();
    for address in HOST_B {
        host::ping(&a.host, address, 50).unwrap();
    }
    let now = accepted();
    assert_eq!([now[0] - before[0], now[1] - before[1]], [100, 100], "echo replies and requests");

    for address in HOST_B {
        host::tcp(&a.host, &b.host, address, 2_000_000).unwrap();
        host::tcp(&b.host, &a.host, if address.is_ipv4() { HOST_A[0] } else { HOST_A[1] }, 2_000_000).unwrap();
    }

    iperf(&network, &["--time", "2"]);
    iperf(&network, &["--time", "2", "--udp", "--bitrate", "20M", "--length", "1300"]);
    iperf(&network, &["--time", "2", "--version6"]);

    for filter in &network.filters {
        let counters = filter.counters().unwrap();
        assert!(counters.dropped.keys().all(|reason| reason == "too_big"), "{counters:?}");
        assert!(!counters.forwarded.contains_key("best_effort"), "{counters:?}");
    }
    network.stop();
}

#[test]
fn senders_learn_how_large_packets_may_be() {
    let Some(network) = Network::start(Setup::default()) else { return };
    network.connect_hosts();
    let host_a = &network.sides[0].host;
    // 64 bytes less than Ethernet's 1500; less IPv4's and ICMP's headers that is 1408, less IPv6's and ICMP's 1388.
    assert_eq!(ping_of(host_a, 1408, "10.248.2.1").0, 0);
    assert_eq!(ping_of(host_a, 1388, "fd00:248:2::1").0, 0);
    let (status, output) = ping_of(host_a, 1409, "10.248.2.1");
    assert!(status != 0 && output.replace(' ', "").contains("mtu=1436"), "{output}");
    let (status, output) = ping_of(host_a, 1389, "fd00:248:2::1");
    assert!(status != 0 && output.replace(' ', "").contains("mtu=1436"), "{output}");
    let too_big = network.filters[0].counters().unwrap().dropped("too_big");
    assert!(too_big >= 2, "{too_big} packets were too big");
    let route = host_a.run("ip route get 10.248.2.1").unwrap();
    assert!(route.contains("mtu 1436"), "the host has not learnt it: {route}");
    network.stop();
}

#[test]
fn fragments_are_refused_on_their_way_out_and_pass_when_they_are_put_together() {
    let Some(network) = Network::start(Setup::default()) else { return };
    network.connect_hosts();
    let host_a = &network.sides[0].host;
    let (status, _) = ping_in_fragments(host_a);
    let refused = network.filters[0].counters().unwrap().dropped("fragment_outbound");
    assert!(status != 0 && refused >= 4, "{refused} fragments were refused");
    network.stop();

    let sections = "[outbound]\nfragments = \"reassemble\"";
    let network = Network::start(Setup { sections, ..Setup::default() }).expect("it started before");
    network.connect_hosts();
    let (status, output) = ping_in_fragments(&network.sides[0].host);
    assert_eq!(status, 0, "{output}");
    network.stop();
}

#[test]
fn vlan_tags_pass_through_both_filters() {
    let Some(network) = Network::start(Setup::default()) else { return };
    network.connect_hosts();
    let [a, b] = &network.sides;

    // A frame of host A's with a tag put into it, as tcpdump at host B sees it: kernels may lack VLAN interfaces.
    let listening = a.host.enter(|| RawSocket::open(HOST_INTERFACE)).unwrap();
    host::ping(&a.host, HOST_B[0], 1).unwrap();
    let request = network.patience.until("an echo request", support::TIMEOUT, || {
        let frame = listening.receive()?;
        Ok(frame.filter(|(direction, frame)| *direction == Direction::Out && Flow::of(frame) == Flow::Echo))
    });
    let (_, request) = request.unwrap();
    let tagged = [&request[..12], &[0x81, 0x00, 0x60, 0x07], &request[12..]].concat();
    let capture = network.directory.path().join("tagged.txt");
    let mut tcpdump = b.host.command("timeout");
    let output = std::fs::File::create(&capture).unwrap();
    tcpdump.args(["15", "tcpdump", "-n", "-e", "-l", "-U", "-i", HOST_INTERFACE, "vlan 7"]).stdout(output);
    let mut tcpdump = tcpdump.stderr(std::process::Stdio::null()).spawn().unwrap();
    network.eventually("a tagged packet at host B", || {
        listening.send(&tagged)?;
        Ok(read(&capture).contains("ICMP echo request"))
    });
    let text = read(&capture);
    assert!(text.contains("vlan 7, p 3") && text.contains("10.248.1.1 > 10.248.2.1"), "{text}");
    tcpdump.kill().unwrap();
    tcpdump.wait().unwrap();

    // Where they do not, both ends of a VLAN.
    let vlan = |side: &support::lab::Side, address| -> anyhow::Result<()> {
        side.host.ip("link add link pg0 name pg0.9 type vlan id 9")?;
        side.host.ip(&format!("address add {address} dev pg0.9"))?;
        side.host.ip("link set pg0.9 up")
    };
    match vlan(a, "10.249.1.1/16").and_then(|()| vlan(b, "10.249.2.1/16")) {
        Ok(()) => host::ping(&a.host, "10.249.2.1".parse().unwrap(), 5).unwrap(),
        Err(error) => eprintln!("no VLAN interfaces on this machine, frames alone were tested: {error:#}"),
    }
    network.stop();
}

#[test]
fn routed_hosts_find_their_filter_by_arp_and_neighbour_discovery() {
    // Filters with addresses of their own: the kernel behind each answers for them through the exception ports.
    let setup = Setup {
        inside_a: r#"next_hop = "02:00:00:00:00:61"
exception = "pgx-inside"
addresses = ["10.248.1.254", "fd00:248:1::fe"]"#,
        inside_b: r#"next_hop = "02:00:00:00:00:62"
exception = "pgx-inside"
addresses = ["10.248.2.254", "fd00:248:2::fe"]"#,
        ..Setup::default()
    };
    let Some(network) = Network::start(setup) else { return };
    for (side, number) in network.sides.iter().zip(1..) {
        side.filter.ip("link set pgx-inside up").unwrap();
        side.filter.ip(&format!("address add 10.248.{number}.254/24 dev pgx-inside")).unwrap();
        side.filter.ip(&format!("address add fd00:248:{number}::fe/64 dev pgx-inside nodad")).unwrap();
        let (v4, v6) = (format!("10.248.{number}.1/24"), format!("fd00:248:{number}::1/64"));
        side.connect_host(&[&v4, &v6]).unwrap();
        side.host.ip(&format!("route add default via 10.248.{number}.254")).unwrap();
        side.host.ip(&format!("-6 route add default via fd00:248:{number}::fe")).unwrap();
    }
    let host_a = &network.sides[0].host;
    network.eventually("the filter's own addresses to answer", || {
        let answers = |address: &str| host::ping(host_a, address.parse().unwrap(), 1).is_ok();
        Ok(answers("10.248.1.254") && answers("fd00:248:1::fe"))
    });
    // And through both filters, which put their next hop's address into the frames.
    let watch = Watch::start(&network.sides[1].host, HOST_INTERFACE).unwrap();
    network.wait_for_host_b();
    assert!(watch.count(Direction::In, Flow::Echo) > 0);
    for address in HOST_B {
        host::tcp(host_a, &network.sides[1].host, address, 500_000).unwrap();
    }
    let counters = network.filters[0].counters().unwrap();
    assert!(counters.forwarded("control") > 0, "{counters:?}");
    network.stop();
}

/// Runs iperf3 from host A to host B.
fn iperf(network: &Network, arguments: &[&str]) {
    let [a, b] = &network.sides;
    let mut server =
        b.host.command("timeout").args(["30", "iperf3", "--server", "--one-off"]).stdout(null()).spawn().unwrap();
    let to = if arguments.contains(&"--version6") { "fd00:248:2::1" } else { "10.248.2.1" };
    network.eventually("iperf3 to transfer something", || {
        let mut client = a.host.command("timeout");
        let output = client.args(["20", "iperf3", "--json", "--client", to]).args(arguments).output()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        // The server may not listen yet.
        if report["error"].as_str().is_some_and(|error| error.contains("unable to connect")) {
            return Ok(false);
        }
        let end = &report["end"];
        let received = end["sum_received"]["bytes"].as_u64().or(end["sum"]["bytes"].as_u64()).unwrap_or_default();
        assert!(received > 1_000_000, "{arguments:?}: {report:#}");
        if let Some(percent) = end["sum"]["lost_percent"].as_f64() {
            assert!(percent < 1.0, "{percent} % lost: {report:#}");
        }
        Ok(true)
    });
    server.wait().unwrap();
}

/// Pings twice with packets that the host must cut in two, though the whole fits the filters' links.
fn ping_in_fragments(from: &support::lab::Namespace) -> (i32, String) {
    from.ip("route add 10.248.2.1/32 dev pg0 mtu 800").unwrap();
    let output =
        from.command("ping").args(["-n", "-c", "2", "-i", "0.2", "-W", "3", "-s", "1000", "10.248.2.1"]).output();
    let output = output.unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Pings twice with that much payload, not to be fragmented; exit status and output.
fn ping_of(from: &support::lab::Namespace, size: u32, to: &str) -> (i32, String) {
    let size = size.to_string();
    let mut ping: Command = from.command("ping");
    let output = ping.args(["-n", "-c", "2", "-i", "0.2", "-W", "3", "-M", "do", "-s", &size, to]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn null() -> std::process::Stdio {
    std::process::Stdio::null()
}
