//! What is decided about a packet: verdicts, stages, rate limits, duplicate suppression.
//!
//! A [`Pipeline`] takes a burst of [`Frame`]s and gives each of them one [`Verdict`], rewriting in place those that go on.
//! It has no socket, no clock and no randomness of its own, and knows nothing of DPDK: the worker that polls network cards,
//! `photongate verify` on a capture file, the fuzzers and the property tests all run this very code.
//!
//! The way of a burst: `packet` classifies; `inbound` checks and decapsulates; `outbound` encapsulates; `lf2` has what
//! one of the two encapsulations does another way;
//! `pipeline` lets the rest pass within its limits, or not.

#![forbid(unsafe_code)]

mod addresses;
mod burst;
mod clock;
mod counters;
mod dictionary;
pub mod duplicates;
mod encapsulation;
mod frame;
mod inbound;
mod lanes;
mod lf2;
pub mod limits;
mod outbound;
mod packet;
mod peer_counters;
mod peer_encapsulation;
mod peers;
mod pipeline;
mod probe;
pub mod routes;
mod segment_size;
mod settings;
mod skew;
pub mod steering;
pub mod timestamps;
mod too_big;
mod verdict;

pub use burst::{Action, ChecksumOffload, Outcome};
pub use clock::Clock;
pub use counters::{Count, Tally, VerdictCounters};
pub use dictionary::{Entry, KeyDictionary, MemoryDictionary, PeerKey, PeerState};
pub use frame::{Frame, PortIndex};
pub use lanes::MAX_BURST;
pub use peer_counters::PeerLedger;
pub use peer_encapsulation::{Encapsulation, Encapsulations, PeerEncapsulation};
pub use pipeline::{Parts, Pipeline};
pub use probe::{Probe, Stage};
pub use settings::{
    ControlPolicy, LfSettings, NextHop, PortSettings, Role, Route, Settings, SourcePort, UnknownDestination,
    WireGuardSettings,
};
pub use skew::{BUCKETS as SKEW_BUCKETS, Distribution, Skew, SkewHistogram};
pub use verdict::{DropReason, Verdict};
