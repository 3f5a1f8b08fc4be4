//! Packets to measure with: each new, from and to peers at random, valid in every byte that is looked at.

use photongate_crypto::{HashJob, Key, MacJob, backend};
use photongate_dpdk::Mbuf;
use photongate_drkey::{AsAsKey, Epoch, KeySet, Protocol, host_as_input, host_host_input};
use photongate_net::now;
use photongate_pipeline::PeerKey;
use photongate_wire::lf::{self, ENCAPSULATION_LEN};
use photongate_wire::{EpochNanos, IpProtocol, IsdAs, LfHeader, Nanos, UdpHeader, UnixNanos, checksum, udp};
use std::net::Ipv4Addr;

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Authenticated packets of the peers: everything is checked, and they are decapsulated.
    In,
    /// Our own packets to the peers: they are encapsulated.
    Out,
    /// As `In`, with a wrong MAC.
    InBadMac,
    /// No pipeline: from port to port. The floor.
    Forward,
}

/// Makes packets.
pub(super) struct Traffic {
    direction: Direction,
    payload_len: usize,
    peers: u32,
    epoch: Epoch,
    last: UnixNanos,
    random: u64,
}

impl Traffic {
    pub(super) fn new(direction: Direction, payload_len: usize, peers: u32) -> Self {
        let start = now().saturating_sub(Nanos::from_secs(3600));
        let epoch = Epoch { start, end: start.saturating_add(Nanos::from_secs(3 * 24 * 3600)) };
        Self { direction, payload_len, peers, epoch, last: UnixNanos(0), random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The keys shared with a peer.
    pub(super) fn keys(&self, peer: u32) -> KeySet {
        KeySet { inbound: Some(self.key(peer)), outbound: Some(self.key(peer)), ..KeySet::default() }
    }

    /// Writes the next packet into an empty buffer. Whether there was room.
    pub(super) fn fill(&mut self, packet: &mut Mbuf) -> bool {
        let peer = (self.next_random() % u64::from(self.peers)) as u32;
        let encapsulated = self.direction != Direction::Out;
        let len = PLAIN_HEADERS + self.payload_len + if encapsulated { ENCAPSULATION_LEN } else { 0 };
        let start = packet.data_range().start;
        if packet.set_data_range(start..start + len).is_err() {
            return false;
        }
        let (buffer, range) = packet.buffer_mut();
        let Some(frame) = buffer.get_mut(range) else { return false };
        let (headers, rest) = frame.split_at_mut(PLAIN_HEADERS);
        let (source, destination) = if encapsulated { (host(peer), LOCAL_HOST) } else { (LOCAL_HOST, host(peer)) };
        write_headers(headers, source, destination, rest.len());
        let payload = &mut rest[if encapsulated { ENCAPSULATION_LEN } else { 0 }..];
        // A number in the payload is enough to make each hash a new one.
        let number = self.next_random().to_ne_bytes();
        payload.iter_mut().zip(number).for_each(|(byte, number)| *byte = number);
        if encapsulated {
            self.encapsulate(rest, peer);
        }
        true
    }

    /// Writes UDP and LF headers in front of the payload. The outer UDP checksum is left out: nobody looks at it.
    fn encapsulate(&mut self, datagram: &mut [u8], peer: u32) {
        let (headers, payload) = datagram.split_at_mut(ENCAPSULATION_LEN);
        let (udp_header, lf_header) = headers.split_at_mut(udp::HEADER_LEN);
        let length = (ENCAPSULATION_LEN + payload.len()) as u16;
        let fields = UdpHeader { source_port: LF_PORT, destination_port: LF_PORT, length, checksum: 0 };
        fields.emit(udp_header.try_into().expect("eight bytes"));

        let backend = backend::detect();
        let mut hash = [[0; lf::HASH_LEN]];
        backend.sha1(&[HashJob { data: payload }], &mut hash);
        self.last = now().max(UnixNanos(self.last.0 + 1));
        let mut header = LfHeader {
            src_as: peer_key(peer).isd_as,
            drkey_protocol: PROTOCOL.0,
            next_protocol: IpProtocol(253),
            timestamp: self.last.since_epoch(self.epoch.start).unwrap_or(EpochNanos(0)),
            hash: hash[0],
            mac: [0; lf::MAC_LEN],
        };
        let bytes: &mut [u8; lf::HEADER_LEN] = lf_header.try_into().expect("56 bytes");
        header.emit(bytes);
        let key = self.key(peer);
        let tag = backend.mac(&MacJob {
            schedule: &key.schedule,
            host_as: host_as_input(PROTOCOL, LOCAL_HOST.into()),
            host_host: host_host_input(host(peer).into()),
            message: lf::mac_input(bytes, payload.len() as u16),
        });
        header.mac = *tag.as_bytes();
        if self.direction == Direction::InBadMac {
            header.mac[0] ^= 1;
        }
        header.emit(bytes);
    }

    fn key(&self, peer: u32) -> AsAsKey {
        let mut bytes = [0x5a; Key::LEN];
        bytes[..4].copy_from_slice(&peer.to_be_bytes());
        AsAsKey::new(&Key::from_bytes(bytes), self.epoch)
    }

    /// Xorshift (Marsaglia 2003): which peer a packet comes from needs no more randomness than this.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// The AS of peer number `peer`.
pub(super) fn peer_key(peer: u32) -> PeerKey {
    PeerKey { isd_as: IsdAs::from_bits(1 << 48 | 0xff00_0000_0000 | u64::from(peer)), protocol: PROTOCOL }
}

/// The one host behind peer number `peer`, of which there are at most 2^24.
pub(super) fn host(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | peer & 0x00ff_ffff)
}

fn write_headers(headers: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr, payload_len: usize) {
    let [l0, l1] = ((20 + payload_len) as u16).to_be_bytes();
    let protocol = if source == LOCAL_HOST { IpProtocol(253) } else { IpProtocol::UDP };
    let mut ip = [0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, protocol.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..].copy_from_slice(&destination.octets());
    let sum = checksum::internet(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    headers[..14].copy_from_slice(&ethernet);
    headers[14..].copy_from_slice(&ip);
}

/// The host behind the filter; an address set aside for benchmarks (RFC 2544).
pub(super) const LOCAL_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

pub(super) const LF_PORT: u16 = 49_149;
pub(super) const PROTOCOL: Protocol = Protocol(3);

/// Ethernet and IPv4.
pub(super) const PLAIN_HEADERS: usize = 14 + 20;
