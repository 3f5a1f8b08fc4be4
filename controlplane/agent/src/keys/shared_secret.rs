//! Keys made of secrets that the operators of both ASes were given by hand, as LightningFilter makes them.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

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
    /// Every file that is being read has a copy.
    reading: Arc<()>,
}

impl SharedSecretSource {
    /// The keys between `local` and `peer`, of epochs as long as `times` says. Of secrets that come into use together the last
    /// is used. No file is read.
    ///
    /// # Errors
    /// [`RotationError`] if the secrets follow one another so closely that more than two keys would be needed at once.
    pub fn new(local: IsdAs, peer: IsdAs, times: KeyTimes, secrets: Arc<[Secret]>) -> Result<Self, RotationError> {
        let terms = Terms::new(secrets.iter().map(|secret| secret.not_before), times)?;
        Ok(Self { local, peer, terms, secrets, reading: Arc::new(()) })
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
            SecretMaterial::File(path) => shared_secret_key(&self.read(path).await?, pair, term.epoch),
        };
        Ok(FetchedKey { key, epoch: term.epoch, successor_from: self.terms.early_successor(term) })
    }

    /// Reads a secret from its file, which may take long where the file is remote, or never end.
    async fn read(&self, path: &Path) -> Result<Key, FetchError> {
        let shown = path.display();
        let unavailable = |why: String| FetchError::Unavailable(format!("the file {shown} {why}"));
        // A thread that hangs in the operating system cannot be stopped. A source has no more of them than directions.
        if Arc::strong_count(&self.reading) > Direction::BOTH.len() {
            return Err(unavailable("does not answer: reading it has not ended since an earlier attempt".to_owned()));
        }
        let reading = Arc::clone(&self.reading);
        let reader = READERS.acquire().await.expect("it is never closed");
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let _until_read = (reading, reader);
            secret_file::read_key(&path)
        });
        match read.await {
            Ok(Ok(key)) if key.is_zero() => Err(unavailable(format!("holds no secret: {AllZeroSecret}"))),
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Err(stopped) => Err(unavailable(format!("was not read: {stopped}"))),
        }
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

/// How many files are read at a time: fewer than the runtime has threads for work that blocks, which others need too.
static READERS: Semaphore = Semaphore::const_new(128);

#[cfg(test)]
mod tests;
