//! Keys that one process of this server fetches for the others.
//!
//! What neighbours announce, and what comes over relays, reaches the process that has the chair alone. The others leave their
//! questions in the database that all share, and find the answers there, sealed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use photongate_crypto::Key;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::exchange::EpochSeconds;
use super::{DrkeyError, DrkeyService, Level1Key, Level1Question, Level1Request};
use crate::encoding::Bytes64;
use crate::materials::MaterialError;
use crate::secrets::Keyring;
use crate::store::Store;

/// Questions and answers in the database.
#[derive(Debug)]
pub(super) struct Errands {
    store: Store,
    keyring: Arc<dyn Keyring>,
}

/// What became of a question.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answered {
    Key { epoch: EpochSeconds, sealed: Bytes64 },
    BadRequest(String),
    NotFound(String),
    Unavailable(String),
}

impl Errands {
    pub(super) fn new(store: Store, keyring: Arc<dyn Keyring>) -> Self {
        Self { store, keyring }
    }

    /// Has the process that has the chair fetch a key.
    pub(super) async fn send(&self, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        let id = Uuid::new_v4().to_string();
        let question = serde_json::to_string(&Level1Question::from(request)).expect("a question is text and numbers");
        self.store.put_entry(ASKED, &id, &question).await.map_err(MaterialError::from)?;
        let answered = timeout(PATIENCE, async {
            loop {
                sleep(LOOK).await;
                if let Some(answer) = self.store.entry(ANSWERED, &id).await.map_err(MaterialError::from)? {
                    return Ok::<_, DrkeyError>(answer);
                }
            }
        });
        let Ok(answered) = answered.await else {
            self.store.remove_entry(ASKED, &id).await.map_err(MaterialError::from)?;
            let why = "the process of this key server that fetches the keys of others does not do so in time";
            return Err(DrkeyError::Unavailable(why.to_owned()));
        };
        let answered = answered?;
        self.store.remove_entry(ANSWERED, &id).await.map_err(MaterialError::from)?;
        let unreadable = || DrkeyError::Unavailable("another process of this key server answers strangely".to_owned());
        match serde_json::from_str(&answered).map_err(|_| unreadable())? {
            Answered::Key { epoch, sealed } => {
                let epoch = epoch.answers(&request).ok_or_else(unreadable)?;
                let opened =
                    self.keyring.open(&context(&id, &question), &sealed.0).await.map_err(MaterialError::from)?;
                let bytes = <&[u8; Key::LEN]>::try_from(opened.as_slice()).map_err(|_| unreadable())?;
                Ok(Level1Key { key: Key::from_bytes(*bytes), epoch })
            }
            Answered::BadRequest(why) => Err(DrkeyError::BadRequest(why)),
            Answered::NotFound(why) => Err(DrkeyError::NotFound(why)),
            Answered::Unavailable(why) => Err(DrkeyError::Unavailable(why)),
        }
    }

    /// Takes the questions that wait. What is taken by one process is not there for another.
    async fn take(&self, most: usize) -> Result<Vec<(String, String)>, DrkeyError> {
        let mut taken = Vec::new();
        for (id, question) in self.store.entries(ASKED).await.map_err(MaterialError::from)?.into_iter().take(most) {
            if self.store.remove_entry(ASKED, &id).await.map_err(MaterialError::from)? {
                taken.push((id, question));
            }
        }
        Ok(taken)
    }

    async fn answer(&self, id: &str, question: &str, fetched: Result<Level1Key, DrkeyError>) -> Result<(), DrkeyError> {
        let answered = match fetched {
            Ok(Level1Key { key, epoch }) => {
                let sealed = self.keyring.seal(&context(id, question), key.as_bytes()).await;
                Answered::Key { epoch: epoch.into(), sealed: Bytes64(sealed.map_err(MaterialError::from)?) }
            }
            Err(DrkeyError::BadRequest(why)) => Answered::BadRequest(why),
            Err(DrkeyError::NotFound(why)) => Answered::NotFound(why),
            Err(error @ (DrkeyError::Unauthorized | DrkeyError::Unavailable(_))) => {
                Answered::Unavailable(error.to_string())
            }
        };
        let answered = serde_json::to_string(&answered).expect("an answer is text and numbers");
        Ok(self.store.put_entry(ANSWERED, id, &answered).await.map_err(MaterialError::from)?)
    }

    /// Forgets the answers that were there before, which nobody waits for any more. Returns those that are there now.
    async fn sweep(&self, before: &BTreeSet<String>) -> Result<BTreeSet<String>, DrkeyError> {
        let mut there = BTreeSet::new();
        for (id, _) in self.store.entries(ANSWERED).await.map_err(MaterialError::from)? {
            if before.contains(&id) {
                self.store.remove_entry(ANSWERED, &id).await.map_err(MaterialError::from)?;
            } else {
                there.insert(id);
            }
        }
        Ok(there)
    }
}

impl DrkeyService {
    /// Fetches keys for the other processes, for as long as this one has the chair.
    pub(super) async fn run_errands(self: Arc<Self>) {
        let mut running = JoinSet::new();
        let mut unwanted = BTreeSet::new();
        let mut swept = Instant::now();
        loop {
            sleep(LOOK).await;
            while running.try_join_next().is_some() {}
            let taken = self.errands.take(MOST - running.len()).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "the keys that other processes want are not known");
                Vec::new()
            });
            for (id, question) in taken {
                let this = Arc::clone(&self);
                running.spawn(async move {
                    let fetched = match serde_json::from_str::<Level1Question>(&question) {
                        Ok(asked) => this.level1(asked.request()).await,
                        Err(error) => Err(DrkeyError::BadRequest(error.to_string())),
                    };
                    if let Err(error) = this.errands.answer(&id, &question, fetched).await {
                        tracing::warn!(%error, "a key that another process wants does not reach it");
                    }
                });
            }
            if swept.elapsed() > UNWANTED {
                swept = Instant::now();
                unwanted = self.errands.sweep(&unwanted).await.unwrap_or_default();
            }
        }
    }
}

/// An answer is sealed for its question alone.
fn context(id: &str, question: &str) -> Vec<u8> {
    [b"drkey errand ".as_slice(), id.as_bytes(), b" ", question.as_bytes()].concat()
}

/// In the database, by their IDs.
const ASKED: &str = "drkey_asked";
const ANSWERED: &str = "drkey_answered";

/// How often either side looks.
const LOOK: Duration = Duration::from_millis(100);

/// Longer than the other process may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// Longer than anybody waits.
const UNWANTED: Duration = Duration::from_secs(30);

/// Questions that are under way at once.
const MOST: usize = 64;
