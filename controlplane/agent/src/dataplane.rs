//! What the control plane asks of the packet path.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use photongate_pipeline::{Clock, Entry, PeerKey, Settings, Tally};

use crate::api::{Port, TraceRequest, Worker};

/// Changes what workers see. There is one, and nothing it does waits for a worker or makes one wait.
pub trait Publisher: Send + 'static {
    /// How many workers there are: what a peer's counters are made for.
    fn workers(&self) -> usize;

    /// The clocks that workers judge packets and limits by.
    fn clock(&self) -> Clock;

    /// Puts each entry in the place of the one that its peer has, or adds it, all in one go.
    ///
    /// # Errors
    /// [`DictionaryFull`] names those that found no room. The others are in force.
    fn publish(&mut self, entries: Vec<Entry>) -> Result<(), DictionaryFull>;

    /// Takes peers out, their keys and their counters. Those that are not there are no mistake.
    fn remove(&mut self, peers: &[PeerKey]);

    /// What the pipeline is told to do now.
    fn settings(&self) -> Arc<Settings>;

    /// Tells the pipeline to do this from the next burst on.
    fn replace_settings(&mut self, settings: Settings);

    /// Begins a grace period. When it is over, every worker has let go of all that was replaced or removed before it began,
    /// and acts by the settings that were in force then.
    fn begin_grace(&mut self) -> Grace;

    /// Whether the grace period is over. Frees what nobody holds any more.
    fn is_over(&mut self, grace: Grace) -> bool;
}

/// A grace period, by its place in the order in which they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace(pub u64);

/// The key dictionary has no room for these peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key dictionary is full: {} peers have no place in it; raise keys.max_peers and restart", peers.len())]
pub struct DictionaryFull {
    /// The peers without an entry.
    pub peers: Vec<PeerKey>,
}

/// Reads what the packet path counts. Disturbs nobody.
pub trait Observer: Send + Sync + 'static {
    /// Each worker's counters, in their order.
    fn workers(&self) -> Vec<Worker>;

    /// Each port's counters, in the order of the settings.
    fn ports(&self) -> Vec<Port>;

    /// Packets by verdict, all workers together.
    fn tally(&self) -> Tally;

    /// Traces packets as pcapng into `output` until a bound of `request` is reached or `stop` is set. Blocks meanwhile.
    ///
    /// # Errors
    /// [`TraceError`]. Nothing was written if the request makes no sense or there is no place for another trace.
    fn trace(&self, request: &TraceRequest, output: &mut dyn Write, stop: &AtomicBool) -> Result<TraceEnd, TraceError>;
}

/// How a trace ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceEnd {
    /// Packets in the trace.
    pub packets: u64,
    /// Packets that should have been in it, but came too fast.
    pub left_out: u64,
}

/// Why there is no trace, or only the beginning of one.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The request makes no sense; says what does.
    #[error("{0}")]
    Invalid(String),
    /// As many traces run as can.
    #[error("as many traces run already as can at the same time: stop one")]
    TooMany,
    /// The output cannot be written.
    #[error("the trace cannot be written: {0}")]
    Write(#[from] io::Error),
}
