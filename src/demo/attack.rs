//! What an attacker can do with packets that pass by: alter, repeat and imitate them. It has no key.

use anyhow::{Context, Result};
use photongate_crypto::{HashJob, backend};
use photongate_wire::{EtherType, Ethernet, IpProtocol, Ipv4, Ipv6, Lf, LfHeader, Udp, UdpMut, lf, udp};

use super::lab::Flow;

/// A packet with a proof of origin, overheard between two filters.
#[derive(Clone, Debug)]
pub(crate) struct Overheard {
    frame: Vec<u8>,
    /// Where UDP's header begins.
    udp_at: usize,
}

impl Overheard {
    /// Takes `frame` if it is such a packet.
    pub(crate) fn recognise(frame: Vec<u8>, lf_port: u16) -> Option<Self> {
        let ethernet = Ethernet::parse(&frame).ok()?;
        let (protocol, payload) = match ethernet.ethertype() {
            EtherType::IPV4 => {
                let ip = Ipv4::parse(ethernet.payload()).ok()?;
                (ip.protocol(), ip.payload())
            }
            EtherType::IPV6 => {
                let ip = Ipv6::parse(ethernet.payload()).ok()?;
                (ip.next_header(), ip.payload())
            }
            _ => return None,
        };
        let udp = (protocol == IpProtocol::UDP).then(|| Udp::parse(payload).ok())??;
        if udp.destination_port() != lf_port || udp.payload().len() < lf::HEADER_LEN {
            return None;
        }
        // What stands behind the datagram is padding, or a checksum that nobody asked for.
        let udp_at = payload.as_ptr().addr() - frame.as_ptr().addr();
        let end = udp_at + payload.len();
        let mut frame = frame;
        frame.truncate(end);
        Some(Self { frame, udp_at })
    }

    /// The packet as it was overheard.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// What is inside: the payload travels in clear.
    pub(crate) fn flow(&self) -> Flow {
        let payload = &self.frame[self.payload_at()..];
        match self.header().map(|header| header.next_protocol) {
            Ok(IpProtocol::UDP) => Udp::parse(payload).map_or(Flow::Other, |udp| Flow::Udp(udp.destination_port())),
            Ok(IpProtocol::TCP) => Flow::Tcp,
            _ => Flow::Other,
        }
    }

    /// The packet with a flipped bit in what the MAC covers, or in the MAC; `choice` selects which.
    pub(crate) fn with_header_bit_flipped(&self, choice: usize) -> Vec<u8> {
        // Not the AS or the reserved byte, whose change is noticed before any MAC is computed; nor the head of the timestamp.
        let bytes: Vec<usize> = (11..12).chain(18..36).chain(40..56).collect();
        self.with_bit_flipped(self.udp_at + udp::HEADER_LEN + bytes[choice % bytes.len()], choice)
    }

    /// The packet with a flipped bit in its payload; `choice` selects which.
    pub(crate) fn with_payload_bit_flipped(&self, choice: usize) -> Vec<u8> {
        let payload_len = self.frame.len() - self.payload_at();
        self.with_bit_flipped(self.payload_at() + choice % payload_len, choice)
    }

    /// The packet with another UDP source port, which neither MAC nor hash covers.
    pub(crate) fn with_source_port(&self, port: u16) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[self.udp_at..self.udp_at + 2].copy_from_slice(&port.to_be_bytes());
        set_no_checksum(&mut frame[self.udp_at..]);
        frame
    }

    /// A packet of the attacker's own that is right in everything but the MAC, for which it lacks the key. `number`
    /// makes it differ from others of its kind; inside, it goes to UDP port `port`.
    ///
    /// # Errors
    /// The packet that it is modelled on is too short.
    pub(crate) fn imitated(&self, number: u64, port: u16) -> Result<Vec<u8>> {
        let mut frame = self.frame.clone();
        let (front, payload) = frame.split_at_mut(self.payload_at());
        payload.get_mut(2..4).context("no UDP inside")?.copy_from_slice(&port.to_be_bytes());
        set_no_checksum(payload);
        let mut header = self.header()?;
        header.timestamp.0 += number + 1;
        backend::detect().sha1(&[HashJob { data: payload }], std::slice::from_mut(&mut header.hash));
        header.mac[..8].copy_from_slice(&number.wrapping_mul(GOLDEN_RATIO).to_be_bytes());
        header.emit(front.last_chunk_mut().context("no header")?);
        set_no_checksum(&mut front[self.udp_at..]);
        Ok(frame)
    }

    fn header(&self) -> Result<LfHeader> {
        let (header, _) = Lf::split(&self.frame[self.udp_at + udp::HEADER_LEN..])?;
        Ok(LfHeader::parse(header.as_bytes())?)
    }

    fn payload_at(&self) -> usize {
        self.udp_at + lf::ENCAPSULATION_LEN
    }

    fn with_bit_flipped(&self, at: usize, choice: usize) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[at] ^= 1 << (choice % 8);
        frame
    }
}

/// "No checksum" in a UDP header. Filters do not look at it: hash and MAC say more.
fn set_no_checksum(datagram: &mut [u8]) {
    if let Ok(mut udp) = UdpMut::parse(datagram) {
        udp.set_checksum(0);
    }
}

/// 2^64 divided by the golden ratio: a different guess each time.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
