//! Keys made of secrets that the operators of both ASes were given by hand, as LightningFilter makes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use photongate_crypto::Key;
use photongate_drkey::{AllZeroSecret, AsPair, KeyTimes, RotationError, Terms, calendar, shared_secret_key};
use photongate_net::secret_file;
use photongate_wire::{IsdAs, UnixNanos};
use tokio::sync::Semaphore;

use super::{Direction, FetchError, FetchedKey, KeyRequest, KeySource};

/// One secret shared with a peer.
#[derive(Debug)]
pub struct Secret {
    /// What it is, or where it is.
    pub material: SecretMaterial,
    /// The first instant at which it may be used. Epochs are counted from there.
    pub not_before: UnixNanos,
}

/// The secret itself, or where it is. Prints without the secret.
#[derive(Debug)]
pub enum SecretMaterial {
    /// The secret.
    Inline(Key),
    /// The file that holds it. Read anew for every key, so that it may lie on removable or remote storage.
    File(PathBuf),
}

/// Makes the keys of one peer from the secrets shared with it. Which secret makes the key of an instant: see [`Terms`].
#[derive(Debug)]
pub struct SharedSecretSource {
    local: IsdAs,
    peer: IsdAs,
    terms: Terms,
    secrets: Arc<[Secret]>,
}

impl SharedSecretSource {
    /// The keys between `local` and `peer`, of epochs as long as `times` says. Of secrets that come into use together the last
    /// is used. No file is read.
    ///
    /// # Errors
    /// [`RotationError`] if the secrets follow one another so closely that more than two keys would be needed at once.
    pub fn new(local: IsdAs, peer: IsdAs, times: KeyTimes, secrets: Arc<[Secret]>) -> Result<Self, RotationError> {
        let terms = Terms::new(secrets.iter().map(|secret| secret.not_before), times)?;
        Ok(Self { local, peer, terms, secrets })
    }

    async fn fetch_key(&self, request: KeyRequest) -> Result<FetchedKey, FetchError> {
        let Some(term) = self.terms.at(request.at) else { return Err(self.nothing_yet(request.at)) };
        let pair = match request.direction {
            Direction::Inbound => AsPair { fast: self.local, slow: self.peer },
            Direction::Outbound => AsPair { fast: self.peer, slow: self.local },
        };
        let secret = self.secrets.iter().rfind(|secret| secret.not_before == term.not_before);
        let key = match &secret.expect("terms are those of the secrets").material {
            SecretMaterial::Inline(secret) => shared_secret_key(secret, pair, term.epoch),
            SecretMaterial::File(path) => shared_secret_key(&read(path).await?, pair, term.epoch),
        };
        Ok(FetchedKey { key, epoch: term.epoch, successor_from: self.terms.early_successor(term) })
    }

    fn nothing_yet(&self, at: UnixNanos) -> FetchError {
        let until = self.terms.first().filter(|first| at < *first);
        let reason = until.map_or_else(
            || "no secret is shared with this peer".to_owned(),
            |first| format!("the first secret shared with this peer comes into use at {}", calendar(first)),
        );
        FetchError::NoKey { reason, until }
    }
}

impl KeySource for SharedSecretSource {
    fn kind(&self) -> &'static str {
        "shared_secret"
    }

    fn fetch(&self, request: KeyRequest) -> Pin<Box<dyn Future<Output = Result<FetchedKey, FetchError>> + Send + '_>> {
        Box::pin(self.fetch_key(request))
    }
}

/// Reads a secret from its file, which may take long where the file is remote, or never end.
async fn read(path: &Path) -> Result<Key, FetchError> {
    let unavailable = |why: String| FetchError::Unavailable(format!("the file {} {why}", path.display()));
    let unanswered = || unavailable("does not answer: an earlier attempt to read it has not ended".to_owned());
    let reader = READERS.acquire().await.expect("it is never closed");
    let reading = Reading::begin(path).ok_or_else(unanswered)?;
    let read = tokio::task::spawn_blocking(move || {
        let _reader = reader;
        secret_file::read_key(&reading.path)
    });
    match read.await {
        Ok(Ok(key)) if key.is_zero() => Err(unavailable(format!("holds no secret: {AllZeroSecret}"))),
        Ok(Ok(key)) => Ok(key),
        Ok(Err(error)) => Err(unavailable(error.to_string())),
        Err(stopped) => Err(unavailable(format!("was not read: {stopped}"))),
    }
}

/// A file that is being read. A thread that hangs in the operating system cannot be stopped, so no more of them are sent after it.
struct Reading {
    path: PathBuf,
    since: Instant,
}

impl Reading {
    /// `None` if somebody has been reading the file for longer than any fetch may take.
    fn begin(path: &Path) -> Option<Self> {
        let mut files = Self::files();
        let readers = files.entry(path.to_owned()).or_default();
        if readers.iter().any(|since| since.elapsed() > LONGEST_READ) {
            return None;
        }
        let since = Instant::now();
        readers.push(since);
        Some(Self { path: path.to_owned(), since })
    }

    /// The files that are being read, and since when: by each reader.
    fn files() -> MutexGuard<'static, BTreeMap<PathBuf, Vec<Instant>>> {
        static FILES: Mutex<BTreeMap<PathBuf, Vec<Instant>>> = Mutex::new(BTreeMap::new());
        FILES.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut files = Self::files();
        if let Some(readers) = files.get_mut(&self.path) {
            if let Some(ours) = readers.iter().position(|since| *since == self.since) {
                readers.swap_remove(ours);
            }
            if readers.is_empty() {
                files.remove(&self.path);
            }
        }
    }
}

/// How many files are read at a time: fewer than the runtime has threads for work that blocks, which others need too.
static READERS: Semaphore = Semaphore::const_new(128);

/// As long as a fetch may take at most.
const LONGEST_READ: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
