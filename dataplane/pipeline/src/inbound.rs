//! Packets with an LF or `lf2` header, from the peers to our hosts.
//!
//! The order of the steps is the filter's security: cheap checks first, and nothing that a sender without the key can
//! cause changes any state. Only when MAC *and* payload hash agree, or the tag over both, do duplicate filter and rate limits
//! take note.

use crate::addresses::Addresses;
use crate::burst::{Action, Burst};
use crate::clock::Clock;
use crate::dictionary::{Entry, KeyDictionary};
use crate::duplicates::{Seen, Spot};
use crate::encapsulation;
use crate::lanes::{Lanes, MAX_BURST};
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::probe::{Probe, Stage};
use crate::segment_size;
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use photongate_crypto::{HashJob, MacJob, Tag};
use photongate_drkey::{AsAsKey, EpochMiss, host_as_input, host_host_input};
use photongate_wire::{EpochNanos, Lf, UnixNanos, lf};

/// What the look-up found for a packet: the key to check it with, and when it says it was sent.
#[derive(Clone, Copy)]
pub(crate) struct Found<'d> {
    pub(crate) entry: &'d Entry,
    pub(crate) key: &'d AsAsKey,
    sent: UnixNanos,
}

/// The dictionary's entry for each packet.
pub(crate) type Entries<'d> = [Option<&'d Entry>; MAX_BURST];

/// What was found for each packet.
pub(crate) type AllFound<'d> = [Option<Found<'d>>; MAX_BURST];

/// Where the duplicate filter records each packet.
type Spots = [Spot; MAX_BURST];

impl Pipeline {
    /// Takes the packets in `alive` through all inbound stages. All of them are settled at the end.
    #[inline(always)]
    pub(crate) fn inbound<D: KeyDictionary + ?Sized, P: Probe>(
        &mut self,
        burst: &mut Burst<'_, '_>,
        mut alive: Lanes,
        dictionary: &D,
        now: Clock,
        probe: &mut P,
    ) {
        let all = alive;
        let lf2 = self.inbound_lf2(burst, alive);
        let entries = look_up_entries(burst, alive, dictionary);
        let mut found = [None; MAX_BURST];
        self.find_keys(burst, &mut alive, &entries, now, &mut found);
        self.prefetch_counters(alive, &entries);
        probe.end_of(Stage::LookUp);
        self.check_limits(burst, &mut alive, &found, now);
        probe.end_of(Stage::LimitCheck);
        burst.prefetch_payloads(alive.and(lf2));
        self.check_macs(burst, &mut alive, lf2, &found);
        // Not before: who has no key shall cost no more than that.
        burst.prefetch_payloads(alive.without(lf2));
        if !lf2.is_empty() {
            self.check_tags(burst, &mut alive, lf2, &found);
        }
        probe.end_of(Stage::Mac);
        // In an attack, none may be left.
        if !alive.is_empty() {
            self.admit(burst, alive, lf2, &found, now, probe);
        }
        self.count_for_peers(burst, all, &entries);
        probe.end_of(Stage::Rewrite);
    }

    /// Takes packets that are from whom they say through the rest of the stages.
    #[inline(always)]
    fn admit<P: Probe>(
        &mut self,
        burst: &mut Burst<'_, '_>,
        mut alive: Lanes,
        lf2: Lanes,
        found: &AllFound<'_>,
        now: Clock,
        probe: &mut P,
    ) {
        let mut spots = [Spot::NONE; MAX_BURST];
        // What is begun to fetch here is looked at in the same order, so that there is time for it to arrive.
        let sources = self.find_sources(burst, alive);
        self.locate(burst, alive, found, &mut spots);
        self.check_sources(burst, &mut alive, &sources);
        self.test_duplicates(burst, &mut alive, &spots);
        probe.end_of(Stage::DuplicateTest);
        self.check_hashes(burst, &mut alive, lf2);
        probe.end_of(Stage::Hash);
        self.insert_duplicates(burst, &mut alive, &spots);
        self.consume_limits(burst, &mut alive, found, now);
        probe.end_of(Stage::Consume);
        self.decapsulate(burst, alive, found, now);
    }

    /// Finds each packet's key by its time, and refuses what was sent outside the time threshold.
    #[inline(always)]
    fn find_keys<'d>(
        &self,
        burst: &mut Burst<'_, '_>,
        alive: &mut Lanes,
        entries: &Entries<'d>,
        now: Clock,
        found: &mut AllFound<'d>,
    ) {
        for lane in *alive {
            let hit = entries[lane].ok_or(DropReason::UnknownPeer);
            match hit.and_then(|entry| self.find_key(burst, lane, entry, now)) {
                Ok(hit) => found[lane] = Some(hit),
                Err(reason) => burst.drop_packet(alive, lane, reason),
            }
        }
    }

    #[inline(always)]
    fn find_key<'d>(
        &self,
        burst: &Burst<'_, '_>,
        lane: usize,
        entry: &'d Entry,
        now: Clock,
    ) -> Result<Found<'d>, DropReason> {
        if !entry.encapsulation().accept.contains(burst.packets[lane].encapsulation) {
            return Err(DropReason::MalformedHeader);
        }
        let times = &self.settings.times;
        let timestamp = burst.packets[lane].timestamp;
        let (key, sent) = entry.inbound_for(timestamp, now.unix, times).map_err(|miss| match miss {
            EpochMiss::NoKey => DropReason::NoKey,
            EpochMiss::OutsideWindow => self.refuse_age(nearest(entry, timestamp, now.unix), now.unix),
        })?;
        if now.unix.distance(sent) <= times.time_threshold {
            return Ok(Found { entry, key, sent });
        }
        Err(self.refuse_age(sent, now.unix))
    }

    /// Why a packet that was sent then is refused now. Unproven: anybody can send such packets, so only counters take note.
    fn refuse_age(&self, sent: UnixNanos, now: UnixNanos) -> DropReason {
        self.skew.refuse(sent, now);
        if sent < now { DropReason::TimestampTooOld } else { DropReason::TimestampInFuture }
    }

    /// Refuses what no limit would let through anyway, before any of the costly steps. Nothing is taken from the limits.
    #[inline(always)]
    fn check_limits(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, found: &AllFound<'_>, now: Clock) {
        let unlimited = self.settings.authenticated.is_unlimited() && self.settings.overall.is_unlimited();
        for lane in *alive {
            let Some(hit) = found[lane] else { continue };
            if unlimited && !hit.entry.is_limited() {
                continue;
            }
            let bytes = burst.packets[lane].datagram_len() as u64;
            let refused = [
                (hit.entry.peer.limit(), DropReason::RateLimitPeer),
                (&self.settings.authenticated, DropReason::RateLimitAuthenticated),
                (&self.settings.overall, DropReason::RateLimitOverall),
            ]
            .into_iter()
            .find(|(limit, _)| !limit.check(bytes, now.monotonic));
            if let Some((_, reason)) = refused {
                burst.drop_packet(alive, lane, reason);
            }
        }
    }

    /// Derives each LF packet's key and compares its MAC.
    #[inline(always)]
    fn check_macs(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, lf2: Lanes, found: &AllFound<'_>) {
        let mut lanes: ArrayVec<usize, MAX_BURST> = ArrayVec::new();
        let mut jobs: ArrayVec<MacJob<'_>, MAX_BURST> = ArrayVec::new();
        for lane in alive.without(lf2) {
            let packet = &burst.packets[lane];
            // Both are there: the packet was long enough when it was classified, and the key was found.
            let (Some(hit), Some(payload_len)) = (found[lane], packet.protected_len()) else {
                burst.drop_packet(alive, lane, DropReason::MalformedHeader);
                continue;
            };
            lanes.push(lane);
            jobs.push(MacJob {
                as_as: &hit.key.key,
                host_as: host_as_input(packet.peer.protocol, self.settings.lf.public(packet.destination).into()),
                host_host: host_host_input(packet.source.into()),
                message: lf::mac_input(&packet.header, payload_len),
            });
        }
        let mut tags = [Tag::default(); MAX_BURST];
        self.backend.macs(&jobs, &mut tags[..jobs.len()]);
        for ((&lane, job), tag) in lanes.iter().zip(&jobs).zip(&tags) {
            if !tag.matches(&burst.packets[lane].tag()) && !self.matches_with_trailer(burst, lane, job) {
                burst.drop_packet(alive, lane, DropReason::BadMac);
            }
        }
    }

    /// LightningFilter takes the payload's length from the frame, so that Ethernet padding behind a short datagram is
    /// under its MAC and hash. If the packet is of that kind, it is noted as covering the padding.
    ///
    /// IP's total length is not under the MAC: whoever lowers it on the way turns the end of a datagram into something
    /// that looks like padding, and that would be cut off. So only what fills up exactly the shortest frame is taken for
    /// padding, and only packets of that one size (with VLAN tags, of two) can be shortened so.
    #[cold]
    fn matches_with_trailer(&self, burst: &mut Burst<'_, '_>, lane: usize, job: &MacJob<'_>) -> bool {
        let packet = &burst.packets[lane];
        let Some(frame) = burst.frames.get(lane) else { return false };
        let plain_len = frame.len().saturating_sub(lf::ENCAPSULATION_LEN);
        let padded = frame.len() > packet.end() && [MIN_FRAME, packet.l2_len() + MIN_PAYLOAD].contains(&plain_len);
        let Ok(payload_len) = u16::try_from(frame.len().saturating_sub(packet.protected_at())) else { return false };
        if !padded {
            return false;
        }
        let job = MacJob { message: lf::mac_input(&packet.header, payload_len), ..*job };
        let matches = self.backend.mac(&job).matches(&packet.tag());
        burst.packets[lane].covers_trailer = matches;
        matches
    }

    /// Where the routes back to the packets' sources are.
    #[inline(always)]
    fn find_sources(&self, burst: &Burst<'_, '_>, alive: Lanes) -> Addresses {
        let mut sources = Addresses::default();
        for lane in alive {
            sources.add(lane, burst.packets[lane].source);
        }
        sources.find(&self.settings.routes);
        sources
    }

    /// Refuses what one peer sends from the address of another one's host: its key vouches only for its own. An address that
    /// lies behind no peer we know of may be anybody's.
    #[inline(always)]
    fn check_sources(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, sources: &Addresses) {
        let mut elsewhere = Lanes::default();
        sources.read(&self.settings.routes, |lane, home| {
            if home.is_some_and(|home| home.peer().isd_as != burst.packets[lane].peer.isd_as) {
                elsewhere.insert(lane);
            }
        });
        for lane in elsewhere {
            burst.drop_packet(alive, lane, DropReason::SourceMismatch);
        }
    }

    /// Where the duplicate filter would have recorded each packet. The memory there is fetched while other things are done.
    #[inline(always)]
    fn locate(&self, burst: &Burst<'_, '_>, alive: Lanes, found: &AllFound<'_>, spots: &mut Spots) {
        let Some(duplicates) = &self.duplicates else { return };
        for lane in alive {
            // There is a key for each packet whose MAC was right.
            if let Some(hit) = found[lane] {
                duplicates.locate_at(burst.packets[lane].tag().as_bytes(), hit.sent, &mut spots[lane]);
                duplicates.prefetch(&spots[lane]);
            }
        }
    }

    /// Refuses replays before their payload is hashed. Nothing is entered yet.
    #[inline(always)]
    fn test_duplicates(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, spots: &Spots) {
        let Some(duplicates) = &self.duplicates else { return };
        for lane in *alive {
            if let Some(reason) = refusal(duplicates.contains_at(&spots[lane])) {
                burst.drop_packet(alive, lane, reason);
            }
        }
    }

    /// Compares each LF payload with the hash that the MAC vouches for.
    #[inline(always)]
    fn check_hashes(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, lf2: Lanes) {
        let hashed = alive.without(lf2);
        let mut jobs: ArrayVec<HashJob<'_>, MAX_BURST> = ArrayVec::new();
        for lane in hashed {
            jobs.push(HashJob { data: burst.protected(lane).unwrap_or_default() });
        }
        let mut digests = [[0; lf::HASH_LEN]; MAX_BURST];
        self.backend.sha1(&jobs, &mut digests[..jobs.len()]);
        drop(jobs);
        for (lane, digest) in hashed.into_iter().zip(&digests) {
            // The hash is no secret (it travels in clear), so an ordinary comparison tells an attacker nothing.
            if Lf::new(&burst.packets[lane].header).hash() != *digest {
                burst.drop_packet(alive, lane, DropReason::BadHash);
            }
        }
    }

    /// Enters each packet into the duplicate filter; of two equal ones in this burst, the second is refused here.
    #[inline(always)]
    fn insert_duplicates(&mut self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, spots: &Spots) {
        let Some(duplicates) = &mut self.duplicates else { return };
        for lane in *alive {
            if let Some(reason) = refusal(duplicates.insert_at(&spots[lane])) {
                burst.drop_packet(alive, lane, reason);
            }
        }
    }

    /// Takes each packet's share from all limits that apply to it, or from none.
    #[inline(always)]
    fn consume_limits(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, found: &AllFound<'_>, now: Clock) {
        let unlimited = self.settings.authenticated.is_unlimited()
            && self.settings.overall.is_unlimited()
            && self.settings.destinations.is_none()
            && self.settings.wireguard.is_none();
        for lane in *alive {
            let Some(hit) = found[lane] else { continue };
            if unlimited && !hit.entry.is_limited() {
                continue;
            }
            let limits = [
                (hit.entry.peer.limit(), DropReason::RateLimitPeer),
                (&*self.settings.authenticated, DropReason::RateLimitAuthenticated),
                (&*self.settings.overall, DropReason::RateLimitOverall),
            ];
            let protocol = Some(burst.packets[lane].next_protocol);
            let inner = burst.protected(lane).unwrap_or_default();
            if let Err(reason) = self.take(limits, &burst.packets[lane], protocol, inner, now) {
                burst.drop_packet(alive, lane, reason);
            }
        }
    }

    /// A SYN from a peer asks our host for segments; those must fit once we have encapsulated them.
    #[inline(always)]
    fn clamp_inbound(&self, burst: &mut Burst<'_, '_>, lane: usize, entry: &Entry) {
        if !self.settings.clamp_mss {
            return;
        }
        let (Some(frame), Some(packet)) = (burst.frames.get_mut(lane), burst.packets.get(lane)) else { return };
        let ingress = self.settings.ports.get(usize::from(frame.port().0));
        if let Some(port) = ingress {
            segment_size::clamp(frame, packet, port.mtu.saturating_sub(entry.encapsulation().send.overhead()));
        }
    }

    /// Takes the encapsulation off, and settles.
    #[inline(always)]
    fn decapsulate(&self, burst: &mut Burst<'_, '_>, alive: Lanes, found: &AllFound<'_>, now: Clock) {
        self.skew.accept_all(alive.into_iter().filter_map(|lane| found[lane]).map(|hit| hit.sent), now.unix);
        for lane in alive {
            let decapsulated = match (burst.frames.get_mut(lane), burst.packets.get_mut(lane)) {
                (Some(frame), Some(packet)) => encapsulation::decapsulate(frame, packet).is_some(),
                _ => false,
            };
            if decapsulated {
                if let Some(hit) = found[lane] {
                    self.clamp_inbound(burst, lane, hit.entry);
                }
                self.deliver(burst, lane, Verdict::Accepted, self.settings.inbound_next_hop, now);
            } else {
                burst.settle(lane, Verdict::Dropped(DropReason::MalformedHeader), Action::Discard);
            }
        }
    }
}

/// When a packet that fits no epoch was most likely sent, so that the operator learns which way the clocks differ.
/// A replay may be of the epoch before those whose keys are still held, so that one is considered, too.
#[cold]
fn nearest(entry: &Entry, timestamp: EpochNanos, now: UnixNanos) -> UnixNanos {
    let keys = entry.keys.inbound_containers().into_iter().flatten();
    let starts = keys
        .flat_map(|AsAsKey { epoch, .. }| [epoch.start, epoch.start.saturating_sub(epoch.end.distance(epoch.start))]);
    let sent = starts.filter_map(|start| UnixNanos::in_epoch(start, timestamp));
    sent.min_by_key(|sent| now.distance(*sent)).unwrap_or(UnixNanos(u64::MAX))
}

/// Looks up the peers of all packets in `lanes` at once. The dictionary has begun to fetch what it found.
#[inline(always)]
pub(crate) fn look_up_entries<'d, D: KeyDictionary + ?Sized>(
    burst: &Burst<'_, '_>,
    lanes: Lanes,
    dictionary: &'d D,
) -> Entries<'d> {
    let mut peers = Peers::new();
    let mut places = [0; MAX_BURST];
    for lane in lanes {
        places[lane] = peers.place(burst.packets[lane].peer);
    }
    let mut found = [None; MAX_BURST];
    dictionary.look_up(peers.as_slice(), &mut found);
    let mut entries = [None; MAX_BURST];
    for lane in lanes {
        entries[lane] = found[usize::from(places[lane]) % MAX_BURST];
    }
    entries
}

#[inline(always)]
fn refusal(seen: Seen) -> Option<DropReason> {
    match seen {
        Seen::Fresh => None,
        Seen::Duplicate => Some(DropReason::Duplicate),
        // What the filter no longer remembers could be a replay, so it is as if the window had closed.
        Seen::Expired => Some(DropReason::TimestampTooOld),
    }
}

impl Burst<'_, '_> {
    /// The bytes under an inbound packet's hash or tag.
    #[inline(always)]
    pub(crate) fn protected(&self, lane: usize) -> Option<&[u8]> {
        let packet = self.packets.get(lane)?;
        let bytes = self.frames.get(lane)?.bytes();
        let end = if packet.covers_trailer { bytes.len() } else { packet.end() };
        bytes.get(packet.protected_at()..end)
    }
}

/// The shortest frame that Ethernet carries, without its checksum (IEEE 802.3 section 3.2.7).
const MIN_FRAME: usize = 60;

/// What the shortest frame carries behind its header. Whoever sends a VLAN tag pads either with the tag counted or without.
const MIN_PAYLOAD: usize = 46;
