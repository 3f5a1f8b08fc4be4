//! What callers are told, from what the control plane knows.

use std::collections::HashSet;
use std::sync::Arc;

use photongate_drkey::Epoch;
use photongate_net::{now, rfc3339};
use photongate_pipeline::{PeerKey, PeerState};
use photongate_wire::UnixNanos;

use super::Agent;
use super::state::State;
use crate::api::{
    AsListInForce, Degraded, DegradedPeer, KeyEpoch, Peer, PeerKeys, PeerName, PeerSummary, PeersPage, Port, Sample,
    Status, Traffic, Worker,
};
use crate::as_list::{AsList, ListedPeer};
use crate::keys::{self, PeerView};
use crate::metrics::PeerNumbers;

/// Which peers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersQuery {
    /// Only those behind this one.
    pub after: Option<PeerKey>,
    /// At most so many.
    pub limit: usize,
    /// Only degraded ones.
    pub degraded: bool,
    /// Only those whose ISD-AS, name or prefixes contain this text, in whichever case.
    pub search: Option<String>,
}

impl Agent {
    /// The filter at a glance.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let (workers, ports) = (self.workers(), self.ports());
        let now = now();
        let state = shared.read();
        let not_ready_because = state.not_ready_because(now);
        let lost = |port: &Port| port.missed + port.without_buffer;
        let lost_before = ports.iter().map(lost).sum::<u64>()
            + workers.iter().map(|worker| worker.handoff_lost + worker.unsuitable).sum::<u64>();
        Status {
            version: shared.version.clone(),
            isd_as: shared.rules.local.to_string(),
            started_at: rfc3339(shared.started.0),
            uptime_s: shared.started.1.elapsed().as_secs(),
            ready: not_ready_because.is_empty(),
            not_ready_because,
            workers: workers.len(),
            peers: state.keys.summary(),
            as_list: state.as_list_in_force(),
            traffic: Traffic::from(&shared.observer.tally()),
            lost_before_verdict: lost_before,
            lost_after_verdict: lost_after(&ports),
            ports_received: ports.iter().fold(Default::default(), |sum, port| sum + port.received),
        }
    }

    /// Each worker's counters, and how it has been lately.
    pub fn workers(&self) -> Vec<Worker> {
        let mut workers = self.shared.observer.workers();
        let state = self.shared.read();
        for (worker, pulse) in workers.iter_mut().zip(&state.workers) {
            (worker.polling, worker.busy) = (pulse.polling, pulse.busy);
        }
        workers
    }

    /// Each port's counters.
    pub fn ports(&self) -> Vec<Port> {
        self.shared.observer.ports()
    }

    /// Some peers.
    pub fn peers(&self, query: &PeersQuery) -> PeersPage {
        let now = now();
        let state = self.shared.read();
        let search = query.search.as_ref().map(|search| search.to_lowercase());
        let degraded: HashSet<_> = if query.degraded { state.keys.degraded().collect() } else { HashSet::new() };
        let wanted = |peer: &&ListedPeer| {
            (!query.degraded || degraded.contains(&peer.key)) && search.as_ref().is_none_or(|text| matches(peer, text))
        };
        let list = state.list.peers();
        let total = if query.degraded || search.is_some() { list.iter().filter(wanted).count() } else { list.len() };
        let start = query.after.map_or(0, |after| list.partition_point(|peer| peer.key <= after));
        let mut rest = list[start..].iter().filter(wanted);
        let peers: Vec<_> = rest.by_ref().take(query.limit).map(|peer| state.peer(peer, now)).collect();
        let next = rest.next().and(peers.last()).map(|last| format!("{},{}", last.isd_as, last.drkey_protocol));
        PeersPage { peers, total, next }
    }

    /// Why the filter is not ready, a sentence each; nothing if it is.
    pub fn not_ready_because(&self) -> Vec<String> {
        self.shared.read().not_ready_because(now())
    }

    /// What metrics tell of each peer.
    pub(crate) fn peer_numbers(&self) -> Vec<PeerNumbers> {
        let now = now();
        let state = self.shared.read();
        let numbers = |(key, peer): (&PeerKey, &Arc<PeerState>)| {
            let view = state.keys.view(*key, now).unwrap_or_default();
            PeerNumbers {
                key: *key,
                state: Arc::clone(peer),
                expiry: [view.inbound, view.outbound].map(|epoch| epoch.map(|epoch| epoch.end)),
                is_degraded: view.degraded.is_some(),
                is_dark: view.degraded.is_some_and(|degraded| degraded.is_dark),
            }
        };
        state.peers.iter().map(numbers).collect()
    }

    /// When the filter started.
    pub(crate) fn started_at(&self) -> UnixNanos {
        self.shared.started.0
    }

    /// One peer; `None` if it is not on the list.
    pub fn peer(&self, key: PeerKey) -> Option<Peer> {
        let state = self.shared.read();
        let peer = state.list.get(key)?;
        Some(state.peer(peer, now()))
    }

    /// The list in force, with its generation.
    pub fn as_list(&self) -> (Arc<AsList>, AsListInForce) {
        let state = self.shared.read();
        (Arc::clone(&state.list), state.as_list_in_force())
    }

    /// The numbers of this moment.
    pub fn sample(&self) -> Sample {
        let (workers, ports) = (self.workers(), self.ports());
        let now = now();
        let state = self.shared.read();
        let lost_before = workers.iter().map(|worker| worker.handoff_lost + worker.unsuitable).sum::<u64>()
            + ports.iter().map(|port| port.missed + port.without_buffer).sum::<u64>();
        Sample {
            at_unix_ms: now.0 / 1_000_000,
            traffic: Traffic::from(&self.shared.observer.tally()),
            busy: workers.iter().map(|worker| worker.busy).collect(),
            lost: lost_before + lost_after(&ports),
            peers: state.keys.summary(),
            as_list_generation: state.in_force.generation,
            ready: state.not_ready_because(now).is_empty(),
            degraded: state.degraded_peers(now),
        }
    }
}

impl State {
    pub(super) fn as_list_in_force(&self) -> AsListInForce {
        let in_force = self.in_force.clone();
        AsListInForce {
            generation: in_force.generation,
            digest: in_force.digest,
            peers: self.list.peers().len(),
            origin: in_force.origin,
            applied_at: rfc3339(in_force.applied_at),
            last_refusal: in_force.last_refusal,
        }
    }

    /// Why the filter is not ready, a sentence each, at most [`REASONS`].
    fn not_ready_because(&self, now: UnixNanos) -> Vec<String> {
        let stuck = self.workers.iter().enumerate().filter(|(_, pulse)| !pulse.polling);
        let stuck = stuck.map(|(index, _)| format!("worker {index} does not poll"));
        let dark = self.degraded_peers(now).into_iter().filter(|peer| peer.degraded.is_dark);
        let dark = dark.map(|DegradedPeer { peer, degraded, .. }| {
            format!("peer {} (DRKey protocol {}) has no key: {}", peer.isd_as, peer.drkey_protocol, degraded.reason)
        });
        let mut reasons: Vec<_> = stuck.chain(dark).take(REASONS).collect();
        let PeerSummary { total, with_keys, .. } = self.keys.summary();
        if reasons.is_empty() && with_keys < total {
            reasons.push(format!("{} of {total} peers have no key yet", total - with_keys));
        }
        reasons
    }

    /// The degraded peers that go dark first.
    fn degraded_peers(&self, now: UnixNanos) -> Vec<DegradedPeer> {
        let shown = self.keys.degraded().take(REASONS).filter_map(|key| {
            let view = self.keys.view(key, now)?;
            let name = self.list.get(key).and_then(|peer| peer.name.as_deref()).map(str::to_owned);
            Some(DegradedPeer { peer: key.into(), name, degraded: degraded(view.degraded.as_ref()?) })
        });
        shown.collect()
    }

    fn peer(&self, peer: &ListedPeer, now: UnixNanos) -> Peer {
        let view = self.keys.view(peer.key, now).unwrap_or_default();
        let PeerName { isd_as, drkey_protocol } = peer.key.into();
        Peer {
            isd_as,
            drkey_protocol,
            name: peer.name.as_deref().map(str::to_owned),
            prefixes: peer.prefixes.iter().map(ToString::to_string).collect(),
            key_source: peer.source.kind().to_owned(),
            encapsulation: peer.encapsulation.send.name().to_owned(),
            accept: peer.encapsulation.accept.iter().map(|accepted| accepted.name().to_owned()).collect(),
            traffic: self.peers.get(&peer.key).map(|peer| Traffic::from(&peer.tally())).unwrap_or_default(),
            keys: peer_keys(&view),
            degraded: view.degraded.as_ref().map(degraded),
        }
    }
}

pub(super) fn peer_keys(view: &PeerView) -> PeerKeys {
    PeerKeys {
        inbound: view.inbound.map(epoch),
        inbound_old: view.inbound_old.map(epoch),
        outbound: view.outbound.map(epoch),
        outbound_old: view.outbound_old.map(epoch),
        next_fetch_at: view.next_fetch.map(rfc3339),
    }
}

pub(super) fn epoch(epoch: Epoch) -> KeyEpoch {
    KeyEpoch { start: rfc3339(epoch.start), end: rfc3339(epoch.end) }
}

pub(super) fn degraded(degradation: &keys::Degraded) -> Degraded {
    Degraded {
        reason: degradation.reason.clone(),
        since: rfc3339(degradation.since),
        attempts: degradation.attempts,
        next_attempt_at: degradation.next_attempt.map(rfc3339),
        dark_at: degradation.dark_at.map(rfc3339),
        is_dark: degradation.is_dark,
    }
}

fn lost_after(ports: &[Port]) -> u64 {
    ports.iter().map(|port| port.transmit_lost + port.to_kernel_lost).sum()
}

/// `text` is in lower case.
fn matches(peer: &ListedPeer, text: &str) -> bool {
    peer.key.isd_as.to_string().contains(text)
        || peer.name.as_ref().is_some_and(|name| name.to_lowercase().contains(text))
        || peer.prefixes.iter().any(|prefix| prefix.to_string().contains(text))
}

/// Reasons and peers that are named.
const REASONS: usize = 20;
