//! One session: from two fresh connections to the error that ends it, block after block.
//!
//! The *lead* (Alice) prepares pulses and decides; the *follower* (Bob) simulates what happens to them on their way and measures.
//! Which end opened the connections does not matter here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::authentication::{Authenticator, KeyUsedUp};
use crate::cascade::CascadeError;
use crate::control::Control;
use crate::message::{BlockId, Malformed, Message, Reader};
use crate::monitor::{Judgement, Monitor};
use crate::random::{Random, Seed};
use crate::status::{Meter, Phase, Statistics, Status};
use wires::{Frames, LONGEST_CLASSICAL, LONGEST_QUANTUM, Wires};

mod follower;
mod lead;
pub(crate) mod wires;

/// What both ends do alike. The lead's are in force at both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Sifted bits of a block, 4,096 to 1,048,576. Larger blocks yield more: less is lost to what a sample cannot tell.
    pub block_bits: u32,
    /// Part of a block that is given away to estimate its errors, 0.01 to 0.5.
    pub sample: f64,
    /// Ratio of wrong bits above which there is an alarm, 0.001 to 0.25.
    pub qber_threshold: f64,
    /// Sifted bits of a probe, 256 to 1,048,576.
    pub probe_bits: u32,
    /// Good probes in a row that end an alarm, 1 to 1000.
    pub probes: u32,
    /// Milliseconds to wait before each probe, 0 to 3,600,000.
    pub probe_pause_ms: u32,
    /// Probability with which a key may be known or wrong after all, 10^-15 to 10^-3.
    pub security: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            block_bits: 1 << 18,
            sample: 0.125,
            qber_threshold: 0.08,
            probe_bits: 1 << 13,
            probes: 3,
            probe_pause_ms: 5000,
            security: 1e-9,
        }
    }
}

impl Parameters {
    /// Whether all values are within their bounds.
    pub fn are_sound(&self) -> bool {
        (1 << 12..=1 << 20).contains(&self.block_bits)
            && (0.01..=0.5).contains(&self.sample)
            && (0.001..=0.25).contains(&self.qber_threshold)
            && (256..=1 << 20).contains(&self.probe_bits)
            && (1..=1000).contains(&self.probes)
            && self.probe_pause_ms <= 3_600_000
            && (1e-15..=1e-3).contains(&self.security)
    }

    /// How many bits of a block are the sample.
    fn sample_bits(&self) -> usize {
        (f64::from(self.block_bits) * self.sample) as usize
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        [self.block_bits, self.probe_bits, self.probes, self.probe_pause_ms]
            .iter()
            .for_each(|number| out.extend(number.to_be_bytes()));
        [self.sample, self.qber_threshold, self.security].iter().for_each(|number| out.extend(number.to_be_bytes()));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut numbers = [0; 4];
        for number in &mut numbers {
            *number = u32::from_be_bytes(reader.array()?);
        }
        let [block_bits, probe_bits, probes, probe_pause_ms] = numbers;
        let (sample, qber_threshold, security) = (reader.float()?, reader.float()?, reader.float()?);
        let parameters = Self { block_bits, sample, qber_threshold, probe_bits, probes, probe_pause_ms, security };
        if parameters.are_sound() { Ok(parameters) } else { Err(Malformed) }
    }
}

/// What the two ends share before they begin: what shows each that the other is who it should be.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Of these bytes, 16 at least. There is `None` if they are fewer.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() >= 16).then(|| Self(Arc::new(bytes)))
    }

    /// What the keys of one session follow from. The random numbers of both ends make it another in each.
    fn session_seed(&self, lead: &[u8; 32], follower: &[u8; 32]) -> Seed {
        let salt = Salt::new(HKDF_SHA256, &[*lead, *follower].concat());
        let mut seed = Seed::default();
        salt.extract(&self.0)
            .expand(&[b"photongate bb84 session 1"], SeedLength)
            .and_then(|key| key.fill(seed.as_mut_slice()))
            .expect("a seed is not longer than HKDF can make");
        seed
    }
}

struct SeedLength;

impl KeyType for SeedLength {
    fn len(&self) -> usize {
        Seed::default().len()
    }
}

/// A block of key. Its other half has the same bytes under the same name.
pub struct KeyBlock {
    /// Its name.
    pub id: BlockId,
    /// The key.
    pub key: Zeroizing<Vec<u8>>,
}

/// What an end remembers from one session to the next.
pub(crate) struct Memory {
    pub(crate) lead: bool,
    pub(crate) parameters: Parameters,
    pub(crate) monitor: Monitor,
    /// The next block's name, at the lead.
    next: BlockId,
    /// The last block that was delivered at this end.
    delivered: Option<BlockId>,
    /// At the follower: a block that the lead may have delivered, and may not.
    pending: Option<KeyBlock>,
    /// At the follower: how many of its operator's changes the lead has been told.
    revision: u64,
    random: Random,
    pub(crate) status: Reporter,
}

impl Memory {
    pub(crate) fn new(lead: bool, parameters: Parameters, status: watch::Sender<Status>) -> Result<Self, SessionError> {
        let mut random = Random::from_system()?;
        Ok(Self {
            lead,
            parameters,
            monitor: Monitor::new(parameters.qber_threshold, parameters.probes),
            next: BlockId { stream: new_stream(&mut random), number: 0 },
            delivered: None,
            pending: None,
            revision: 0,
            random,
            status: Reporter { status, statistics: Statistics::default(), meter: Meter::default() },
        })
    }

    /// Judges a block or probe by its sample, and says so.
    fn judge(&mut self, wrong: usize, sample: usize) -> Judgement {
        let qber = wrong as f64 / sample as f64;
        let probe = self.monitor.probes_due() > 0;
        let judgement = self.monitor.judge(qber);
        let probes_due = self.monitor.probes_due();
        let statistics = &mut self.status.statistics;
        statistics.qber = qber;
        statistics.probes += u64::from(probe);
        statistics.discarded_blocks += u64::from(!probe && judgement == Judgement::Alarm);
        if judgement != Judgement::Use {
            self.status.end_block();
        }
        self.status.show(if probes_due > 0 {
            Phase::Alarm { qber, threshold: self.parameters.qber_threshold, probes_due }
        } else {
            Phase::Producing
        });
        judgement
    }

    /// The phase while neither waiting for room nor for the other end.
    fn show_work(&self) {
        if self.monitor.probes_due() == 0 {
            self.status.show(Phase::Producing);
        } else {
            let (qber, threshold) = (self.status.statistics.qber, self.parameters.qber_threshold);
            self.status.show(Phase::Alarm { qber, threshold, probes_due: self.monitor.probes_due() });
        }
    }

    /// How many sifted bits are collected next.
    fn wanted(&self) -> usize {
        let probing = self.monitor.probes_due() > 0;
        (if probing { self.parameters.probe_bits } else { self.parameters.block_bits }) as usize
    }

    /// How many of them are given away: of a probe all.
    fn sample_bits(&self) -> usize {
        if self.monitor.probes_due() > 0 { self.wanted() } else { self.parameters.sample_bits() }
    }
}

/// Publishes how the link is.
pub(crate) struct Reporter {
    status: watch::Sender<Status>,
    statistics: Statistics,
    meter: Meter,
}

impl Reporter {
    pub(crate) fn show(&self, phase: Phase) {
        self.status.send_modify(|status| *status = Status { phase, statistics: self.statistics });
    }

    /// Nothing is produced from now on.
    pub(crate) fn pause(&mut self, phase: Phase) {
        self.meter.restart(Instant::now(), &mut self.statistics);
        self.show(phase);
    }

    fn end_block(&mut self) {
        self.meter.update(Instant::now(), &mut self.statistics);
    }
}

/// Two connections that have shown to have the secret at their other end.
pub(crate) struct Greeted<S>(Wires<S>);

/// Exchanges random numbers over fresh connections, and proofs of the secret.
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    classical: S,
    quantum: S,
    lead: bool,
    secret: &Secret,
    control: Control,
    patience: Duration,
) -> Result<Greeted<S>, SessionError> {
    let mut classical = Frames::new(classical, LONGEST_CLASSICAL);
    let mut own = [0; 32];
    getrandom::fill(&mut own)?;
    classical.send(&[HELLO, &[u8::from(lead)], &own], patience).await?;
    let hello =
        tokio::time::timeout(patience, classical.next()).await.map_err(|_| SessionError::Silent(patience))??;
    let [role, other @ ..] = hello.strip_prefix(HELLO).ok_or(SessionError::OtherProtocol)? else {
        return Err(Malformed.into());
    };
    let other: [u8; 32] = other.try_into().map_err(|_| Malformed)?;
    if *role == u8::from(lead) {
        return Err(SessionError::SameRole { lead });
    }
    let seed = if lead { secret.session_seed(&own, &other) } else { secret.session_seed(&other, &own) };
    let mut keys = Random::from_seed(&seed);
    let from_lead = Authenticator::new(&mut keys);
    let from_follower = Authenticator::new(&mut keys);
    let (outgoing, incoming) = if lead { (from_lead, from_follower) } else { (from_follower, from_lead) };
    let quantum = Frames::new(quantum, LONGEST_QUANTUM);
    let mut wires = Wires { classical, quantum, patience, outgoing, incoming, control };
    wires.send(&Message::Proof).await?;
    match wires.receive().await? {
        Message::Proof => Ok(Greeted(wires)),
        other => Err(SessionError::unexpected("proof", &other)),
    }
}

/// Makes blocks until something goes wrong, or nobody wants blocks any more.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    greeted: Greeted<S>,
    memory: &mut Memory,
    blocks: &mpsc::Sender<KeyBlock>,
) -> SessionError {
    let session = Session { wires: greeted.0, memory, blocks };
    let end = if session.memory.lead { session.lead().await } else { session.follow().await };
    match end {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

struct Session<'m, S> {
    wires: Wires<S>,
    memory: &'m mut Memory,
    blocks: &'m mpsc::Sender<KeyBlock>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    /// Waits until a block can be delivered.
    async fn room(&mut self) -> Result<mpsc::OwnedPermit<KeyBlock>, SessionError> {
        if let Ok(permit) = self.blocks.clone().try_reserve_owned() {
            self.memory.show_work();
            return Ok(permit);
        }
        self.memory.status.pause(Phase::Full);
        let permit = self.wires.idle(self.blocks.clone().reserve_owned()).await?;
        let permit = permit.map_err(|_| SessionError::NotWanted)?;
        self.memory.status.pause(Phase::Full);
        self.memory.show_work();
        Ok(permit)
    }

    /// Splits a secret key: what authenticates the messages to come, and what is delivered. Both ends are at the same message.
    fn share_out(&mut self, key: &Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let Wires { outgoing, incoming, .. } = &mut self.wires;
        let (lead, follower) = if self.memory.lead { (outgoing, incoming) } else { (incoming, outgoing) };
        // At most half of it, so that some is delivered even if authentication takes more than a block yields.
        let for_lead = lead.missing().min(key.len() / 4);
        let for_follower = follower.missing().min(key.len() / 4);
        lead.refill(&key[..for_lead]);
        follower.refill(&key[for_lead..for_lead + for_follower]);
        let statistics = &mut self.memory.status.statistics;
        statistics.authentication_bits += 8 * (for_lead + for_follower) as u64;
        Zeroizing::new(key[for_lead + for_follower..].to_vec())
    }
}

/// Runs what takes long where it holds nobody up.
async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is going down cancels such a task.
            Err(_) => std::future::pending().await,
        },
    }
}

fn new_stream(random: &mut Random) -> [u8; 16] {
    let mut stream = [0; 16];
    random.fill(&mut stream);
    stream
}

/// Why a session has ended. All but the last are worth another try.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(#[source] io::Error),
    /// The other end has closed a connection, or somebody in between has.
    #[error("the connection was closed")]
    Closed,
    /// Nothing comes.
    #[error("nothing was heard from the other end for {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// A frame is longer than any can be.
    #[error("a frame of {length} bytes was announced; {longest} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most bytes there may be.
        longest: usize,
    },
    /// It is not the message that was due.
    #[error("message {expected} was due and {found} came: messages were repeated, left out, or put out of order")]
    OutOfOrder {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// Its tag is wrong.
    #[error("message {number} is not authentic: it was changed on its way, or the two ends have different secrets")]
    NotAuthentic {
        /// The message's number.
        number: u64,
    },
    /// A message cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The other end says something else than is its turn.
    #[error("{due} was due, and the other end sent {found}")]
    Unexpected {
        /// What was due.
        due: &'static str,
        /// What came.
        found: &'static str,
    },
    /// The other end says something that contradicts what was said before.
    #[error("the other end contradicts itself: {0}")]
    Contradiction(&'static str),
    /// Something else is at the other end.
    #[error("the other end does not speak this protocol")]
    OtherProtocol,
    /// Both ends have the same part.
    #[error("both ends {}", if *lead { "lead" } else { "follow" })]
    SameRole {
        /// Which.
        lead: bool,
    },
    /// There were too many messages and too few keys.
    #[error(transparent)]
    KeyUsedUp(#[from] KeyUsedUp),
    /// Errors cannot be corrected.
    #[error(transparent)]
    Cascade(#[from] CascadeError),
    /// The operating system has no randomness.
    #[error("the operating system gives no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// Nobody wants blocks any more.
    #[error("no more keys are wanted")]
    NotWanted,
}

impl SessionError {
    fn unexpected(due: &'static str, found: &Message) -> Self {
        Self::Unexpected { due, found: found.name() }
    }
}

/// The first bytes of a session.
const HELLO: &[u8] = b"photongate bb84 1";

#[cfg(test)]
mod tests;
