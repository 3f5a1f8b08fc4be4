//! The stages joined: a burst of frames in, one verdict each out.

use crate::addresses::Addresses;
use crate::burst::{Action, Burst, Outcome};
use crate::clock::Clock;
use crate::counters::VerdictCounters;
use crate::dictionary::{Entry, KeyDictionary};
use crate::duplicates::DuplicateFilter;
use crate::frame::{Frame, PortIndex};
use crate::lanes::{Lanes, MAX_BURST};
use crate::limits::Limit;
use crate::packet::{Class, Packet};
use crate::probe::{Probe, Stage};
use crate::settings::{ControlPolicy, NextHop, PortSettings, Role, Route, Settings, UnknownDestination};
use crate::skew::SkewHistogram;
use crate::timestamps::TimestampIssuer;
use crate::too_big;
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use photongate_crypto::Backend;
use photongate_crypto::backend::ordinary::{Instructions, Work};
use photongate_wire::{EthernetMut, IpProtocol};
use std::sync::Arc;

/// What one worker does with packets. Pure: no clock, no I/O, no randomness of its own.
pub struct Pipeline {
    pub(crate) settings: Arc<Settings>,
    pub(crate) backend: &'static dyn Backend,
    pub(crate) duplicates: Option<DuplicateFilter>,
    pub(crate) issuer: TimestampIssuer,
    worker: usize,
    instructions: Instructions,
    counters: Arc<VerdictCounters>,
    pub(crate) skew: Arc<SkewHistogram>,
}

/// What a [`Pipeline`] is made of.
pub struct Parts {
    /// What to do with packets.
    pub settings: Arc<Settings>,
    /// What computes MACs and hashes.
    pub backend: &'static dyn Backend,
    /// What remembers the packets that have passed; `None` lets replays pass.
    pub duplicates: Option<DuplicateFilter>,
    /// The send times of this worker.
    pub issuer: TimestampIssuer,
    /// This worker's number among those that share the peers' counters, from 0.
    pub worker: usize,
}

impl Pipeline {
    /// A pipeline that has seen no packet.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, backend, duplicates, issuer, worker } = parts;
        let (counters, skew) = Default::default();
        Self { settings, backend, duplicates, issuer, worker, instructions: Instructions::detect(), counters, skew }
    }

    /// What has been counted so far; lives on beside the pipeline.
    pub fn counters(&self) -> &Arc<VerdictCounters> {
        &self.counters
    }

    /// How old packets have been so far; lives on beside the pipeline.
    pub fn skew(&self) -> &Arc<SkewHistogram> {
        &self.skew
    }

    /// How full the duplicate filter is, as a share of what it was sized for ([`DuplicateFilter::load`]); 0 without one.
    pub fn duplicate_load(&self) -> f64 {
        self.duplicates.as_ref().map_or(0.0, DuplicateFilter::load)
    }

    /// What the pipeline is told to do.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Goes by `settings` from the next burst on.
    pub fn replace_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// Judges a burst of at most [`MAX_BURST`] frames, rewrites those that go on, and sets `outcomes[i]` for `frames[i]`.
    /// Frames without an outcome, or beyond the most, are left alone.
    pub fn process<D: KeyDictionary + ?Sized, P: Probe>(
        &mut self,
        dictionary: &D,
        now: Clock,
        frames: &mut [Frame<'_>],
        outcomes: &mut [Outcome],
        probe: &mut P,
    ) {
        self.instructions.run(Judgement { pipeline: self, dictionary, now, frames, outcomes, probe });
    }

    #[inline(always)]
    fn judge<D: KeyDictionary + ?Sized, P: Probe>(
        &mut self,
        dictionary: &D,
        now: Clock,
        frames: &mut [Frame<'_>],
        outcomes: &mut [Outcome],
        probe: &mut P,
    ) {
        let count = frames.len().min(outcomes.len()).min(MAX_BURST);
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.advance(now.unix);
        }
        let mut burst = Burst::new(&mut frames[..count], &mut outcomes[..count]);
        let ways = self.classify(&mut burst, now);
        probe.end_of(Stage::Classify);
        if !ways.inbound.is_empty() {
            self.inbound(&mut burst, ways.inbound, dictionary, now, probe);
        }
        if !ways.outbound.is_empty() {
            self.outbound(&mut burst, ways.outbound, dictionary, now, probe);
        }
        if !ways.best_effort.is_empty() {
            self.best_effort(&mut burst, ways.best_effort, now);
            probe.end_of(Stage::Rewrite);
        }
        burst.name_peers(ways.inbound.or(ways.outbound));
        self.counters.count_all(burst.outcomes.iter().map(|outcome| outcome.verdict).zip(burst.received));
        probe.end_of(Stage::Transmit);
    }

    /// Parses each packet and sorts it by the way it goes; those that go nowhere further are settled here.
    #[inline(always)]
    fn classify(&self, burst: &mut Burst<'_, '_>, now: Clock) -> Ways {
        let mut ways = Ways::default();
        let mut by_route = ByRoute::default();
        for lane in 0..burst.frames.len() {
            let frame = &burst.frames[lane];
            burst.outcomes[lane] = Outcome::UNDECIDED;
            burst.packets.push(Packet::NONE);
            let class = match self.settings.ports.get(usize::from(frame.port().0)) {
                Some(port) => burst.packets[lane].classify(frame.bytes(), port, &self.settings),
                None => Err(DropReason::Malformed),
            };
            match class {
                Err(reason) => burst.outcomes[lane] = Outcome::dropped(reason),
                Ok(Class::Inbound) => ways.inbound.insert(lane),
                Ok(Class::BestEffort) => ways.best_effort.insert(lane),
                Ok(Class::ByRoute { is_fragment }) => {
                    by_route.destinations.add(lane, burst.packets[lane].destination);
                    by_route.lanes.insert(lane);
                    if is_fragment {
                        by_route.fragments.insert(lane);
                    }
                }
                Ok(Class::Control(policy)) => {
                    let (verdict, action) = self.admit_control(burst, lane, policy, now);
                    burst.settle(lane, verdict, action);
                }
            }
        }
        if !by_route.lanes.is_empty() {
            self.route(burst, &mut by_route, &mut ways, now);
        }
        ways
    }

    /// Sorts the packets whose way depends on their destination.
    #[inline(always)]
    fn route(&self, burst: &mut Burst<'_, '_>, by_route: &mut ByRoute, ways: &mut Ways, now: Clock) {
        let ByRoute { destinations, lanes, fragments } = by_route;
        let mut to_peers = Lanes::default();
        destinations.find(&self.settings.routes);
        destinations.read(&self.settings.routes, |lane, route| {
            if let Some(route) = route {
                burst.packets[lane].peer = route.peer();
                to_peers.insert(lane);
            }
        });
        ways.outbound = to_peers.without(*fragments);
        for lane in to_peers.and(*fragments) {
            burst.settle(lane, Verdict::Dropped(DropReason::FragmentOutbound), Action::Discard);
        }
        for lane in lanes.without(to_peers) {
            let port = burst.frames.get(lane).and_then(|frame| self.settings.ports.get(usize::from(frame.port().0)));
            if port.is_some_and(|port| port.role == Role::Inside) {
                match self.settings.outbound_unknown {
                    UnknownDestination::Forward => {
                        self.deliver(burst, lane, Verdict::BestEffort, self.settings.outbound_next_hop, now);
                    }
                    UnknownDestination::Drop => {
                        let verdict = Verdict::Dropped(DropReason::UnknownDestination);
                        burst.settle(lane, verdict, Action::Discard);
                    }
                }
            } else if fragments.contains(lane) {
                burst.settle(lane, Verdict::Dropped(DropReason::FragmentInbound), Action::Discard);
            } else {
                ways.best_effort.insert(lane);
            }
        }
    }

    /// Link control, and what is for the host itself, within the limit of the port.
    fn admit_control(
        &self,
        burst: &Burst<'_, '_>,
        lane: usize,
        policy: ControlPolicy,
        now: Clock,
    ) -> (Verdict, Action) {
        let action = match policy {
            ControlPolicy::Kernel => Action::Kernel,
            ControlPolicy::Forward => Action::Forward,
            ControlPolicy::Drop => return (Verdict::Dropped(DropReason::ControlRefused), Action::Discard),
        };
        let port = self.settings.ports.get(usize::from(burst.frames[lane].port().0));
        if port.is_some_and(|port| port.control_limit.take(burst.received[lane] as u64, now.monotonic)) {
            return (Verdict::Control, action);
        }
        (Verdict::Dropped(DropReason::RateLimitControl), Action::Discard)
    }

    /// Inbound packets without a proof of origin.
    fn best_effort(&self, burst: &mut Burst<'_, '_>, lanes: Lanes, now: Clock) {
        for lane in lanes {
            let packet = burst.packets[lane];
            let inner = burst.frames[lane].bytes().get(packet.payload_at()..packet.end()).unwrap_or_default();
            match self.admit_best_effort(&packet, inner, now) {
                Ok(()) => self.deliver(burst, lane, Verdict::BestEffort, self.settings.inbound_next_hop, now),
                Err(reason) => burst.settle(lane, Verdict::Dropped(reason), Action::Discard),
            }
        }
    }

    fn admit_best_effort(&self, packet: &Packet, inner: &[u8], now: Clock) -> Result<(), DropReason> {
        let limit = self.settings.best_effort.as_deref().ok_or(DropReason::BestEffortDisabled)?;
        if self.settings.best_effort_refusals {
            let from = self.settings.routes.look_up(packet.source);
            if from.is_some_and(Route::refuses_best_effort) {
                return Err(DropReason::BestEffortRefused);
            }
        }
        let limits =
            [(limit, DropReason::RateLimitBestEffort), (&*self.settings.overall, DropReason::RateLimitOverall)];
        self.take(limits, packet, Some(packet.protocol), inner, now)
    }

    /// Takes `packet` from each of `limits`, and from those of its destination and of WireGuard if there are any: from all
    /// of them, or, with the reason of the first that has too little, from none. `inner` is what `protocol` begins with.
    pub(crate) fn take<const N: usize>(
        &self,
        limits: [(&Limit, DropReason); N],
        packet: &Packet,
        protocol: Option<IpProtocol>,
        inner: &[u8],
        now: Clock,
    ) -> Result<(), DropReason> {
        let destination = self.settings.destinations.as_deref().and_then(|limits| limits.look_up(packet.destination));
        let wireguard = self.settings.wireguard.as_ref().and_then(|settings| settings.limit(protocol?, inner));
        let extra = [destination.map(|limit| (limit, DropReason::RateLimitDestination)), wireguard];
        let bytes = packet.datagram_len() as u64;
        let all = limits.into_iter().chain(extra.into_iter().flatten());
        let mut taken: ArrayVec<&Limit, MAX_LIMITS> = ArrayVec::new();
        for (limit, reason) in all {
            if !limit.take(bytes, now.monotonic) {
                taken.into_iter().for_each(|limit| limit.refund(bytes));
                return Err(reason);
            }
            // A packet has at most three limits of its own, one of its destination and one of WireGuard.
            let _ = taken.try_push(limit);
        }
        Ok(())
    }

    /// Rewrites the Ethernet addresses of a packet that goes on, and settles. What is for the host goes to its kernel.
    #[inline(always)]
    pub(crate) fn deliver(
        &self,
        burst: &mut Burst<'_, '_>,
        lane: usize,
        verdict: Verdict,
        next_hop: Option<NextHop>,
        now: Clock,
    ) {
        let (Some(frame), Some(packet)) = (burst.frames.get_mut(lane), burst.packets.get(lane)) else { return };
        let Some(egress) = self.egress(frame.port()) else { return };
        let ingress = self.settings.ports.get(usize::from(frame.port().0));
        if ingress.is_some_and(|port| !port.addresses.is_empty() && port.addresses.contains(&packet.destination)) {
            return burst.settle(lane, verdict, Action::Kernel);
        }
        // What was encapsulated has been measured before: here it is the datagram inside.
        if packet.datagram_len() > egress.mtu {
            let replied = too_big::reply(frame, packet, egress.mtu, &self.settings.icmp_errors, now);
            let action = if replied { Action::Reply } else { Action::Discard };
            return burst.settle(lane, Verdict::Dropped(DropReason::TooBig), action);
        }
        if let Ok(mut ethernet) = EthernetMut::parse(frame.bytes_mut()) {
            match next_hop.unwrap_or(egress.next_hop) {
                NextHop::Keep => {}
                NextHop::Swap => {
                    ethernet.swap_addresses();
                    ethernet.set_source(egress.mac);
                }
                NextHop::Address(address) => {
                    ethernet.set_destination(address);
                    ethernet.set_source(egress.mac);
                }
            }
        }
        burst.settle(lane, verdict, Action::Forward);
    }

    /// The port by which packets from `ingress` leave.
    #[inline(always)]
    pub(crate) fn egress(&self, ingress: PortIndex) -> Option<&PortSettings> {
        let ports = &self.settings.ports;
        ports.get(usize::from(ports.get(usize::from(ingress.0))?.forward_to.0))
    }

    /// Begins to fetch the counters of the peers whose entries were found.
    #[inline(always)]
    pub(crate) fn prefetch_counters(&self, lanes: Lanes, entries: &[Option<&Entry>; MAX_BURST]) {
        for lane in lanes {
            if let Some(entry) = entries[lane] {
                entry.prefetch_counters(self.worker);
            }
        }
    }

    /// Counts the packets in `lanes`, which are all settled, for the peers whose entries were found.
    #[inline(always)]
    pub(crate) fn count_for_peers(&self, burst: &Burst<'_, '_>, lanes: Lanes, entries: &[Option<&Entry>; MAX_BURST]) {
        for lane in lanes {
            let (Some(entry), Some(outcome)) = (entries[lane], burst.outcomes.get(lane)) else { continue };
            entry.count(self.worker, outcome.verdict, burst.received[lane]);
        }
    }
}

/// A burst to be judged, in whatever instructions the processor has.
struct Judgement<'p, 'f, D: ?Sized, P> {
    pipeline: &'p mut Pipeline,
    dictionary: &'p D,
    now: Clock,
    frames: &'p mut [Frame<'f>],
    outcomes: &'p mut [Outcome],
    probe: &'p mut P,
}

impl<D: KeyDictionary + ?Sized, P: Probe> Work for Judgement<'_, '_, D, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.pipeline.judge(self.dictionary, self.now, self.frames, self.outcomes, self.probe);
    }
}

/// Which packets go which way.
#[derive(Default)]
struct Ways {
    inbound: Lanes,
    outbound: Lanes,
    best_effort: Lanes,
}

/// The packets whose way depends on the route of their destination.
#[derive(Default)]
struct ByRoute {
    destinations: Addresses,
    lanes: Lanes,
    fragments: Lanes,
}

const MAX_LIMITS: usize = 5;
