//! Two filters that face each other, as pipelines without ports: what the tests of the pipeline share.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod packets;

use photongate_crypto::{Key, backend};
use photongate_drkey::{KeyTimes, Protocol, Rotation, SharedSecret, SharedSecrets};
use photongate_pipeline::duplicates::{DuplicateFilter, Sizing};
use photongate_pipeline::limits::{Limit, LimitSettings};
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{
    Clock, ControlPolicy, Encapsulation, Entry, Frame, LfSettings, MemoryDictionary, NextHop, Outcome, Parts,
    PeerEncapsulation, PeerKey, PeerState, Pipeline, PortIndex, PortSettings, Role, Route, Settings, SourcePort,
    UnknownDestination,
};
use photongate_wire::{IsdAs, MacAddress, Nanos, UnixNanos};
use std::sync::Arc;

/// One end of a pair of filters: which AS it stands in front of, and whom it talks to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) local: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) peer_prefixes: &'static [&'static str],
    pub(crate) protocol: u16,
    pub(crate) port: u16,
    pub(crate) secrets: &'static [([u8; 16], u64)],
}

/// A pipeline with its dictionary: port 0 is inside, port 1 outside, port 2 tells them apart itself.
pub(crate) struct Filter {
    pub(crate) side: Side,
    pub(crate) settings: Settings,
    pub(crate) dictionary: MemoryDictionary,
    pub(crate) pipeline: Pipeline,
    pub(crate) peer: Arc<PeerState>,
}

/// Where packets in `lf2` go.
pub(crate) const LF2_PORT: u16 = 49_148;

pub(crate) const INSIDE: PortIndex = PortIndex(0);
pub(crate) const OUTSIDE: PortIndex = PortIndex(1);
pub(crate) const AUTO: PortIndex = PortIndex(2);

/// Room in front of and behind each packet, as in an mbuf.
pub(crate) const HEADROOM: usize = 128;
pub(crate) const TAILROOM: usize = 512;

impl Side {
    pub(crate) fn peer_key(&self) -> PeerKey {
        PeerKey { isd_as: isd_as(self.peer), protocol: Protocol(self.protocol) }
    }

    fn secrets(&self) -> SharedSecrets {
        let secret = |(bytes, not_before): &([u8; 16], u64)| {
            SharedSecret::new(Key::from_bytes(*bytes), UnixNanos(*not_before)).unwrap()
        };
        SharedSecrets::new(self.secrets.iter().map(secret).collect())
    }

    pub(crate) fn settings(&self) -> Settings {
        let route = Route::new(self.peer_key(), false);
        let routes = self.peer_prefixes.iter().map(|prefix| (prefix.parse().unwrap(), route));
        let port = |name: &str, role, forward_to, last| PortSettings {
            name: name.to_owned(),
            role,
            forward_to,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, last]),
            next_hop: NextHop::Keep,
            control: ControlPolicy::Kernel,
            control_limit: Arc::new(Limit::UNLIMITED),
            addresses: Vec::new(),
            udp_checksum_offload: false,
        };
        Settings {
            local: isd_as(self.local),
            lf: LfSettings {
                port: self.port,
                lf2_port: LF2_PORT,
                protocol: Protocol(self.protocol),
                source_port: SourcePort::Fixed,
                public_v4: None,
                public_v6: None,
            },
            times: KeyTimes::default(),
            ports: vec![
                port("inside", Role::Inside, OUTSIDE, 1),
                port("outside", Role::Outside, INSIDE, 2),
                port("auto", Role::Auto, AUTO, 3),
            ],
            routes: RouteTable::new(routes).unwrap(),
            best_effort_refusals: false,
            accept_lf2: false,
            overall: Arc::new(Limit::UNLIMITED),
            authenticated: Arc::new(Limit::UNLIMITED),
            best_effort: Some(Arc::new(Limit::UNLIMITED)),
            destinations: None,
            wireguard: None,
            outbound_unknown: UnknownDestination::Forward,
            reassemble: false,
            clamp_mss: false,
            inbound_next_hop: None,
            outbound_next_hop: None,
            icmp_errors: Arc::new(Limit::UNLIMITED),
        }
    }

    /// A filter at `now` that goes by the settings as `change` leaves them.
    pub(crate) fn filter(&self, now: UnixNanos, change: impl FnOnce(&mut Settings)) -> Filter {
        let mut settings = self.settings();
        change(&mut settings);
        let peer = Arc::new(PeerState::new(self.peer_key(), Limit::UNLIMITED, 1));
        let pipeline = pipeline(&settings);
        let mut filter = Filter { side: *self, settings, dictionary: MemoryDictionary::default(), pipeline, peer };
        filter.rekey(now);
        filter
    }
}

impl Filter {
    /// Holds the keys of the time `now`.
    pub(crate) fn rekey(&mut self, now: UnixNanos) {
        let rotation =
            Rotation::new(self.settings.local, self.side.peer_key().isd_as, self.side.secrets(), self.settings.times);
        let keys = rotation.unwrap().key_set(now);
        self.dictionary.insert(Entry::new(Arc::clone(&self.peer), keys));
    }

    /// Gives the peer a limit, and forgets what was counted for it.
    pub(crate) fn limit_peer(&mut self, now: UnixNanos, settings: &LimitSettings) {
        let limit = Limit::from_settings(settings, now);
        self.peer = Arc::new(PeerState::new(self.side.peer_key(), limit, 1));
        self.rekey(now);
    }

    /// Uses `encapsulation` with the peer from now on. Limits and counters go on.
    pub(crate) fn use_encapsulation(&mut self, now: UnixNanos, encapsulation: PeerEncapsulation) {
        self.peer = Arc::new(self.peer.with_encapsulation(encapsulation));
        self.settings.accept_lf2 = encapsulation.accept.contains(Encapsulation::Lf2);
        self.pipeline.replace_settings(Arc::new(self.settings.clone()));
        self.rekey(now);
    }

    /// Judges one packet, and returns what became of it with the frame as it then is.
    pub(crate) fn judge(&mut self, port: PortIndex, now: UnixNanos, packet: &[u8]) -> (Outcome, Vec<u8>) {
        self.judge_burst(port, now, &[packet]).pop().unwrap()
    }

    /// Judges several packets in one burst.
    pub(crate) fn judge_burst(
        &mut self,
        port: PortIndex,
        now: UnixNanos,
        packets: &[&[u8]],
    ) -> Vec<(Outcome, Vec<u8>)> {
        let mut buffers: Vec<Vec<u8>> =
            packets.iter().map(|packet| [&[0; HEADROOM], *packet, &[0; TAILROOM]].concat()).collect();
        let mut frames: Vec<Frame<'_>> = buffers
            .iter_mut()
            .zip(packets)
            .map(|(buffer, packet)| Frame::new(buffer, HEADROOM, HEADROOM + packet.len(), port))
            .collect();
        let mut outcomes = vec![Outcome::UNDECIDED; packets.len()];
        let clock = Clock { unix: now, monotonic: now };
        self.pipeline.process(&self.dictionary, clock, &mut frames, &mut outcomes, &mut ());
        outcomes.into_iter().zip(frames).map(|(outcome, frame)| (outcome, frame.bytes().to_vec())).collect()
    }
}

/// The filter that host A's packets pass first, and the one in front of host B.
pub(crate) const A: Side = Side {
    local: "1-ff00:0:111",
    peer: "20-ff00:0:112",
    peer_prefixes: &["10.248.2.0/24", "fd00:248:2::/64"],
    protocol: 3,
    port: 49_149,
    secrets: &[([0x5a; 16], 1_767_225_600_000_000_000)],
};

/// What faces [`A`].
pub(crate) const B: Side =
    Side { local: "20-ff00:0:112", peer: "1-ff00:0:111", peer_prefixes: &["10.248.1.0/24", "fd00:248:1::/64"], ..A };

/// 2026-11-21T03:00:00Z
pub(crate) const NOW: UnixNanos = UnixNanos(1_795_230_000_000_000_000);

/// A UDP packet from host A to host B.
pub(crate) fn plain() -> Vec<u8> {
    packets::udp(
        "10.248.1.1",
        "10.248.2.1",
        (1000, 2000),
        b"a message of some length, so that there is something to hash",
    )
}

/// A UDP packet from host A to host B over IPv6.
pub(crate) fn plain_v6() -> Vec<u8> {
    packets::udp(
        "fd00:248:1::1",
        "fd00:248:2::1",
        (1000, 2000),
        b"a message of some length, so that there is something to hash",
    )
}

/// `packet` as filter A sends it at `now`.
pub(crate) fn encapsulated(packet: &[u8], now: UnixNanos) -> Vec<u8> {
    let (outcome, bytes) = A.filter(now, |_| {}).judge(INSIDE, now, packet);
    assert_eq!(outcome.verdict, photongate_pipeline::Verdict::Outbound);
    bytes
}

pub(crate) fn pipeline(settings: &Settings) -> Pipeline {
    let threshold = settings.times.time_threshold;
    let sizing = Sizing::new(10_000, 1e-9, threshold, 64 << 20, 1).unwrap();
    Pipeline::new(Parts {
        settings: Arc::new(settings.clone()),
        backend: backend::detect(),
        duplicates: Some(DuplicateFilter::new(&sizing, [1, 2])),
        issuer: TimestampIssuer::new(0, 1, threshold),
        worker: 0,
    })
}

pub(crate) fn isd_as(text: &str) -> IsdAs {
    text.parse().unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Nanos {
    Nanos::from_secs(seconds)
}
