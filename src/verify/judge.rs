//! One pipeline for a whole capture.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use photongate_pipeline::duplicates::DuplicateFilter;
use photongate_pipeline::limits::Limit;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    Clock, ControlPolicy, Frame, NextHop, Outcome, Parts, Pipeline, PortIndex, PortSettings, Role, Settings, Tally,
};
use photongate_wire::{EpochNanos, UnixNanos};

use super::keys::Keys;
use crate::config::FilterConfig;
use crate::settings::{peers, pipeline_settings};

/// The filter that a configuration describes, without ports: judges packets one by one.
pub(crate) struct Judge {
    pipeline: Pipeline,
    keys: Keys,
    ingress: PortIndex,
    buffer: Vec<u8>,
    /// The latest capture time so far.
    latest: UnixNanos,
}

/// A packet on its arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'f> {
    /// From the Ethernet header on.
    pub(crate) frame: &'f [u8],
    /// When it was captured: what rate limits go by.
    pub(crate) captured: UnixNanos,
    /// The time of day it is judged at: what keys, timestamps and duplicates go by.
    pub(crate) now: UnixNanos,
}

impl Judge {
    /// The filter of `config`, which saw its first packet at `start`. With the name of a port in `ingress`, packets
    /// arrive by that port; without, each packet's direction is decided as on a port of the role `auto`.
    ///
    /// # Errors
    /// There is no such port, a file with a secret cannot be read, or the duplicate filter does not fit into its memory limit.
    pub(crate) fn new(config: &FilterConfig, ingress: Option<&str>, start: UnixNanos) -> Result<Self> {
        let mut settings = pipeline_settings(config, start);
        let ingress = match ingress {
            Some(name) => port_named(&settings.ports, name)?,
            None => {
                settings.ports = vec![undirected_port(&settings.ports)];
                PortIndex(0)
            }
        };
        let peers = peers(config)?;
        let threshold = settings.times.time_threshold;
        let sizing = config.duplicates.as_ref().map(|duplicates| duplicates.sizing(threshold, 1)).transpose()?;
        let pipeline = Pipeline::new(Parts {
            settings: Arc::new(settings),
            backend: config.workers.crypto,
            // No attacker learns this filter's seed in time to use it, and the same capture gives the same lines each time.
            duplicates: sizing.map(|sizing| DuplicateFilter::new(&sizing, [0; 2])),
            issuer: TimestampIssuer::new(0, 1, threshold),
            worker: 0,
        });
        Ok(Self { pipeline, keys: Keys::new(peers, start), ingress, buffer: Vec::new(), latest: start })
    }

    /// What becomes of a packet, and the frame as it then is.
    pub(crate) fn judge(&mut self, arrival: Arrival<'_>) -> (Outcome, &[u8]) {
        // Rates need a clock that does not go back, and a capture may be out of order.
        self.latest = self.latest.max(arrival.captured);
        let clock = Clock { unix: arrival.now, monotonic: self.latest };
        let end = HEADROOM + arrival.frame.len();
        self.buffer.clear();
        self.buffer.resize(HEADROOM, 0);
        self.buffer.extend_from_slice(arrival.frame);
        self.buffer.resize(end + TAILROOM, 0);
        let mut frames = [Frame::new(&mut self.buffer, HEADROOM, end, self.ingress)];
        let mut outcomes = [Outcome::UNDECIDED];
        self.pipeline.process(self.keys.at(arrival.now), clock, &mut frames, &mut outcomes, &mut ());
        let range = frames[0].range();
        (outcomes[0], &self.buffer[range])
    }

    /// How long before `now` the peer sent a packet with this `timestamp`, in nanoseconds; negative for a packet from
    /// the future. `None` if no key of the peer is held.
    pub(crate) fn age(&mut self, outcome: &Outcome, timestamp: EpochNanos, now: UnixNanos) -> Option<i64> {
        let keys = &self.keys.at(now).get(outcome.peer?)?.keys;
        let epochs = keys.inbound_containers().into_iter().flatten().map(|key| key.epoch);
        // As the pipeline does, which also considers the epoch before those whose keys are held.
        let starts =
            epochs.flat_map(|epoch| [epoch.start, epoch.start.saturating_sub(epoch.end.distance(epoch.start))]);
        let sent = starts.filter_map(|start| UnixNanos::in_epoch(start, timestamp));
        let sent = sent.min_by_key(|sent| now.distance(*sent))?;
        i64::try_from(i128::from(now.0) - i128::from(sent.0)).ok()
    }

    /// What the pipeline was told.
    pub(crate) fn settings(&self) -> &Settings {
        self.pipeline.settings()
    }

    /// What was counted, by verdict.
    pub(crate) fn tally(&self) -> Tally {
        self.pipeline.counters().snapshot()
    }
}

fn port_named(ports: &[PortSettings], name: &str) -> Result<PortIndex> {
    let indices = (0..=u8::MAX).map(PortIndex);
    let found = ports.iter().zip(indices).find(|(port, _)| port.name == name);
    found.map(|(_, index)| index).ok_or_else(|| {
        let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
        anyhow!("the configuration has no port {name:?}: its ports are {}", names.join(", "))
    })
}

/// One port in place of all: packets are told apart one by one, whatever link they were captured on.
///
/// A packet that crosses the filter crosses two links, so it must fit the narrowest. What the ports do not agree on is
/// decided such that the packet stays as it is.
fn undirected_port(ports: &[PortSettings]) -> PortSettings {
    let mut addresses: Vec<_> = ports.iter().flat_map(|port| port.addresses.iter().copied()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    PortSettings {
        name: "any".to_owned(),
        role: Role::Auto,
        forward_to: PortIndex(0),
        mtu: ports.iter().map(|port| port.mtu).min().unwrap_or(usize::MAX),
        mac: ports.first().map_or_else(Default::default, |port| port.mac),
        next_hop: agreed(ports.iter().map(|port| port.next_hop)).unwrap_or(NextHop::Keep),
        control: agreed(ports.iter().map(|port| port.control)).unwrap_or(ControlPolicy::Kernel),
        control_limit: ports.first().map_or_else(|| Arc::new(Limit::UNLIMITED), |port| Arc::clone(&port.control_limit)),
        addresses,
        udp_checksum_offload: false,
    }
}

/// What all `choices` are, if they are all the same.
fn agreed<T: PartialEq>(mut choices: impl Iterator<Item = T>) -> Option<T> {
    let first = choices.next()?;
    choices.all(|other| other == first).then_some(first)
}

/// Room for an encapsulation in front, as in DPDK's buffers, and behind for an ICMP error larger than the packet it is about.
const HEADROOM: usize = 128;
const TAILROOM: usize = 2048;
