//! Where key material comes from: the sources of a link between two neighbouring key servers.
//!
//! A source has two ends, one at each server. Both hand out the same bytes, block by block, under the same stream and number.
//! What the ends must say to one another goes through the channel between the servers ([`Channel`]), which is authenticated
//! and confidential; or, as with a QKD device, over wires of their own.

pub mod bb84;
mod device;
pub mod etsi004;
pub mod etsi014;
pub mod hybrid;
pub mod keyfile;
pub mod mlkem;
mod progress;
mod signature;
mod talk;
#[cfg(test)]
mod testing;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub use self::device::DeviceAddress;
pub use self::signature::Credentials;
use crate::ids::{LinkId, QksId, StreamId};

/// One end of a source of key material.
pub trait LinkSource: Send + 'static {
    /// Its kind as it is written in a configuration: `bb84`, `etsi014`, `etsi004`, `keyfile`, `mlkem`, `hybrid`.
    fn kind(&self) -> &'static str;

    /// What its material may be called.
    fn origin(&self) -> Origin;

    /// Produces blocks until the other side of `end.blocks` is gone. Trouble that may pass (no connection, a device that is busy,
    /// an eavesdropper) is shown in `end.state` and waited out, with back-off; only what needs the operator ends the run.
    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>>;

    /// The same source, to be run later again.
    fn again(&self) -> Box<dyn LinkSource>;
}

/// What a source is given to work with.
#[derive(Debug)]
pub struct LinkEnd {
    /// The link it belongs to.
    pub link: LinkId,
    /// The server at this end.
    pub local: QksId,
    /// The server at the other end.
    pub remote: QksId,
    /// Asks the source's other end.
    pub peer: Arc<dyn Channel>,
    /// What the other end asks.
    pub questions: mpsc::Receiver<Question>,
    /// Where blocks go. It is full when the stock is: then nothing more is to be produced.
    pub blocks: mpsc::Sender<Block>,
    /// How the source is.
    pub state: watch::Sender<SourceState>,
}

impl LinkEnd {
    /// Whether this end begins what needs one end to begin. It is true at exactly one end.
    pub fn leads(&self) -> bool {
        self.local < self.remote
    }
}

/// A way to ask the other end of a source. Questions and answers are at most [`LONGEST_MESSAGE`] bytes.
pub trait Channel: fmt::Debug + Send + Sync {
    /// Sends a question and waits for the answer, for `patience` at most.
    fn ask(
        &self,
        question: Bytes,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ChannelError>> + Send + '_>>;
}

/// The other end wants to know something.
#[derive(Debug)]
pub struct Question {
    /// What it says.
    pub body: Bytes,
    /// Where the answer goes. Dropped, it tells the other end that there is none.
    pub answer: oneshot::Sender<Bytes>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The other server cannot be reached, or takes too long.
    #[error("{0}")]
    Unreachable(String),
    /// It is there, but its end of the source gives no answer.
    #[error("the other end of the source does not answer: {0}")]
    NoAnswer(String),
}

/// A piece of key material. Both ends have it, or will in a moment.
pub struct Block {
    /// The stream it belongs to. A source that cannot go on where it was begins a new one.
    pub stream: StreamId,
    /// Its place in the stream, counted from 0.
    pub number: u64,
    /// The material: every bit secret and random.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Where it is from.
    pub origin: Origin,
    /// Told once the block is on disk, for a source that can let go of its own copy then.
    pub kept: Option<oneshot::Sender<()>>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} {}, {} bytes, {})", self.stream, self.number, self.bytes.len(), self.origin)
    }
}

/// What the secrecy of key material rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Quantum key distribution.
    Qkd,
    /// Post-quantum cryptography.
    Pqc,
    /// Both: it is secret as long as either holds.
    Hybrid,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qkd => "qkd",
            Self::Pqc => "pqc",
            Self::Hybrid => "hybrid",
        })
    }
}

/// How a source is, as operators see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceState {
    /// What it does.
    pub phase: Phase,
    /// Why, if it does not produce. Never holds key bytes.
    pub reason: Option<String>,
    /// What a QKD source measures.
    pub quality: Option<Quality>,
}

/// What a source does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has yet to find its device or its other end.
    #[default]
    Starting,
    /// Keys come.
    Producing,
    /// Keys do not come for now; it tries again by itself.
    Waiting,
    /// Somebody may be listening, and an operator should look. Nothing is produced, unless another source of a hybrid carries on.
    Alarm,
}

/// What a QKD source measures, since it began but for the rates and the error ratio, which are of the last blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quality {
    /// Ratio of wrong bits in the sifted key (quantum bit error ratio), 0 to 1.
    pub qber: f64,
    /// Sifted bits per second.
    pub sifted_bits_per_second: f64,
    /// Secret bits per second.
    pub secret_bits_per_second: f64,
    /// Pulses sent.
    pub pulses: u64,
    /// Sifted bits.
    pub sifted_bits: u64,
    /// Bits that error correction told an eavesdropper.
    pub leaked_bits: u64,
    /// Secret bits.
    pub secret_bits: u64,
    /// Blocks thrown away because of their error ratio or because they could not be corrected.
    pub discarded_blocks: u64,
}

/// Why a source cannot go on without its operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Of a question or an answer, in bytes.
pub const LONGEST_MESSAGE: usize = 1024 * 1024;
