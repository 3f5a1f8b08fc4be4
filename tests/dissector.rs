//! The Wireshark dissector, `scripts/wireshark/photongate.lua`, as `tshark` runs it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

#[test]
fn every_header_field_of_a_captured_packet_is_shown() {
    let rows = dissect(CAPTURED, 40001, &HEADER_FIELDS);
    assert_eq!(
        rows[0],
        [
            "1-ff00:0:111",
            "4660",
            "0x00",
            "17",
            "177135271996448",
            "1937cd8dea5a38850df8e37cf47610099b17cdd0",
            "c5c3132c362bf4335539fc706a09f86a",
            "9",
        ]
    );
    assert_eq!(
        rows[1],
        [
            "20-ff00:0:112",
            "4660",
            "0x00",
            "1",
            "177135309420341",
            "88856de0a0823eb1f08bded54b73411e61aea566",
            "07b777f1794c8dbae51b140d593b8439",
            "37",
        ]
    );
    assert_eq!(rows.len(), 13);
}

#[test]
fn the_payload_is_handed_to_the_dissector_of_its_ip_protocol() {
    let rows = dissect(CAPTURED, 40001, &["frame.protocols"]);
    assert!(rows[0][0].starts_with("eth:ethertype:ip:udp:photongate:udp"), "UDP: {:?}", rows[0]);
    assert!(rows[1][0].starts_with("eth:ethertype:ip:udp:photongate:icmp"), "ICMP: {:?}", rows[1]);
    assert_eq!(rows[10][0], "eth:ethertype:ip:udp:photongate:data", "protocol 253, which nobody dissects");
    assert_eq!(rows[12][0], "eth:ethertype:ip:udp:photongate", "no payload");
}

#[test]
fn ipv6_and_its_extension_headers_are_followed_to_the_payload() {
    let mut hop_by_hop = vec![58, 0, 1, 4, 0, 0, 0, 0];
    hop_by_hop.extend_from_slice(&ECHO_REQUEST);
    let capture = capture(&[
        udp_over_ipv6(&[&Header { next_protocol: 58, ..Header::VALID }.bytes(), &ECHO_REQUEST]),
        udp_over_ipv6(&[&Header { next_protocol: 0, ..Header::VALID }.bytes(), &hop_by_hop]),
    ]);
    let rows = dissect(&capture, 49149, &["frame.protocols", "icmpv6.echo.sequence_number"]);
    assert_eq!(rows[0], ["eth:ethertype:ipv6:udp:photongate:icmpv6:data", "7"]);
    assert_eq!(rows[1], ["eth:ethertype:ipv6:udp:photongate:ipv6.hopopts:icmpv6:data", "7"]);
}

#[test]
fn an_as_number_of_up_to_32_bits_is_shown_in_decimal() {
    let header = Header { isd_as: 2 << 48 | 0xffff_ffff, ..Header::VALID };
    let rows = dissect(&capture(&[udp_over_ipv6(&[&header.bytes()])]), 49149, &["photongate.src_isd_as"]);
    assert_eq!(rows[0], ["2-4294967295"]);
}

#[test]
fn a_timestamp_keeps_all_its_64_bits() {
    let header = Header { timestamp: u64::MAX, ..Header::VALID };
    let rows = dissect(&capture(&[udp_over_ipv6(&[&header.bytes()])]), 49149, &["photongate.timestamp"]);
    assert_eq!(rows[0], ["18446744073709551615"]);
}

#[test]
fn a_reserved_byte_other_than_zero_is_flagged() {
    let capture = capture(&[
        udp_over_ipv6(&[&Header::VALID.bytes()]),
        udp_over_ipv6(&[&Header { reserved: 1, ..Header::VALID }.bytes()]),
    ]);
    let rows = dissect(&capture, 49149, &["photongate.reserved", "_ws.expert.message"]);
    assert_eq!(rows[0], ["0x00", ""]);
    assert_eq!(rows[1], ["0x01", "The reserved byte is not 0: receivers drop this packet"]);
}

#[test]
fn a_datagram_too_short_for_the_header_is_flagged() {
    let capture = capture(&[udp_over_ipv6(&[&Header::VALID.bytes()[..55]])]);
    let rows = dissect(&capture, 49149, &["photongate.src_isd_as", "_ws.expert.message"]);
    assert_eq!(rows[0], ["", "Too short for a LightningFilter header: receivers drop this packet"]);
}

#[test]
fn an_lf2_header_is_shown_and_its_payload_handed_on() {
    // The example over IPv6 in docs/protocol/lf2.md.
    let header = "f23a12340001ff00000001110000a0fa4014690a497db521f32b70d90dd99054739ae491";
    let header: Vec<u8> = (0..72).step_by(2).map(|at| u8::from_str_radix(&header[at..at + 2], 16).unwrap()).collect();
    let packet = udp_over_ipv6_to(49148, &[&header, &ECHO_REQUEST]);
    let mut unknown = packet.clone();
    unknown[14 + 40 + 8] = 0xf3;
    let short = udp_over_ipv6_to(49148, &[&header[..35]]);
    let fields = [
        "frame.protocols",
        "photongate.version",
        "photongate.src_isd_as",
        "photongate.drkey_protocol",
        "photongate.next_protocol",
        "photongate.timestamp",
        "photongate.tag",
        "photongate.payload_length",
        "icmpv6.echo.sequence_number",
    ];
    let rows = dissect(&capture(std::slice::from_ref(&packet)), 49149, &fields);
    let protocols = "eth:ethertype:ipv6:udp:photongate:icmpv6:data";
    let tag = "497db521f32b70d90dd99054739ae491";
    assert_eq!(rows[0], [protocols, "0xf2", "1-ff00:0:111", "4660", "58", "176996677347594", tag, "13", "7"]);
    let rows = dissect(&capture(&[packet, unknown, short]), 49149, &["photongate.version", "_ws.expert.message"]);
    assert_eq!(rows[0][0], "0xf2");
    assert!(rows[1][1].starts_with("The version is not 0xf2: receivers drop this packet"), "{:?}", rows[1]);
    assert_eq!(rows[2], ["", "Too short for a LightningFilter header: receivers drop this packet"]);
}

#[test]
fn other_udp_ports_are_left_alone() {
    let capture = capture(&[udp_over_ipv6(&[&Header::VALID.bytes()])]);
    let rows = dissect(&capture, 50000, &["photongate.src_isd_as", "udp.dstport"]);
    assert_eq!(rows[0], ["", "49149"]);
}

/// What `tshark` with the dissector on UDP port `port` makes of `capture`: a row for each packet, of the values of `fields`.
fn dissect(capture: &[u8], port: u16, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command
        .args(["-n", "-r", "-", "-o", &format!("photongate.port:{port}")])
        .args(["-X", concat!("lua_script:", env!("CARGO_MANIFEST_DIR"), "/scripts/wireshark/photongate.lua")])
        .args(["-T", "fields", "-E", "separator=/t"]);
    for field in fields {
        command.args(["-e", field]);
    }
    // Not the preferences and plugins of whoever runs the tests, who may have this very dissector installed.
    command.env("WIRESHARK_CONFIG_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-wireshark-configuration"));
    let mut tshark = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tshark is needed for this test: run scripts/setup.sh");

    let mut input = tshark.stdin.take().expect("stdin is piped");
    let output = thread::scope(|scope| {
        scope.spawn(move || input.write_all(capture).expect("tshark reads the whole capture"));
        tshark.wait_with_output().expect("tshark ends")
    });
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !errors.contains("Lua"), "tshark failed: {errors}");
    text.lines().map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

/// A LightningFilter header, whose hash and MAC the dissector does not verify.
struct Header {
    isd_as: u64,
    reserved: u8,
    next_protocol: u8,
    timestamp: u64,
}

impl Header {
    const VALID: Self = Self { isd_as: 0x0001_ff00_0000_0110, reserved: 0, next_protocol: 59, timestamp: 1_000 };

    fn bytes(&self) -> Vec<u8> {
        let drkey_protocol = 3_u16;
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.isd_as.to_be_bytes());
        bytes.extend_from_slice(&drkey_protocol.to_be_bytes());
        bytes.extend_from_slice(&[self.reserved, self.next_protocol]);
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&[0xaa; 20 + 16]);
        bytes
    }
}

/// An Ethernet frame with a UDP datagram over IPv6, from and to the default port, that carries `parts` one after the other.
fn udp_over_ipv6(parts: &[&[u8]]) -> Vec<u8> {
    udp_over_ipv6_to(49149, parts)
}

/// The same, from and to another port.
fn udp_over_ipv6_to(port: u16, parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let udp_length = u16::try_from(8 + payload.len()).expect("test packets are short").to_be_bytes();
    let port = port.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
    frame.extend_from_slice(&[0x60, 0, 0, 0, udp_length[0], udp_length[1], 17, 64]);
    frame.extend_from_slice(&"fd00:248:1::1".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    frame.extend_from_slice(&"fd00:248:2::1".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    // The checksum is one that no sender computed: tshark does not look at it by default.
    frame.extend_from_slice(&[port[0], port[1], port[0], port[1], udp_length[0], udp_length[1], 0x12, 0x34]);
    frame.extend_from_slice(&payload);
    frame
}

/// A pcap file of Ethernet frames, all of the same time.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("test packets are short");
        for word in [0, 0, length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(frame);
    }
    file
}

/// Two running LightningFilter instances talking to each other; see the README beside it.
const CAPTURED: &[u8] = include_bytes!("fixtures/lf/C-between.pcap");

const HEADER_FIELDS: [&str; 8] = [
    "photongate.src_isd_as",
    "photongate.drkey_protocol",
    "photongate.reserved",
    "photongate.next_protocol",
    "photongate.timestamp",
    "photongate.hash",
    "photongate.mac",
    "photongate.payload_length",
];

const ECHO_REQUEST: [u8; 13] = [128, 0, 0, 0, 0x12, 0x34, 0, 7, b'h', b'e', b'l', b'l', b'o'];
