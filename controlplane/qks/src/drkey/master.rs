//! Master secrets: what all DRKeys of an AS follow from. Each is made once, and lies sealed in the database.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use photongate_crypto::{Key, Schedule};
use photongate_drkey::{Epoch, EpochNotInSeconds, Protocol, level1_input, secret_value};
use photongate_wire::IsdAs;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::secrets::{Keyring, SecretsError};
use crate::store::{Store, StoreError};

/// The master secret of one AS. Read, or made, when it is first needed: what seals it may not be there at the start.
///
/// Each AS has its own, because a secret value does not depend on whose it is: two ASes with the same one would have the same keys.
pub(super) struct Master {
    isd_as: IsdAs,
    store: Store,
    keyring: Arc<dyn Keyring>,
    secret: OnceCell<Secret>,
    /// Secret values derived last, since deriving one is slow by design.
    values: Mutex<VecDeque<(Protocol, Epoch, Arc<Schedule>)>>,
}

/// The secret itself.
struct Secret(Zeroizing<Vec<u8>>);

/// Why nothing is derived.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum MasterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("there is no randomness: {0}")]
    Random(getrandom::Error),
    #[error("the master secret of {0} in the database cannot be read")]
    Unreadable(IsdAs),
    #[error(transparent)]
    Epoch(#[from] EpochNotInSeconds),
}

impl Master {
    /// The master secret of an AS, wherever it is.
    pub(super) fn new(isd_as: IsdAs, store: Store, keyring: Arc<dyn Keyring>) -> Self {
        Self { isd_as, store, keyring, secret: OnceCell::new(), values: Mutex::default() }
    }

    /// The key of level 1 that this AS, the fast side, has with `slow`.
    pub(super) async fn level1(&self, slow: IsdAs, protocol: Protocol, epoch: Epoch) -> Result<Key, MasterError> {
        let secret = self.secret.get_or_try_init(|| self.load()).await?;
        Ok(self.value(secret, protocol, epoch)?.derive(&level1_input(slow)))
    }

    fn value(&self, secret: &Secret, protocol: Protocol, epoch: Epoch) -> Result<Arc<Schedule>, MasterError> {
        let lock = || self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock()
            .iter()
            .find(|(of, during, _)| (*of, *during) == (protocol, epoch))
            .map(|(.., value)| Arc::clone(value));
        if let Some(known) = known {
            return Ok(known);
        }
        let value = Arc::new(Schedule::new(&secret_value(&secret.0, protocol, epoch)?));
        let mut values = lock();
        values.push_back((protocol, epoch, Arc::clone(&value)));
        if values.len() > MOST_VALUES {
            values.pop_front();
        }
        Ok(value)
    }

    /// The secret that is in the database. The first process of a site that asks for it makes it.
    async fn load(&self) -> Result<Secret, MasterError> {
        let name = format!("drkey {}", self.isd_as);
        loop {
            if let Some(sealed) = self.store.entry(KIND, &name).await? {
                let sealed = BASE64_STANDARD.decode(sealed).map_err(|_| MasterError::Unreadable(self.isd_as))?;
                let secret = self.keyring.open(&self.context(), &sealed).await?;
                return if secret.len() == LENGTH {
                    Ok(Secret(secret))
                } else {
                    Err(MasterError::Unreadable(self.isd_as))
                };
            }
            let mut secret = Zeroizing::new(vec![0; LENGTH]);
            getrandom::fill(&mut secret).map_err(MasterError::Random)?;
            let sealed = BASE64_STANDARD.encode(self.keyring.seal(&self.context(), &secret).await?);
            // Otherwise another process was faster, and its secret is the one.
            if self.store.add_entry(KIND, &name, &sealed).await? {
                tracing::info!(isd_as = %self.isd_as, "a master secret for DRKeys was made");
                return Ok(Secret(secret));
            }
        }
    }

    fn context(&self) -> Vec<u8> {
        [b"drkey master".as_slice(), &self.isd_as.to_be_bytes()].concat()
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Master({})", self.isd_as)
    }
}

/// In the database.
const KIND: &str = "secret";

/// Of a master secret, in bytes.
const LENGTH: usize = 32;

/// The current epoch and its neighbours, for each protocol.
const MOST_VALUES: usize = 8;

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use photongate_wire::UnixNanos;
    use tempfile::TempDir;

    use super::*;
    use crate::secrets::keyring_of;
    use crate::store::Database;

    const A: &str = "1-ff00:0:111";
    const B: &str = "1-ff00:0:112";

    async fn master(folder: &TempDir, isd_as: &str) -> Master {
        let store = Store::open(&Database::Sqlite(folder.path().join("qks.db"))).await.unwrap();
        let keyring = keyring_of(Arc::new(store.clone()));
        Master::new(isd_as.parse().unwrap(), store, keyring)
    }

    fn first_second() -> Epoch {
        Epoch { start: UnixNanos(0), end: UnixNanos(1_000_000_000) }
    }

    /// scionproto, `pkg/drkey`: `TestDeriveSV`, `TestDeriveLevel1`, and the level 1 keys of the generic and the specific test.
    #[tokio::test]
    async fn level_1_keys_are_those_of_scion() {
        let folder = tempfile::tempdir().unwrap();
        let sixteen = hex!("00010203040506070001020304050607").as_slice();
        let nine = hex!("000102030405060711").as_slice();
        for (secret, protocol, expected) in [
            (sixteen, Protocol::SCMP, hex!("a823f5b956de7c0cbc5a6942f5b6fc10")),
            (nine, Protocol::GENERIC, hex!("e4b9cc45c2255eca35d05284fd1f3f0f")),
            (nine, Protocol::SCMP, hex!("59ba6ccbd679e3aa13bd2340475a6a98")),
        ] {
            let master = master(&folder, A).await;
            drop(master.secret.set(Secret(Zeroizing::new(secret.to_vec()))));
            for _ in 0..2 {
                let key = master.level1(B.parse().unwrap(), protocol, first_second()).await.unwrap();
                assert_eq!(key.as_bytes(), &expected);
            }
        }
    }

    #[tokio::test]
    async fn a_secret_is_made_once_and_shared_by_all_processes_of_a_site() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other, later) = (master(&folder, A).await, master(&folder, A).await, master(&folder, A).await);
        let of = |master: Master| async move {
            *master.level1(B.parse().unwrap(), Protocol::GENERIC, first_second()).await.unwrap().as_bytes()
        };
        let (one, other) = tokio::join!(of(one), of(other));
        assert_eq!(one, other);
        assert_eq!(one, of(later).await);
    }

    #[tokio::test]
    async fn two_ases_of_a_server_have_different_keys_with_a_third() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Vec::new();
        for isd_as in [A, "1-ff00:0:113"] {
            let key = master(&folder, isd_as).await.level1(B.parse().unwrap(), Protocol::GENERIC, first_second()).await;
            keys.push(*key.unwrap().as_bytes());
        }
        assert_ne!(keys[0], keys[1]);
    }
}
