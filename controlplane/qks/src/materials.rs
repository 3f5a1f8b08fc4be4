//! The bytes behind pieces: sealed in the database, opened here, and held for a while because the next key is usually beside them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::key_id::AssignmentId;
use crate::secrets::{Keyring, SecretsError};
use crate::stock::{BlockName, Check, Piece};
use crate::store::{KeyRows, Material, Store, StoreError};

/// Opens key material.
#[derive(Clone)]
pub struct Materials(Arc<Shared>);

struct Shared {
    store: Store,
    keyring: Arc<dyn Keyring>,
    open: Mutex<Open>,
}

/// Blocks that are open, and in which order they were opened.
#[derive(Default)]
struct Open {
    blocks: BTreeMap<BlockName, Arc<Zeroizing<Vec<u8>>>>,
    order: VecDeque<BlockName>,
    bytes: usize,
}

/// Why there are no bytes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MaterialError {
    /// The database does not give them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They cannot be opened.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// They are gone.
    #[error("the key material is not there any more")]
    Gone,
}

impl Materials {
    /// Opens what is in `store` with `keyring`.
    pub fn new(store: Store, keyring: Arc<dyn Keyring>) -> Self {
        Self(Arc::new(Shared { store, keyring, open: Mutex::default() }))
    }

    /// The keys of these rows, in their order.
    ///
    /// # Errors
    /// [`MaterialError`].
    pub async fn keys(&self, rows: &KeyRows) -> Result<Vec<Zeroizing<Vec<u8>>>, MaterialError> {
        let mut opened = Vec::with_capacity(rows.rows.len());
        for row in &rows.rows {
            opened.push(self.open(row.id, &row.material).await?);
        }
        let keys = rows.keys.iter().map(|(place, index)| {
            let length = rows.rows[*place].material.key_bytes as usize;
            let from = usize::from(*index) * length;
            let key = opened[*place].get(from..from + length).ok_or(MaterialError::Gone)?;
            Ok(Zeroizing::new(key.to_vec()))
        });
        keys.collect()
    }

    /// All bytes of an assignment.
    ///
    /// # Errors
    /// [`MaterialError`].
    pub async fn open(&self, id: AssignmentId, material: &Material) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
        match &material.sealed {
            Some(sealed) => Ok(self.0.keyring.open(&assignment_context(id), sealed).await?),
            None => self.pieces(&material.pieces).await,
        }
    }

    /// The bytes of pieces, one after the other.
    ///
    /// # Errors
    /// [`MaterialError`].
    pub async fn pieces(&self, pieces: &[Piece]) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
        let length = pieces.iter().map(|piece| piece.length as usize).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        for piece in pieces {
            let block = self.block(piece.block).await?;
            let from = piece.offset as usize;
            bytes.extend_from_slice(block.get(from..from + piece.length as usize).ok_or(MaterialError::Gone)?);
        }
        Ok(bytes)
    }

    /// Seals the bytes of an assignment, for [`Material::sealed`].
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn seal_assignment(&self, id: AssignmentId, bytes: &[u8]) -> Result<Vec<u8>, SecretsError> {
        self.0.keyring.seal(&assignment_context(id), bytes).await
    }

    /// Seals the bytes of a block.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn seal_block(&self, name: BlockName, bytes: &[u8]) -> Result<Vec<u8>, SecretsError> {
        self.0.keyring.seal(&block_context(name), bytes).await
    }

    async fn block(&self, name: BlockName) -> Result<Arc<Zeroizing<Vec<u8>>>, MaterialError> {
        if let Some(block) = self.lock().blocks.get(&name) {
            return Ok(Arc::clone(block));
        }
        let sealed = self.0.store.block_bytes(name).await?.ok_or(MaterialError::Gone)?;
        let bytes = Arc::new(self.0.keyring.open(&block_context(name), &sealed).await?);
        self.lock().insert(name, Arc::clone(&bytes));
        Ok(bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn insert(&mut self, name: BlockName, bytes: Arc<Zeroizing<Vec<u8>>>) {
        self.bytes += bytes.len();
        if self.blocks.insert(name, bytes).is_none() {
            self.order.push_back(name);
        }
        while self.bytes > MOST_OPEN_BYTES && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            let closed = self.blocks.remove(&oldest).map_or(0, |bytes| bytes.len());
            self.bytes = self.bytes.saturating_sub(closed);
        }
    }
}

impl fmt::Debug for Materials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Materials(..)")
    }
}

/// The check of a block: a keyed hash whose key is the bytes.
pub fn check(name: BlockName, bytes: &[u8]) -> Check {
    let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
    let tag = hmac::sign(&key, &block_context(name));
    Check(tag.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes"))
}

fn block_context(name: BlockName) -> Vec<u8> {
    [b"block".as_slice(), name.stream.0.as_bytes(), &name.number.to_be_bytes()].concat()
}

fn assignment_context(id: AssignmentId) -> Vec<u8> {
    [b"assignment".as_slice(), id.as_bytes()].concat()
}

/// Of blocks that are held open.
const MOST_OPEN_BYTES: usize = 32 * 1024 * 1024;
