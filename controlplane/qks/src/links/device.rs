//! What sources have in common whose keys come from a device at each end: the leading end says which keys make the next block, the
//! other end gets them from its device, then the leading end does.

use std::time::Duration;

use photongate_net::tls::{ClientTls, ClientTlsFiles, SubjectPattern, TlsError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::progress::{BackOff, Progress, rest};
use super::{Block, ChannelError, Credentials, LinkEnd, Origin, SourceError, talk};
use crate::ids::StreamId;

/// A device of one end.
pub(super) trait Device: Send {
    /// The kind of the source, as in a configuration.
    const KIND: &'static str;

    /// What tells the other end which keys are meant.
    type Keys: Serialize + DeserializeOwned + Send + Sync;

    /// Chooses the keys of the next block.
    fn choose(&mut self) -> impl Future<Output = Result<Self::Keys, DeviceError>> + Send;

    /// At the leading end: the keys that were chosen, once the other end has them. May be called again after a failure.
    fn chosen(&mut self, keys: &Self::Keys) -> impl Future<Output = Result<Zeroizing<Vec<u8>>, DeviceError>> + Send;

    /// At the other end: the keys that were chosen there. May be called again after a failure.
    fn fetch(&mut self, keys: &Self::Keys) -> impl Future<Output = Result<Zeroizing<Vec<u8>>, DeviceError>> + Send;

    /// Chosen keys will not be used: the other end did not get them in time, or the leading end did not.
    fn give_up(&mut self, keys: Self::Keys) -> impl Future<Output = ()> + Send;
}

/// How a device is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAddress {
    /// An `https` URL.
    pub url: Url,
    /// What this server shows to it, and which authorities' devices it believes. Read anew with each connection.
    pub credentials: Credentials,
    /// The name that its certificate must have beside that of its host.
    pub device: Option<SubjectPattern>,
}

/// Why a device gives nothing, in a sentence for operators. It goes to the other end, too, and holds no key bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct DeviceError(pub(super) String);

/// Runs the end of a source that this server has.
pub(super) async fn run<D: Device>(device: D, end: LinkEnd) -> Result<(), SourceError> {
    if end.leads() {
        lead(device, end).await;
    } else {
        follow(device, end).await;
    }
    Ok(())
}

/// Keys that were chosen and are no block yet.
struct Chosen<K> {
    number: u64,
    keys: K,
    /// Whether the other end has them.
    is_there: bool,
    since: Instant,
}

/// From the leading end.
#[derive(Serialize, Deserialize)]
struct Fetch<K> {
    stream: StreamId,
    number: u64,
    keys: K,
}

/// From the other end.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fetched {
    Done,
    NoRoom,
    /// Not now, and perhaps later.
    NotYet(String),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the device of this end: {0}")]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("the other end has no room for more key material")]
    NoRoom,
    #[error("the device of the other end: {0}")]
    NotThere(String),
}

async fn lead<D: Device>(mut device: D, mut end: LinkEnd) {
    // The other end has nothing to ask.
    end.questions.close();
    let progress = Progress::new(&end, D::KIND);
    let stream = StreamId(Uuid::new_v4());
    let (mut back_off, mut next, mut waiting) = (BackOff::new(), 0, None);
    while let Ok(room) = end.blocks.reserve().await {
        match produce(&mut device, &end, stream, next, &mut waiting).await {
            Ok((number, bytes)) => {
                room.send(Block { stream, number, bytes, origin: Origin::Qkd, kept: None });
                (next, waiting) = (number + 1, None);
                progress.producing();
                back_off.reset();
            }
            Err(failure) => {
                if let Some(chosen) = waiting.as_mut().filter(|_| matches!(failure, Failure::NoRoom)) {
                    chosen.since = Instant::now();
                }
                if let Some(lost) = waiting.take_if(|chosen: &mut Chosen<_>| chosen.since.elapsed() >= LONGEST_TRY) {
                    tracing::warn!(link = %end.link, source = D::KIND, %failure, "keys are given up: only one end gets them");
                    // The other end may have a block of that number.
                    next = lost.number + 1;
                    device.give_up(lost.keys).await;
                }
                progress.waiting(failure.to_string());
                rest(&end.blocks, back_off.after_failure()).await;
            }
        }
    }
}

/// Chooses keys, unless some are `waiting`, and has both ends get them.
async fn produce<D: Device>(
    device: &mut D,
    end: &LinkEnd,
    stream: StreamId,
    next: u64,
    waiting: &mut Option<Chosen<D::Keys>>,
) -> Result<(u64, Zeroizing<Vec<u8>>), Failure> {
    if waiting.is_none() {
        let keys = device.choose().await?;
        *waiting = Some(Chosen { number: next, keys, is_there: false, since: Instant::now() });
    }
    let chosen = waiting.as_mut().expect("it was chosen above");
    if !chosen.is_there {
        let fetch = Fetch { stream, number: chosen.number, keys: &chosen.keys };
        match talk::ask(&*end.peer, &fetch, PEER_PATIENCE).await? {
            Fetched::Done => chosen.is_there = true,
            Fetched::NoRoom => return Err(Failure::NoRoom),
            Fetched::NotYet(why) => return Err(Failure::NotThere(why)),
        }
    }
    Ok((chosen.number, device.chosen(&chosen.keys).await?))
}

async fn follow<D: Device>(mut device: D, mut end: LinkEnd) {
    let progress = Progress::new(&end, D::KIND);
    let mut last = None;
    loop {
        let question = tokio::select! {
            question = timeout(LONGEST_SILENCE, end.questions.recv()) => question,
            () = end.blocks.closed() => return,
        };
        match question {
            Ok(Some(question)) => {
                let Some(fetch) = talk::asked(&question) else { continue };
                let fetched = fetched(&mut device, &end, &mut last, fetch).await;
                match &fetched {
                    Fetched::Done => progress.producing(),
                    Fetched::NoRoom => progress.waiting("there is no room for more key material"),
                    Fetched::NotYet(why) => progress.waiting(format!("the device of this end: {why}")),
                }
                talk::answer(question, &fetched);
            }
            Ok(None) => return,
            Err(_) => progress.waiting("the other end names no keys: it has no room, or gets none, or is not there"),
        }
    }
}

async fn fetched<D: Device>(
    device: &mut D,
    end: &LinkEnd,
    last: &mut Option<(StreamId, u64)>,
    fetch: Fetch<D::Keys>,
) -> Fetched {
    let Fetch { stream, number, keys } = fetch;
    if *last == Some((stream, number)) {
        // The answer was lost.
        return Fetched::Done;
    }
    let Ok(room) = end.blocks.try_reserve() else { return Fetched::NoRoom };
    match device.fetch(&keys).await {
        Ok(bytes) => {
            room.send(Block { stream, number, bytes, origin: Origin::Qkd, kept: None });
            *last = Some((stream, number));
            Fetched::Done
        }
        Err(DeviceError(why)) => Fetched::NotYet(why),
    }
}

impl DeviceAddress {
    /// The TLS side of a connection to the device, with the files as they are now.
    pub(super) fn tls(&self) -> Result<ClientTls, TlsError> {
        let Credentials { certificate, key, ca } = self.credentials.clone();
        ClientTls::load(ClientTlsFiles { ca, identity: Some((certificate, key)), expected: self.device.clone() })
    }
}

impl From<TlsError> for DeviceError {
    fn from(error: TlsError) -> Self {
        Self(error.to_string())
    }
}

/// How long a device may take to answer.
pub(super) const DEVICE_PATIENCE: Duration = Duration::from_secs(10);
/// The most that keys of one block may be together.
pub(super) const MOST_BLOCK_BYTES: usize = 4 * 1024 * 1024;
/// The other end has to ask its device meanwhile, which may take two requests.
const PEER_PATIENCE: Duration = Duration::from_secs(25);
/// How long both ends may take to get keys. Devices give up theirs, too, if nobody fetches them.
const LONGEST_TRY: Duration = Duration::from_secs(60);
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
