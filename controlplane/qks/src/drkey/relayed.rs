//! Keys of servers to which no link leads: questions and answers travel as letters over trusted relays, encrypted anew on every hop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use photongate_crypto::Key;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::exchange::EpochSeconds;
use super::{DrkeyError, DrkeyService, Level1Key, Level1Question, Level1Request};
use crate::ids::QksId;
use crate::peer::{Letter, Relay};
use crate::relay::payload::{pack, unpack};

/// What is asked over relays, until it is answered.
#[derive(Debug)]
pub(super) struct Relayed {
    relay: Relay,
    open: Mutex<HashMap<Uuid, Asked>>,
}

/// A question that was sent.
#[derive(Debug)]
struct Asked {
    server: QksId,
    answer: oneshot::Sender<Result<Level1Key, String>>,
    request: Level1Request,
}

/// What a letter says. The key follows an answer's head.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Head {
    Question { id: Uuid, question: Level1Question },
    Answer { id: Uuid, question: Level1Question, epoch: EpochSeconds },
    Refusal { id: Uuid, why: String },
}

impl Relayed {
    pub(super) fn new(relay: Relay) -> Self {
        Self { relay, open: Mutex::default() }
    }

    /// Asks the server of the fast side.
    pub(super) async fn ask(&self, server: &QksId, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        let id = Uuid::new_v4();
        let (answer, answered) = oneshot::channel();
        self.open(|open| open.insert(id, Asked { server: server.clone(), answer, request }));
        // Whoever asks may go away before there is an answer.
        let _closes = Closes { relayed: self, id };
        let head = Head::Question { id, question: request.into() };
        let outcome = timeout(PATIENCE, async {
            let sent = self.relay.send_letter(server, &pack(&head, &[])).await;
            sent.map_err(|error| error.to_string())?;
            answered.await.unwrap_or_else(|_| Err("it is asked no more".to_owned()))
        });
        let outcome = outcome.await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
        outcome.map_err(|why| DrkeyError::Unavailable(format!("the key server {server}, asked over relays: {why}")))
    }

    /// Sends what [`ask`](Self::ask) waits for at the other end.
    async fn tell(&self, server: &QksId, id: Uuid, question: Level1Question, made: Result<Level1Key, DrkeyError>) {
        let payload = match &made {
            Ok(Level1Key { key, epoch }) => {
                pack(&Head::Answer { id, question, epoch: (*epoch).into() }, key.as_bytes())
            }
            Err(error) => pack(&Head::Refusal { id, why: error.to_string() }, &[]),
        };
        if let Err(error) = self.relay.send_letter(server, &payload).await {
            tracing::warn!(%server, %error, "a DRKey does not reach who asked for it");
        }
    }

    /// An answer came. One that nobody waits for, or that is not from who was asked, is passed over.
    fn hear(&self, from: &QksId, id: Uuid, outcome: impl FnOnce(&Level1Request) -> Result<Level1Key, String>) {
        let asked = self.open(|open| match open.get(&id) {
            Some(asked) if asked.server == *from => open.remove(&id),
            _ => None,
        });
        match asked {
            // Who asked may have gone.
            Some(Asked { answer, request, .. }) => drop(answer.send(outcome(&request))),
            None => tracing::debug!(server = %from, "an answer about a DRKey that was not asked for, or too late"),
        }
    }

    fn open<T>(&self, act: impl FnOnce(&mut HashMap<Uuid, Asked>) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Forgets a question.
struct Closes<'r> {
    relayed: &'r Relayed,
    id: Uuid,
}

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.relayed.open(|open| open.remove(&self.id));
    }
}

impl DrkeyService {
    /// Reads the letters of other servers, and answers them, until there are no more.
    pub async fn read(self: Arc<Self>, mut letters: mpsc::Receiver<Letter>) {
        let places = Arc::new(Semaphore::new(MOST_ANSWERS));
        while let Some(Letter { from, payload }) = letters.recv().await {
            match unpack::<Head>(&payload) {
                Some((Head::Question { id, question }, [])) => {
                    let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                    let this = Arc::clone(&self);
                    tokio::spawn(async move {
                        let made = this.make_for(&from, question.request()).await;
                        this.relayed.tell(&from, id, question, made).await;
                        drop(place);
                    });
                }
                Some((Head::Answer { id, question, epoch }, key)) => {
                    self.relayed.hear(&from, id, |request| answer(request, &question, epoch, key));
                }
                Some((Head::Refusal { id, why }, [])) => self.relayed.hear(&from, id, |_| Err(why)),
                Some(_) | None => tracing::warn!(server = %from, "a relayed letter that cannot be read"),
            }
        }
    }
}

/// The key of an answer, if it is the one that was asked for.
fn answer(
    request: &Level1Request,
    question: &Level1Question,
    epoch: EpochSeconds,
    key: &[u8],
) -> Result<Level1Key, String> {
    if question.request() != *request {
        return Err("it answers for another key".to_owned());
    }
    let epoch = epoch.answers(request).ok_or("it answers with an epoch that does not fit")?;
    let key = key.try_into().map_err(|_| "it answers with a key of another length".to_owned())?;
    Ok(Level1Key { key: Key::from_bytes(key), epoch })
}

/// How long an answer may take, on all its hops. A filter waits longer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Questions that are answered at a time.
const MOST_ANSWERS: usize = 64;

#[cfg(test)]
mod tests {
    use photongate_drkey::{AsPair, Epoch, Protocol};
    use photongate_wire::{IsdAs, UnixNanos};

    use super::*;

    fn request(slow: u64) -> Level1Request {
        let pair = AsPair { fast: IsdAs::from_bits(1), slow: IsdAs::from_bits(slow) };
        Level1Request { pair, protocol: Protocol::GENERIC, at: UnixNanos(500_000_000_000) }
    }

    fn epoch(start: u64, end: u64) -> Epoch {
        Epoch { start: UnixNanos(start * 1_000_000_000), end: UnixNanos(end * 1_000_000_000) }
    }

    #[test]
    fn an_answer_is_taken_that_is_about_the_key_in_question() {
        let key = answer(&request(2), &request(2).into(), epoch(360, 720).into(), &[9; 16]).unwrap();
        assert_eq!((key.key.as_bytes(), key.epoch), (&[9; 16], epoch(360, 720)));
    }

    #[test]
    fn an_answer_about_another_key_epoch_or_without_a_whole_key_is_refused() {
        for (about, during, key) in [
            (request(3), epoch(360, 720), [9; 16].as_slice()),
            (request(2), epoch(720, 1_080), &[9; 16]),
            (request(2), epoch(360, 720), &[9; 15]),
        ] {
            assert!(answer(&request(2), &about.into(), during.into(), key).is_err(), "{about:?} {during}");
        }
    }
}
