//! Packets to measure with: each new, from and to peers at random, valid in every byte that is looked at.

use photongate_crypto::{CmacJob, HashJob, Key, MacJob, backend};
use photongate_dpdk::Mbuf;
use photongate_drkey::{
    AsAsKey, AsPair, Epoch, KeySet, Protocol, host_as_input, host_host_input, lf2_host_host_input, shared_secret_key,
};
use photongate_net::now;
use photongate_pipeline::{Encapsulation, PeerKey};
use photongate_wire::{
    EpochNanos, IpProtocol, IsdAs, Lf2Header, LfHeader, Nanos, UdpHeader, UnixNanos, checksum, lf, lf2, udp,
};
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

/// How long packets are: bytes of payload, which is what stands behind the inner IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All alike.
    Fixed(usize),
    /// Of twelve packets seven of 64 bytes, four of 570 and one of 1,400, in random order.
    ///
    /// The shares, and the first two lengths, are those of the "simple IMIX" that testers of routers use (64, 570 and 1,518
    /// bytes; RFC 6985 tells of such mixes). The longest is shorter, so that it fits a link of 1,500 bytes encapsulated.
    Imix,
}

impl Size {
    /// The longest payload.
    pub fn longest(self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Imix => IMIX.into_iter().max().unwrap_or(0),
        }
    }

    fn draw(self, random: u64) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Imix => IMIX[(random % IMIX.len() as u64) as usize],
        }
    }
}

/// What is wrong with some of the packets of the peers, in per cent of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attack {
    /// Packets with a wrong MAC.
    pub bad_mac: u8,
    /// Packets that were sent before, a moment ago.
    pub replays: u8,
    /// Packets whose headers are cut short or contradict themselves.
    pub malformed: u8,
}

/// What packets are like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) direction: Direction,
    pub(super) size: Size,
    pub(super) peers: u32,
    pub(super) attack: Attack,
    pub(super) encapsulation: Encapsulation,
}

/// Makes packets.
pub(super) struct Traffic {
    kind: Kind,
    epoch: Epoch,
    last: UnixNanos,
    random: u64,
    /// Packets to be sent again, and which of them is the next to be replaced.
    sent: Vec<Vec<u8>>,
    oldest: usize,
}

impl Traffic {
    /// `worker` makes the packets of two workers differ.
    pub(super) fn new(kind: Kind, worker: u64) -> Self {
        // The same all day, so that frames in a file are good for later runs, too.
        let now = now();
        let start = UnixNanos(now.0 - now.0 % DAY.0);
        let epoch = Epoch { start, end: start.saturating_add(DAY).saturating_add(DAY) };
        let random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * worker + 1);
        Self { kind, epoch, last: UnixNanos(worker), random, sent: Vec::new(), oldest: 0 }
    }

    /// The keys shared with a peer.
    pub(super) fn keys(&self, peer: u32) -> KeySet {
        let peer = peer_key(peer).isd_as;
        let (inbound, outbound) = (self.key(LOCAL_AS, peer), self.key(peer, LOCAL_AS));
        KeySet { inbound: Some(inbound), outbound: Some(outbound), ..KeySet::default() }
    }

    /// Writes the next packet into an empty buffer. Whether there was room.
    pub(super) fn fill(&mut self, packet: &mut Mbuf) -> bool {
        let Attack { bad_mac, replays, malformed } = self.kind.attack;
        let (fault, all) = ((self.next_random() >> 32) % 100, self.kind.direction == Direction::InBadMac);
        let (bad_mac, replays, malformed) = (u64::from(bad_mac), u64::from(replays), u64::from(malformed));
        if fault < replays && !self.sent.is_empty() {
            let which = (self.next_random() % self.sent.len() as u64) as usize;
            return copy(&self.sent[which], packet);
        }
        let wrong = |from: u64, share: u64| (from..from + share).contains(&fault);
        let (bad_mac, malformed) = (all || wrong(replays, bad_mac), wrong(replays + bad_mac, malformed));
        let Some(frame) = self.write(packet, bad_mac) else { return false };
        if malformed {
            break_header(frame, self.next_random() >> 32);
        } else if !bad_mac && replays > 0 {
            let copy = frame.to_vec();
            self.remember(copy);
        }
        true
    }

    /// Keeps a packet that was accepted, to be sent again.
    fn remember(&mut self, packet: Vec<u8>) {
        if self.sent.len() < REMEMBERED {
            return self.sent.push(packet);
        }
        self.sent[self.oldest] = packet;
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }

    /// Writes a new packet.
    fn write<'p>(&mut self, packet: &'p mut Mbuf, bad_mac: bool) -> Option<&'p mut [u8]> {
        let peer = (self.next_random() % u64::from(self.kind.peers)) as u32;
        let encapsulated = self.kind.direction != Direction::Out;
        let payload_len = self.kind.size.draw(self.next_random() >> 16);
        let overhead = if encapsulated { self.kind.encapsulation.overhead() } else { 0 };
        let len = PLAIN_HEADERS + overhead + payload_len;
        let start = packet.data_range().start;
        packet.set_data_range(start..start + len).ok()?;
        let (buffer, range) = packet.buffer_mut();
        let frame = buffer.get_mut(range)?;
        let (headers, rest) = frame.split_at_mut(PLAIN_HEADERS);
        let (source, destination) = if encapsulated { (host(peer), LOCAL_HOST) } else { (LOCAL_HOST, host(peer)) };
        write_headers(headers, source, destination, rest.len());
        let payload = &mut rest[overhead..];
        // A number in the payload is enough to make each hash a new one.
        let number = self.next_random().to_ne_bytes();
        payload.iter_mut().zip(number).for_each(|(byte, number)| *byte = number);
        if encapsulated {
            self.encapsulate(rest, peer, bad_mac);
        }
        Some(frame)
    }

    /// Writes UDP and LF or `lf2` headers in front of the payload. The outer UDP checksum is left out: nobody looks at it.
    fn encapsulate(&mut self, datagram: &mut [u8], peer: u32, bad_mac: bool) {
        let length = datagram.len() as u16;
        let (udp_header, rest) = datagram.split_at_mut(udp::HEADER_LEN);
        let port = match self.kind.encapsulation {
            Encapsulation::Lf => LF_PORT,
            Encapsulation::Lf2 => LF2_PORT,
        };
        let fields = UdpHeader { source_port: port, destination_port: port, length, checksum: 0 };
        fields.emit(udp_header.try_into().expect("eight bytes"));
        self.last = now().max(UnixNanos(self.last.0 + 1));
        let key = self.key(LOCAL_AS, peer_key(peer).isd_as);
        match self.kind.encapsulation {
            Encapsulation::Lf => self.write_lf(rest, peer, &key, bad_mac),
            Encapsulation::Lf2 => self.write_lf2(rest, peer, &key, bad_mac),
        }
    }

    fn write_lf(&self, datagram: &mut [u8], peer: u32, key: &AsAsKey, bad_mac: bool) {
        let (lf_header, payload) = datagram.split_at_mut(lf::HEADER_LEN);
        let backend = backend::detect();
        let mut hash = [[0; lf::HASH_LEN]];
        backend.sha1(&[HashJob { data: payload }], &mut hash);
        let mut header = LfHeader {
            src_as: peer_key(peer).isd_as,
            drkey_protocol: PROTOCOL.0,
            next_protocol: IpProtocol(253),
            timestamp: self.timestamp(),
            hash: hash[0],
            mac: [0; lf::MAC_LEN],
        };
        let bytes: &mut [u8; lf::HEADER_LEN] = lf_header.try_into().expect("56 bytes");
        header.emit(bytes);
        let tag = backend.mac(&MacJob {
            as_as: &key.key,
            host_as: host_as_input(PROTOCOL, LOCAL_HOST.into()),
            host_host: host_host_input(host(peer).into()),
            message: lf::mac_input(bytes, payload.len() as u16),
        });
        header.mac = *tag.as_bytes();
        header.mac[0] ^= u8::from(bad_mac);
        header.emit(bytes);
    }

    fn write_lf2(&self, datagram: &mut [u8], peer: u32, key: &AsAsKey, bad_mac: bool) {
        let (lf2_header, payload) = datagram.split_at_mut(lf2::HEADER_LEN);
        let mut header = Lf2Header {
            next_protocol: IpProtocol(253),
            drkey_protocol: PROTOCOL.0,
            src_as: peer_key(peer).isd_as,
            timestamp: self.timestamp(),
            tag: [0; lf2::TAG_LEN],
        };
        let bytes: &mut [u8; lf2::HEADER_LEN] = lf2_header.try_into().expect("36 bytes");
        header.emit(bytes);
        let tag = backend::detect().cmac(&CmacJob {
            as_as: &key.key,
            host_as: host_as_input(PROTOCOL, LOCAL_HOST.into()),
            host_host: lf2_host_host_input(host(peer).into()),
            head: lf2::tag_head(bytes, payload.len() as u16),
            data: payload,
        });
        header.tag = *tag.as_bytes();
        header.tag[0] ^= u8::from(bad_mac);
        header.emit(bytes);
    }

    fn timestamp(&self) -> EpochNanos {
        self.last.since_epoch(self.epoch.start).unwrap_or(EpochNanos(0))
    }

    /// As LightningFilter derives it, so that it can be given the same packets.
    fn key(&self, fast: IsdAs, slow: IsdAs) -> AsAsKey {
        let secret = Key::from_bytes([0x5a; Key::LEN]);
        AsAsKey::new(&shared_secret_key(&secret, AsPair { fast, slow }, self.epoch), self.epoch)
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

/// Spoils a header so that no later stage sees the packet, in one way of several.
fn break_header(frame: &mut [u8], which: u64) {
    match which % 4 {
        // Longer than the frame.
        0 => frame[ETHERNET + 2] = 0xff,
        // No version that there is.
        1 => frame[ETHERNET] = 0x25,
        // The checksum.
        2 => frame[ETHERNET + 10] ^= 0xff,
        // The reserved byte of the LF header.
        _ => frame[PLAIN_HEADERS + udp::HEADER_LEN + 10] = 1,
    }
}

/// Whether there was room.
fn copy(bytes: &[u8], packet: &mut Mbuf) -> bool {
    let start = packet.data_range().start;
    if packet.set_data_range(start..start + bytes.len()).is_err() {
        return false;
    }
    let (buffer, range) = packet.buffer_mut();
    buffer[range].copy_from_slice(bytes);
    true
}

/// Seven, four and one of twelve.
const IMIX: [usize; 12] = [64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1400];

/// Packets that may be sent again.
const REMEMBERED: usize = 256;

const DAY: Nanos = Nanos::from_secs(24 * 3600);

/// The AS of the filter.
pub(super) const LOCAL_AS: IsdAs = IsdAs::from_bits(1 << 48 | 0xff00_ffff_ffff);

/// The host behind the filter; an address set aside for benchmarks (RFC 2544).
pub(super) const LOCAL_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

pub(super) const LF_PORT: u16 = 49_149;
pub(super) const LF2_PORT: u16 = 49_148;
pub(super) const PROTOCOL: Protocol = Protocol(3);

/// Ethernet and IPv4.
pub(super) const PLAIN_HEADERS: usize = ETHERNET + 20;

const ETHERNET: usize = 14;
