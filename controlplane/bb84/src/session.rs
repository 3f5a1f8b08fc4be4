//! One session: from two fresh connections to the error that ends it, block after block.
//!
//! The *lead* (Alice) prepares pulses and decides; the *follower* (Bob) simulates what happens to them on their way and measures.
//! Which end opened the connections does not matter here.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::authentication::Authenticator;
use crate::control::Control;
use crate::message::{BlockId, Malformed, Message};
use crate::monitor::{Judgement, Monitor};
use crate::parameters::Parameters;
use crate::random::{Random, Seed};
use crate::status::{Meter, Phase, Statistics, Status};
use wires::{Frames, LONGEST_CLASSICAL, LONGEST_GREETING, LONGEST_QUANTUM, Wires};

mod error;
mod follower;
mod lead;
pub(crate) mod wires;

pub use error::SessionError;

/// What the two ends share before they begin: what shows each that the other is who it should be.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// The fewest bytes of a secret.
    pub const SHORTEST: usize = 16;

    /// Of these bytes, [`SHORTEST`](Self::SHORTEST) at least. There is `None` if they are fewer.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() >= Self::SHORTEST).then(|| Self(Arc::new(bytes)))
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

/// Exchanges random numbers over fresh connections, and proofs of the secret. All of it has to be done within `patience`.
pub(crate) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    classical: S,
    quantum: S,
    lead: bool,
    secret: &Secret,
    control: Control,
    patience: Duration,
) -> Result<Greeted<S>, SessionError> {
    let greeting = async {
        let mut classical = Frames::new(classical, LONGEST_GREETING);
        let mut own = [0; 32];
        getrandom::fill(&mut own)?;
        classical.send(&[HELLO, &[u8::from(lead)], &own], patience).await?;
        let hello = classical.next().await?;
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
            Message::Proof => {
                // Only who has the secret may have room taken for long frames.
                wires.classical.allow(LONGEST_CLASSICAL);
                Ok(Greeted(wires))
            }
            other => Err(SessionError::unexpected("proof", &other)),
        }
    };
    timeout(patience, greeting).await.map_err(|_| SessionError::Silent(patience))?
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
        let mut room = Box::pin(self.blocks.clone().reserve_owned());
        // The block before may be on its way only: that is no standstill, which rates would begin anew after.
        let permit = match timeout(ON_ITS_WAY, &mut room).await {
            Ok(permit) => permit,
            Err(_) => {
                self.memory.status.pause(Phase::Full);
                let permit = self.wires.idle(room).await?;
                self.memory.status.pause(Phase::Full);
                permit
            }
        };
        let permit = permit.map_err(|_| SessionError::NotWanted)?;
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

/// The first bytes of a session.
/// For a block that was delivered to be taken.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
const HELLO: &[u8] = b"photongate bb84 1";

#[cfg(test)]
mod tests;
