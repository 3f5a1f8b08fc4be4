//! Packets from our hosts to the peers: given an LF or `lf2` header, so that the peer's filter can tell where they come from.

use crate::burst::{Action, Burst};
use crate::clock::Clock;
use crate::dictionary::KeyDictionary;
use crate::encapsulation::{self, Header, UdpChecksum};
use crate::inbound::{Entries, look_up_entries};
use crate::lanes::{Lanes, MAX_BURST};
use crate::peer_encapsulation::Encapsulation;
use crate::pipeline::Pipeline;
use crate::probe::{Probe, Stage};
use crate::segment_size;
use crate::settings::SourcePort;
use crate::too_big;
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use photongate_crypto::{HashJob, MacJob, Tag};
use photongate_drkey::{AsAsKey, host_as_input, host_host_input};
use photongate_wire::{EpochNanos, IsdAs, LfHeader, Sum, lf};

/// The key that each packet is sent under.
pub(crate) type Keys<'d> = [Option<&'d AsAsKey>; MAX_BURST];

impl Pipeline {
    /// Takes the packets in `alive` through all outbound stages. All of them are settled at the end.
    #[inline(always)]
    pub(crate) fn outbound<D: KeyDictionary + ?Sized, P: Probe>(
        &mut self,
        burst: &mut Burst<'_, '_>,
        mut alive: Lanes,
        dictionary: &D,
        now: Clock,
        probe: &mut P,
    ) {
        let all = alive;
        burst.prefetch_payloads(alive);
        let entries = look_up_entries(burst, alive, dictionary);
        self.prefetch_counters(alive, &entries);
        let keys = outbound_keys(burst, &mut alive, &entries, now);
        probe.end_of(Stage::LookUp);
        let lf2 = choose_encapsulations(burst, alive, &entries);
        self.fit(burst, &mut alive, now);
        let mut headers = [EMPTY_HEADER; MAX_BURST];
        let mut sums = [UdpChecksum::Port; MAX_BURST];
        self.hash_payloads(burst, alive.without(lf2), &mut headers, &mut sums);
        self.sum_payloads(burst, alive.and(lf2), &mut sums);
        probe.end_of(Stage::Hash);
        self.authenticate(burst, &mut alive, lf2, &keys, now, &mut headers);
        let lf2_headers = (!lf2.is_empty()).then(|| self.authenticate_lf2(burst, &mut alive, lf2, &keys, now));
        probe.end_of(Stage::Mac);
        self.encapsulate(burst, alive.without(lf2), &headers, &sums, now);
        if let Some(headers) = lf2_headers {
            self.encapsulate(burst, alive.and(lf2), &headers, &sums, now);
        }
        self.count_for_peers(burst, all, &entries);
        probe.end_of(Stage::Rewrite);
    }

    /// Refuses what would not fit the next link once encapsulated, and has TCP choose segments that do.
    #[inline(always)]
    fn fit(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, now: Clock) {
        for lane in *alive {
            let (Some(frame), Some(packet)) = (burst.frames.get_mut(lane), burst.packets.get(lane)) else { continue };
            let mtu = self.egress(frame.port()).map_or(0, |port| port.mtu);
            let overhead = packet.encapsulation.overhead();
            if packet.datagram_len() + overhead > mtu {
                let fits = mtu.saturating_sub(overhead);
                let replied = too_big::reply(frame, packet, fits, &self.settings.icmp_errors, now);
                alive.remove(lane);
                let action = if replied { Action::Reply } else { Action::Discard };
                burst.settle(lane, Verdict::Dropped(DropReason::TooBig), action);
            } else if self.settings.clamp_mss {
                segment_size::clamp(frame, packet, mtu.saturating_sub(overhead));
            }
        }
    }

    /// Hashes and sums payloads, a few packets at a time, so that what was read for one is at hand for the other.
    #[inline(always)]
    fn hash_payloads(
        &self,
        burst: &Burst<'_, '_>,
        mut alive: Lanes,
        headers: &mut [LfHeader; MAX_BURST],
        sums: &mut [UdpChecksum; MAX_BURST],
    ) {
        while !alive.is_empty() {
            let lanes = alive.first(HASHED_AT_ONCE);
            alive = alive.without(lanes);
            let mut jobs: ArrayVec<HashJob<'_>, HASHED_AT_ONCE> = ArrayVec::new();
            for lane in lanes {
                jobs.push(HashJob { data: burst.payload(lane).unwrap_or_default() });
            }
            let mut digests = [[0; lf::HASH_LEN]; HASHED_AT_ONCE];
            self.backend.sha1(&jobs, &mut digests[..jobs.len()]);
            for (lane, digest) in lanes.into_iter().zip(&digests) {
                headers[lane].hash = *digest;
            }
            self.sum_payloads(burst, lanes, sums);
        }
    }

    /// Sums the payloads whose checksums no port fills in.
    #[inline(always)]
    fn sum_payloads(&self, burst: &Burst<'_, '_>, lanes: Lanes, sums: &mut [UdpChecksum; MAX_BURST]) {
        for lane in lanes {
            let (Some(frame), Some(payload)) = (burst.frames.get(lane), burst.payload(lane)) else { continue };
            if !self.egress(frame.port()).is_some_and(|port| port.udp_checksum_offload) {
                sums[lane] = UdpChecksum::Software(Sum::ZERO.add_bytes(payload));
            }
        }
    }

    /// Fills in the LF headers: a send time of its own for each packet, and the MAC over it all.
    #[inline(always)]
    fn authenticate(
        &mut self,
        burst: &mut Burst<'_, '_>,
        alive: &mut Lanes,
        lf2: Lanes,
        keys: &Keys<'_>,
        now: Clock,
        headers: &mut [LfHeader; MAX_BURST],
    ) {
        let mut lanes: ArrayVec<usize, MAX_BURST> = ArrayVec::new();
        let mut jobs: ArrayVec<MacJob<'_>, MAX_BURST> = ArrayVec::new();
        let hashed = alive.without(lf2);
        let times = self.issuer.issue_burst(now.unix, hashed.count());
        for (lane, sent) in hashed.into_iter().zip(times) {
            let (Some(key), packet) = (keys[lane], &burst.packets[lane]) else { continue };
            // Neither fails: the key's epoch has begun, and what has a 16-bit length fits 16 bits without its header.
            let timestamp = sent.since_epoch(key.epoch.start);
            let payload_len = u16::try_from(packet.datagram_len() - packet.l3_len());
            let (Some(timestamp), Ok(payload_len)) = (timestamp, payload_len) else {
                burst.drop_packet(alive, lane, DropReason::OutboundNoKey);
                continue;
            };
            let header = &mut headers[lane];
            header.src_as = self.settings.local;
            header.drkey_protocol = packet.peer.protocol.0;
            header.next_protocol = packet.protocol;
            header.timestamp = timestamp;
            lanes.push(lane);
            jobs.push(MacJob {
                as_as: &key.key,
                host_as: host_as_input(packet.peer.protocol, packet.destination.into()),
                host_host: host_host_input(self.settings.lf.public(packet.source).into()),
                message: header.mac_input(payload_len),
            });
        }
        let mut tags = [Tag::default(); MAX_BURST];
        self.backend.macs(&jobs, &mut tags[..jobs.len()]);
        for (lane, tag) in lanes.iter().zip(&tags) {
            headers[*lane].mac = *tag.as_bytes();
        }
    }

    /// Puts the headers in front of the payloads, and settles.
    #[inline(always)]
    fn encapsulate<H: Header>(
        &self,
        burst: &mut Burst<'_, '_>,
        alive: Lanes,
        headers: &[H; MAX_BURST],
        sums: &[UdpChecksum; MAX_BURST],
        now: Clock,
    ) {
        for lane in alive {
            let (Some(frame), Some(packet)) = (burst.frames.get_mut(lane), burst.packets.get(lane)) else { continue };
            let port = self.settings.lf.port_of(H::ENCAPSULATION);
            let source_port = match self.settings.lf.source_port {
                SourcePort::Fixed => port,
                SourcePort::Flow => packet.flow_port(frame.bytes()),
            };
            match encapsulation::encapsulate(frame, packet, &headers[lane], (source_port, port), sums[lane]) {
                Some(offload) => {
                    if let Some(outcome) = burst.outcomes.get_mut(lane) {
                        outcome.udp_checksum = offload;
                    }
                    self.deliver(burst, lane, Verdict::Outbound, self.settings.outbound_next_hop, now);
                }
                None => burst.settle(lane, Verdict::Dropped(DropReason::NoHeadroom), Action::Discard),
            }
        }
    }
}

/// Notes what each packet's peer is to be sent, and returns the packets that go in `lf2`.
#[inline(always)]
fn choose_encapsulations(burst: &mut Burst<'_, '_>, alive: Lanes, entries: &Entries<'_>) -> Lanes {
    let mut lf2 = Lanes::default();
    for lane in alive {
        let (Some(entry), Some(packet)) = (entries[lane], burst.packets.get_mut(lane)) else { continue };
        packet.encapsulation = entry.encapsulation().send;
        if packet.encapsulation == Encapsulation::Lf2 {
            lf2.insert(lane);
        }
    }
    lf2
}

/// The key that each packet's peer expects at this time.
#[inline(always)]
fn outbound_keys<'d>(burst: &mut Burst<'_, '_>, alive: &mut Lanes, entries: &Entries<'d>, now: Clock) -> Keys<'d> {
    let mut keys: Keys<'d> = [None; MAX_BURST];
    for lane in *alive {
        keys[lane] = entries[lane].and_then(|entry| entry.keys.outbound(now.unix));
        if keys[lane].is_none() {
            burst.drop_packet(alive, lane, DropReason::OutboundNoKey);
        }
    }
    keys
}

impl Burst<'_, '_> {
    /// What stands behind the IP header of a packet, up to the end of the datagram.
    #[inline(always)]
    pub(crate) fn payload(&self, lane: usize) -> Option<&[u8]> {
        let packet = self.packets.get(lane)?;
        self.frames.get(lane)?.bytes().get(packet.payload_at()..packet.end())
    }
}

/// Packets whose payloads about fit the first cache together, and as many as the widest kernel has lanes.
const HASHED_AT_ONCE: usize = 32;

const EMPTY_HEADER: LfHeader = LfHeader {
    src_as: IsdAs::from_bits(0),
    drkey_protocol: 0,
    next_protocol: photongate_wire::IpProtocol::NO_NEXT_HEADER,
    timestamp: EpochNanos(0),
    hash: [0; lf::HASH_LEN],
    mac: [0; lf::MAC_LEN],
};
