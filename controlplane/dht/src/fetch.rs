//! Files and values fetched from other nodes, in pieces, several at once.
//!
//! What is asked of whom is decided by the pure [`schedule`]; this carries it out. Every piece is checked against its key before it counts,
//! is kept here as long as there is room, and is given to whoever else asks for it.

pub mod schedule;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::schedule::{Action, Failure, Schedule, Settings};
use crate::handle::{Handle, Stopped};
use crate::manifest::{Manifest, NotAManifest};
use crate::node::{Found, Source, Wanted};
use crate::store::Keep;
use crate::transfer::Refused;
use crate::{Contact, Id};

/// A piece that is there.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Which one, by its place in the file.
    pub piece: usize,
    /// Its bytes.
    pub bytes: Bytes,
    /// The node that sent it. `None`: it was here, or came with an answer.
    pub from: Option<SocketAddr>,
}

/// How long, and with how many at once, is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Pieces that may be under way.
    pub at_once: usize,
    /// How long a fetch may go on without a new piece.
    pub patience: Duration,
}

/// Why something was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody has it.
    #[error("no node is found that has {}", described(keys))]
    Nowhere {
        /// What is missing.
        keys: Vec<Id>,
    },
    /// Those who have it do not send it.
    #[error("nothing has come for {} s, and {missing} are missing", patience.as_secs())]
    Stalled {
        /// How many pieces.
        missing: usize,
        /// How long nothing came.
        patience: Duration,
    },
    /// It is a value, and no file.
    #[error("the value is no file: {0}")]
    NotAFile(#[from] NotAManifest),
    /// Nobody wants it any more.
    #[error("the fetch was given up")]
    GivenUp,
    /// The node ends.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A file whose pieces are known.
#[derive(Clone, Debug)]
pub struct File {
    /// Its key.
    pub key: Id,
    /// Its pieces.
    pub manifest: Manifest,
}

/// The value of a key, from here or from elsewhere.
///
/// # Errors
/// [`FetchError`].
pub async fn value(handle: &Handle, key: Id, effort: Effort) -> Result<Bytes, FetchError> {
    let (arrived_in, mut arrived) = mpsc::channel(1);
    let swarm = Swarm { of: None, members: BTreeSet::new() };
    let keys = [(key, None)];
    let fetching = pieces(handle, &keys, [0], swarm, effort, arrived_in);
    let (fetched, value) = tokio::join!(fetching, arrived.recv());
    fetched?;
    value.map(|arrived| arrived.bytes).ok_or(FetchError::GivenUp)
}

/// The pieces of a file. From then on others can find that this node is fetching it, and ask it for what it has.
///
/// # Errors
/// [`FetchError`].
pub async fn file(handle: &Handle, key: Id, effort: Effort) -> Result<File, FetchError> {
    let bytes = value(handle, key, effort).await?;
    let manifest = Manifest::parse(&bytes)?;
    handle.provide(key).await;
    Ok(File { key, manifest })
}

/// Fetches those pieces of a file that are `wanted`. Each goes to `arrived` once, in any order; when nobody listens there any more, that
/// is the end.
///
/// # Errors
/// [`FetchError`].
pub async fn file_pieces(
    handle: &Handle,
    file: &File,
    wanted: impl IntoIterator<Item = usize>,
    effort: Effort,
    arrived: mpsc::Sender<Arrived>,
) -> Result<(), FetchError> {
    let keys: Vec<_> = file.manifest.pieces().iter().map(|piece| (piece.key, Some(piece.size))).collect();
    let swarm = Swarm { of: Some(file.key), members: BTreeSet::new() };
    pieces(handle, &keys, wanted, swarm, effort, arrived).await
}

/// Nodes that have a file, or are fetching it.
struct Swarm {
    /// The file. `None`: a value of its own.
    of: Option<Id>,
    members: BTreeSet<Source>,
}

/// Something that was under way has ended.
enum Ended {
    Asked { piece: usize, from: Source, outcome: Result<Bytes, Refused> },
    LookedUp { piece: usize, found: Result<Found, Stopped> },
    Swarm(Result<Found, Stopped>),
}

async fn pieces(
    handle: &Handle,
    keys: &[(Id, Option<u32>)],
    wanted: impl IntoIterator<Item = usize>,
    mut swarm: Swarm,
    effort: Effort,
    arrived: mpsc::Sender<Arrived>,
) -> Result<(), FetchError> {
    let mut missing = Vec::new();
    for piece in wanted {
        match handle.here(keys[piece].0).await {
            Some(bytes) => give(&arrived, Arrived { piece, bytes, from: None }).await?,
            None => missing.push(piece),
        }
    }
    let settings = Settings { at_once: effort.at_once, ..Settings::default() };
    let seed = getrandom::u64().unwrap_or_default();
    let mut schedule = Schedule::new(settings, keys.len(), missing, [], seed);
    let mut under_way = JoinSet::new();
    let began = Instant::now();
    let mut last_piece = began;
    let mut swarm_due = swarm.of.map(|_| began);
    while !schedule.is_done() {
        let now = began.elapsed();
        if let (Some(file), Some(due)) = (swarm.of, swarm_due)
            && Instant::now() >= due
        {
            swarm_due = None;
            let handle = handle.clone();
            under_way
                .spawn(async move { Ended::Swarm(handle.find(Wanted::Holders { key: file, providers: SWARM }).await) });
        }
        for action in schedule.decide(now) {
            let handle = handle.clone();
            match action {
                Action::Ask { piece, peer } => {
                    let (key, size) = keys[piece];
                    under_way.spawn(async move {
                        let outcome = handle.transport().ask(peer, key, size).await;
                        Ended::Asked { piece, from: peer, outcome }
                    });
                }
                Action::LookUp { piece } => {
                    let wanted = Wanted::Value { key: keys[piece].0, providers: HOLDERS };
                    under_way.spawn(async move { Ended::LookedUp { piece, found: handle.find(wanted).await } });
                }
            }
        }
        let hopeless = schedule.hopeless();
        if !hopeless.is_empty() {
            return Err(FetchError::Nowhere { keys: hopeless.into_iter().map(|piece| keys[piece].0).collect() });
        }
        let give_up = last_piece + effort.patience;
        let next = schedule.next_time(now).map(|next| began + next).into_iter().chain(swarm_due).min();
        let ended = tokio::select! {
            Some(ended) = under_way.join_next() => ended.expect("what is under way does not panic"),
            () = sleep_until(next.unwrap_or(give_up).min(give_up)) => {
                if Instant::now() >= give_up {
                    return Err(FetchError::Stalled { missing: schedule.missing(), patience: effort.patience });
                }
                continue;
            }
            () = arrived.closed() => return Err(FetchError::GivenUp),
        };
        let now = began.elapsed();
        let got = match ended {
            Ended::Asked { piece, from, outcome: Ok(bytes) } => {
                schedule.got(piece, from, now).then_some(Arrived { piece, bytes, from: Some(from.address) })
            }
            Ended::Asked { piece, from, outcome: Err(refused) } => {
                let failure = failure_of(&refused);
                schedule.failed(piece, from, failure, now);
                if failure == Failure::Wrong {
                    tracing::warn!(from = %from.address, "a value is not what it should be: {refused}");
                    handle.ban(from).await;
                    schedule.leave(|other| other.who() == from.who());
                } else {
                    tracing::debug!(from = %from.address, "a piece does not come: {refused}");
                }
                None
            }
            Ended::LookedUp { piece, found } => {
                let found = found?;
                schedule.met(others(handle, &found.nearest));
                schedule.looked_up(piece, others(handle, &found.providers), now);
                let bytes = found.data.map(Bytes::from);
                bytes.filter(|_| schedule.has(piece)).map(|bytes| Arrived { piece, bytes, from: None })
            }
            Ended::Swarm(found) => {
                let found = found?;
                schedule.met(others(handle, &found.nearest));
                swarm.members.extend(others(handle, &found.providers));
                schedule.join_swarm(swarm.members.iter().copied());
                swarm_due = Some(Instant::now() + SWARM_AGAIN);
                None
            }
        };
        if let Some(got) = got {
            last_piece = Instant::now();
            // Without room for it, it is handed on all the same.
            if let Err(error) = handle.keep(got.bytes.clone(), Keep::Cached).await {
                tracing::debug!("a piece is not kept: {error}");
            }
            give(&arrived, got).await?;
        }
    }
    Ok(())
}

async fn give(to: &mpsc::Sender<Arrived>, arrived: Arrived) -> Result<(), FetchError> {
    to.send(arrived).await.map_err(|_| FetchError::GivenUp)
}

fn others(handle: &Handle, providers: &[Contact]) -> Vec<Source> {
    let me = handle.me();
    let others = providers.iter().filter(|contact| contact.id != me.id && contact.address != me.address);
    others.map(|contact| handle.transport().source(contact)).collect()
}

const fn failure_of(refused: &Refused) -> Failure {
    match refused {
        Refused::Miss => Failure::Miss,
        Refused::Wrong(_) => Failure::Wrong,
        Refused::Slow | Refused::Broken(_) => Failure::Unreachable,
    }
}

fn described(keys: &[Id]) -> String {
    match keys {
        [key] => key.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => "anything".to_owned(),
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self { at_once: 16, patience: Duration::from_secs(60) }
    }
}

/// Nodes to look for that hold one piece.
const HOLDERS: usize = 4;

/// Nodes to look for that have a file.
const SWARM: usize = 16;

/// Others join while a file is fetched: they are looked for so often.
const SWARM_AGAIN: Duration = Duration::from_secs(2);
