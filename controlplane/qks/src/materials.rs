//! The bytes behind pieces: sealed in the database, opened here, and held for a while because the next key is usually beside them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use tokio::sync::OnceCell;
use uuid::Uuid;
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

/// Blocks that are open or about to be, and in which order they were first asked for.
#[derive(Default)]
struct Open {
    /// Each with how many bytes it has, once that is known.
    blocks: BTreeMap<BlockName, (Arc<Block>, usize)>,
    order: VecDeque<BlockName>,
    /// Of all blocks.
    bytes: usize,
}

/// The bytes of a block, once they are open. One asks the database for them; whoever wants the same block meanwhile waits.
type Block = OnceCell<Zeroizing<Vec<u8>>>;

/// Keys in clear, in the order in which they were asked for.
pub struct OpenKeys<'r> {
    rows: &'r KeyRows,
    /// All bytes of each row.
    bytes: Vec<Zeroizing<Vec<u8>>>,
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
    pub async fn keys<'r>(&self, rows: &'r KeyRows) -> Result<OpenKeys<'r>, MaterialError> {
        let mut bytes = Vec::with_capacity(rows.rows.len());
        for row in &rows.rows {
            bytes.push(self.open(row.id, &row.material).await?);
        }
        let keys = OpenKeys { rows, bytes };
        if rows.keys.iter().all(|(place, index)| keys.key(*place, *index).is_some()) {
            return Ok(keys);
        }
        Err(MaterialError::Gone)
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
            let block = self.lock().slot(piece.block);
            let block = block.get_or_try_init(|| self.open_block(piece.block, &block)).await?;
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

    async fn open_block(&self, name: BlockName, slot: &Arc<Block>) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
        let sealed = self.0.store.block_bytes(name).await?.ok_or(MaterialError::Gone)?;
        let bytes = self.0.keyring.open(&block_context(name), &sealed).await?;
        self.lock().note(name, slot, bytes.len());
        Ok(bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenKeys<'_> {
    /// Each key, and what it is called.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &[u8])> + Clone {
        let named = |(place, index): &(usize, u16)| (self.rows.rows[*place].id.key(*index), self.key(*place, *index));
        self.rows.keys.iter().map(named).map(|(id, key)| (id, key.expect("all keys were found to be there")))
    }

    fn key(&self, place: usize, index: u16) -> Option<&[u8]> {
        let length = self.rows.rows.get(place)?.material.key_bytes as usize;
        let from = usize::from(index) * length;
        self.bytes[place].get(from..from + length)
    }
}

impl Open {
    /// The block's place, which is made for whoever asks first. What was asked for longest ago makes room.
    fn slot(&mut self, name: BlockName) -> Arc<Block> {
        if let Some((slot, _)) = self.blocks.get(&name) {
            return Arc::clone(slot);
        }
        while self.bytes > MOST_OPEN_BYTES || self.order.len() >= MOST_OPEN_BLOCKS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
        self.order.push_back(name);
        let (slot, _) = self.blocks.entry(name).or_default();
        Arc::clone(slot)
    }

    /// The block in this place has so many bytes. One that had to make room meanwhile goes with those who wait for it.
    fn note(&mut self, name: BlockName, slot: &Arc<Block>, bytes: usize) {
        if let Some((kept, noted)) = self.blocks.get_mut(&name)
            && Arc::ptr_eq(kept, slot)
        {
            self.bytes = self.bytes - *noted + bytes;
            *noted = bytes;
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

/// Of blocks that are held open, but for the one that was opened last.
const MOST_OPEN_BYTES: usize = 32 * 1024 * 1024;
const MOST_OPEN_BLOCKS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use photongate_net::now;
    use photongate_wire::Nanos;
    use tempfile::TempDir;

    use super::*;
    use crate::ids::StreamId;
    use crate::links::Origin;
    use crate::secrets::{Sealing, keyring_of};
    use crate::stock::BlockState;
    use crate::store::{Database, NewBlock};

    #[tokio::test]
    async fn a_block_is_opened_once_however_many_want_it_at_the_same_time() {
        let lab = Lab::new().await;
        let asking = (0..20).map(|place| {
            let materials = lab.materials.clone();
            tokio::spawn(async move { materials.pieces(&[Piece { block: name(0), offset: place, length: 4 }]).await })
        });
        for (place, asking) in asking.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(**asking.await.unwrap().unwrap(), lab.bytes[place..place + 4]);
        }
        assert_eq!(lab.keyring.opened.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_block_that_could_not_be_opened_is_tried_again() {
        let lab = Lab::new().await;
        let piece = [Piece { block: name(0), offset: 0, length: 64 }];
        lab.keyring.failures.store(1, Ordering::Relaxed);
        let failed = lab.materials.pieces(&piece).await;
        assert!(matches!(failed, Err(MaterialError::Secrets(SecretsError::Unavailable(_)))), "{failed:?}");
        assert_eq!(**lab.materials.pieces(&piece).await.unwrap(), lab.bytes);
    }

    #[test]
    fn blocks_that_were_asked_for_longest_ago_make_room() {
        let mut open = Open::default();
        let slots: Vec<_> = (0..3).map(|number| open.slot(name(number))).collect();
        for (number, slot) in (0..).zip(&slots) {
            // Twice, as if two had opened it one after the other.
            open.note(name(number), slot, MOST_OPEN_BYTES / 2);
            open.note(name(number), slot, MOST_OPEN_BYTES / 2);
        }
        open.slot(name(3));
        assert_eq!(open.blocks.keys().map(|name| name.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(open.bytes, MOST_OPEN_BYTES / 2 * 2);
        open.note(name(0), &slots[0], 100);
        assert_eq!(open.bytes, MOST_OPEN_BYTES / 2 * 2, "what has made room does not count");
        (4..MOST_OPEN_BLOCKS as u64 + 4).for_each(|number| drop(open.slot(name(number))));
        assert_eq!((open.blocks.len(), open.order.len(), open.bytes), (MOST_OPEN_BLOCKS, MOST_OPEN_BLOCKS, 0));
    }

    /// One block in a database, and a keyring that counts.
    struct Lab {
        materials: Materials,
        keyring: Arc<Counting>,
        bytes: Vec<u8>,
        _folder: TempDir,
    }

    #[derive(Debug)]
    struct Counting {
        keyring: Arc<dyn Keyring>,
        opened: AtomicUsize,
        /// How often it is not there yet.
        failures: AtomicUsize,
    }

    impl Lab {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&Database::Sqlite(folder.path().join("qks.db"))).await.unwrap();
            let keyring = keyring_of(Arc::new(store.clone()));
            let keyring = Arc::new(Counting { keyring, opened: AtomicUsize::new(0), failures: AtomicUsize::new(0) });
            let materials = Materials::new(store.clone(), Arc::clone(&keyring) as Arc<dyn Keyring>);
            let bytes: Vec<u8> = (0..64).collect();
            let state = BlockState {
                length: 64,
                used: 0,
                is_mine: true,
                origin: Origin::Qkd,
                made_at: now(),
                expires_at: now().saturating_add(Nanos::from_secs(60)),
                check: check(name(0), &bytes),
            };
            let sealed = materials.seal_block(name(0), &bytes).await.unwrap();
            let (neighbour, link) = ("b".parse().unwrap(), "ab".parse().unwrap());
            store.add_blocks(vec![NewBlock { name: name(0), state, neighbour, link, sealed }]).await.unwrap();
            Self { materials, keyring, bytes, _folder: folder }
        }
    }

    impl Keyring for Counting {
        fn seal<'k>(&'k self, context: &'k [u8], plain: &'k [u8]) -> Sealing<'k, Vec<u8>> {
            self.keyring.seal(context, plain)
        }

        fn open<'k>(&'k self, context: &'k [u8], sealed: &'k [u8]) -> Sealing<'k, Zeroizing<Vec<u8>>> {
            let fails = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            Box::pin(async move {
                if fails.is_ok() {
                    return Err(SecretsError::Unavailable("it is away".to_owned()));
                }
                self.opened.fetch_add(1, Ordering::Relaxed);
                self.keyring.open(context, sealed).await
            })
        }
    }

    fn name(number: u64) -> BlockName {
        BlockName { stream: StreamId(Uuid::nil()), number }
    }
}
