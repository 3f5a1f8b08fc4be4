//! Envelope encryption: material is sealed with data keys, which lie beside it, wrapped by a guard.
//!
//! A process makes a data key of its own when it first seals something, so that it knows how much was sealed with it, and another one
//! when that has become much. Keys once unwrapped stay in memory: what they have sealed can be opened, and more be sealed, while the
//! guard cannot be reached.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::data_key::{DataKey, KeyBytes, number_of};
use super::guard::Guard;
use super::{Keyring, Sealing, SecretsError, WrappedKeys};

/// A [`Keyring`] over a guard and a store of wrapped keys, which several processes may share. Clones share the keys in memory.
#[derive(Clone, Debug)]
pub struct Envelope(Arc<Inner>);

/// How much is sealed with one data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After so many texts a new key is made in the background.
    pub seals: u64,
    /// Or after so many bytes.
    pub bytes: u64,
    /// While none can be made, the old one goes on up to so many texts, and no further. The nonces are random: with 2³² of them under
    /// one key, the chance that two are alike reaches 2⁻³² (NIST SP 800-38D, section 8.3).
    pub most_seals: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { seals: 1 << 24, bytes: 1 << 36, most_seals: 1 << 31 }
    }
}

/// A store in which wrapped keys can be exchanged, too.
pub trait RewrapKeys: WrappedKeys {
    /// Puts `new` in the place of `old`. Returns `false`, and changes nothing, if `old` is not what is there.
    fn replace<'k>(&'k self, number: u32, old: &'k [u8], new: &'k [u8]) -> Sealing<'k, bool>;
}

impl Envelope {
    pub(crate) fn new(guard: impl Guard + 'static, storage: Arc<dyn WrappedKeys>, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            guard: Box::new(guard),
            storage,
            limits,
            sealing: ArcSwapOption::empty(),
            making: tokio::sync::Mutex::new(()),
            renewing: AtomicBool::new(false),
            known: Mutex::default(),
        }))
    }

    /// Whether the guard belongs to the keys in the store: opens the latest one, if there is any.
    ///
    /// # Errors
    /// [`SecretsError::Broken`] if it does not; [`SecretsError::Unavailable`] if that cannot be said.
    pub async fn verify(&self) -> Result<(), SecretsError> {
        match self.0.storage.latest().await? {
            Some(number) => self.0.known(number).await.map(drop),
            None => Ok(()),
        }
    }

    /// Wraps all keys in `storage` anew, with the master key, or the version of it, that is in force now. Afterwards the former one can be
    /// let go. Returns how many there were.
    ///
    /// # Errors
    /// As for opening. Those that come before the one that failed have been exchanged; it can be begun again.
    pub async fn rewrap(&self, storage: &dyn RewrapKeys) -> Result<u32, SecretsError> {
        let mut count = 0;
        for number in FIRST..=storage.latest().await?.unwrap_or_default() {
            let Some(old) = storage.load(number).await?.map(Zeroizing::new) else { continue };
            let bytes = self.0.guard.unwrap(number, &old).await?;
            let new = Zeroizing::new(self.0.guard.wrap(number, &bytes).await?);
            if !storage.replace(number, &old, &new).await? {
                return Err(SecretsError::Unavailable(format!("data key {number} was exchanged by somebody else")));
            }
            count += 1;
        }
        Ok(count)
    }
}

impl Keyring for Envelope {
    fn seal<'k>(&'k self, context: &'k [u8], plain: &'k [u8]) -> Sealing<'k, Vec<u8>> {
        Box::pin(async move { self.sealing(plain.len()).await?.key.seal(context, plain) })
    }

    fn open<'k>(&'k self, context: &'k [u8], sealed: &'k [u8]) -> Sealing<'k, Zeroizing<Vec<u8>>> {
        Box::pin(async move { self.0.known(number_of(sealed)?).await?.open(context, sealed) })
    }
}

impl Envelope {
    /// The key to seal so many bytes with.
    async fn sealing(&self, bytes: usize) -> Result<Arc<InUse>, SecretsError> {
        if let Some(key) = self.0.sealing.load_full() {
            match key.take(bytes, self.0.limits) {
                Wear::Fresh => return Ok(key),
                Wear::Worn => {
                    self.renew_in_background(key.key.clone());
                    return Ok(key);
                }
                Wear::Spent => {}
            }
        }
        let _making = self.0.making.lock().await;
        // Somebody else may have made one meanwhile.
        if let Some(key) = self.0.sealing.load_full()
            && !matches!(key.take(bytes, self.0.limits), Wear::Spent)
        {
            return Ok(key);
        }
        let key = self.0.make().await?;
        key.take(bytes, self.0.limits);
        Ok(key)
    }

    /// Makes another key in the place of `worn`, unless that is being done already.
    fn renew_in_background(&self, worn: Arc<DataKey>) {
        if self.0.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let making = inner.making.lock().await;
            let is_worn = inner.sealing.load().as_ref().is_some_and(|key| Arc::ptr_eq(&key.key, &worn));
            let outcome = if is_worn { inner.make().await.map(drop) } else { Ok(()) };
            drop(making);
            if let Err(error) = outcome {
                tracing::warn!("no new data key can be made, so the old one goes on: {error}");
                tokio::time::sleep(BETWEEN_RENEWALS).await;
            }
            inner.renewing.store(false, Ordering::Release);
        });
    }
}

struct Inner {
    guard: Box<dyn Guard>,
    storage: Arc<dyn WrappedKeys>,
    limits: Limits,
    /// The key that this process seals with.
    sealing: ArcSwapOption<InUse>,
    /// Held while a key is made.
    making: tokio::sync::Mutex<()>,
    /// Whether one is being made in the background.
    renewing: AtomicBool,
    /// Keys by number, as far as they were asked for. At most [`MOST_KNOWN`].
    known: Mutex<BTreeMap<u32, Arc<OnceCell<Arc<DataKey>>>>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, keys in {:?}", self.guard, self.storage)
    }
}

impl Inner {
    /// Makes a key, keeps it, and seals with it from now on.
    async fn make(&self) -> Result<Arc<InUse>, SecretsError> {
        let mut bytes = KeyBytes::default();
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| SecretsError::Unavailable(error.to_string()))?;
        for _ in 0..MOST_RACES {
            let number = match self.storage.latest().await? {
                Some(latest) => latest.checked_add(1).ok_or(SecretsError::Broken)?,
                None => FIRST,
            };
            // A store that guards by itself gets the key as it is.
            let wrapped = Zeroizing::new(self.guard.wrap(number, &bytes).await?);
            if self.storage.add(number, &wrapped).await? {
                let key = Arc::new(DataKey::new(number, &bytes));
                self.cell(number).set(Arc::clone(&key)).ok();
                let in_use = Arc::new(InUse { key, seals: AtomicU64::new(0), bytes: AtomicU64::new(0) });
                self.sealing.store(Some(Arc::clone(&in_use)));
                tracing::info!(number, "a new data key seals what is stored");
                return Ok(in_use);
            }
        }
        Err(SecretsError::Unavailable("others were always faster with a new data key".to_owned()))
    }

    /// The key of that number.
    async fn known(&self, number: u32) -> Result<Arc<DataKey>, SecretsError> {
        let cell = self.cell(number);
        // Whoever else wants it meanwhile waits for the one attempt.
        let key = cell.get_or_try_init(|| async {
            let wrapped = self.storage.load(number).await?.map(Zeroizing::new).ok_or(SecretsError::Broken)?;
            let bytes = self.guard.unwrap(number, &wrapped).await?;
            Ok(Arc::new(DataKey::new(number, &bytes)))
        });
        key.await.cloned()
    }

    fn cell(&self, number: u32) -> Arc<OnceCell<Arc<DataKey>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN && !known.contains_key(&number) {
            known.pop_first();
        }
        Arc::clone(known.entry(number).or_default())
    }
}

/// The key that this process seals with, and how much it has.
#[derive(Debug)]
struct InUse {
    key: Arc<DataKey>,
    seals: AtomicU64,
    bytes: AtomicU64,
}

enum Wear {
    Fresh,
    Worn,
    Spent,
}

impl InUse {
    /// Notes one more text of so many bytes.
    fn take(&self, bytes: usize, limits: Limits) -> Wear {
        let seals = self.seals.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if seals >= limits.most_seals {
            Wear::Spent
        } else if seals >= limits.seals || bytes >= limits.bytes {
            Wear::Worn
        } else {
            Wear::Fresh
        }
    }
}

impl std::ops::Deref for InUse {
    type Target = DataKey;

    fn deref(&self) -> &DataKey {
        &self.key
    }
}

/// The number of the first data key.
const FIRST: u32 = 1;

/// As many processes as may begin at the same moment.
const MOST_RACES: u32 = 64;

/// A data key in memory takes about a kilobyte. The oldest goes first, and is unwrapped again when it is wanted.
const MOST_KNOWN: usize = 4_096;

const BETWEEN_RENEWALS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
