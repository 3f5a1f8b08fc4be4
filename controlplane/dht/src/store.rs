//! Values on disk: a file each, called by its key.
//!
//! A value proves itself, so nothing is synced and no index is kept: what a crash left half written has another hash than its name
//! says, and is dropped when the store is opened. Values are this node's *own*, put into the network here; *held* for the network, as
//! others put them there; or *cached*, because somebody here wanted them. When room is needed, cached values give way, the one first that was
//! not used for longest; then held ones, to those whose keys are nearer to the node and to its own. Its own never do.

mod files;
mod index;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use self::files::Files;
use self::index::Index;
use crate::Id;
use crate::transfer::LONGEST_VALUE;

/// The values of this node. Clones are the same. All methods wait for the disk.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

/// Why a value is kept: the later ones in this list are the better reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// As long as there is room.
    Cached,
    /// For the network: this node is one of those that answer for it.
    Held,
    /// For the network, into which it was put here.
    Own,
}

impl Keep {
    /// Whether it is kept for the network.
    #[must_use]
    pub fn is_for_others(self) -> bool {
        self >= Self::Held
    }
}

/// A value that is here now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its key.
    pub key: Id,
    /// Whether it was here before.
    pub was_here: bool,
    /// Those that gave way to it.
    pub gave_way: Vec<Id>,
}

/// How much is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Values held, this node's own among them.
    pub held: usize,
    /// Their bytes.
    pub held_bytes: u64,
    /// Values cached.
    pub cached: usize,
    /// Their bytes.
    pub cached_bytes: u64,
    /// How many bytes all values may have.
    pub limit_bytes: u64,
    /// Cached values that had to give way since the store was opened.
    pub evicted: u64,
    /// Held values that had to.
    pub displaced: u64,
    /// Files whose bytes were not what their name says, and that were dropped.
    pub corrupt: u64,
}

/// A value that is held, as it was found on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldValue {
    /// Its key.
    pub key: Id,
    /// Its length in bytes.
    pub size: u32,
    /// When it was last asked for, or stored.
    pub since: SystemTime,
}

/// Why a value was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is longer than values may be.
    #[error("it has {size} bytes: a value has at most {LONGEST_VALUE}")]
    TooLong {
        /// Its length.
        size: usize,
    },
    /// There is no room, and not enough that could give way to it.
    #[error("there is no room: {limit} bytes are taken by values that this node has more reason to keep")]
    Full {
        /// How many bytes there may be.
        limit: u64,
    },
    /// What the operating system says.
    #[error("{path}: {source}")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Store {
    /// Opens the values in `folder`, which is made if it is missing, for at most `limit` bytes. Each value that is there is read
    /// and checked; what is none is removed.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, StoreError> {
        let files = Files::open(folder)?;
        let mut index = Index::new(limit);
        let (mut found, mut keys) = (Vec::new(), HashSet::new());
        for keep in [Keep::Own, Keep::Held, Keep::Cached] {
            let (whole, corrupt) = files.check(keep)?;
            index.usage.corrupt += corrupt;
            for value in whole {
                // After a crash in the middle of a move there may be two.
                if keys.insert(value.key) {
                    found.push((keep, value));
                } else {
                    files.remove(keep, value.key)?;
                }
            }
        }
        // Those that were used last come last, and stay longest.
        found.sort_by_key(|(_, value)| value.since);
        for (keep, value) in found {
            index.insert(value.key, value.size, keep);
        }
        let store = Self(Arc::new(Shared { files, changing: Mutex::new(()), index: Mutex::new(index) }));
        // The limit may be a smaller one than last time.
        let dropped = store.index().shrink();
        store.forget(&dropped);
        Ok(store)
    }

    /// Says which node this is: of values that are held for others, those whose keys are farther from it give way to nearer ones.
    pub fn set_node(&self, node: Id) {
        self.index().set_node(node);
    }

    /// Keeps a value. One that is there already stays, and is kept for the better reason from now on.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing has given way then.
    pub fn put(&self, value: &[u8], keep: Keep) -> Result<Stored, StoreError> {
        let size = u32::try_from(value.len()).ok().filter(|&size| size <= LONGEST_VALUE);
        let size = size.ok_or(StoreError::TooLong { size: value.len() })?;
        let key = Id::of(value);
        let _changing = self.change();
        if let Some(before) = self.keep_of(key) {
            let keep = keep.max(before);
            self.set_keep(key, before, keep)?;
            self.index().touch(key);
            self.0.files.touch(keep, key);
            return Ok(Stored { key, was_here: true, gave_way: Vec::new() });
        }
        let gave_way = self.index().make_room(key, size.into(), keep);
        let gave_way = gave_way.ok_or_else(|| StoreError::Full { limit: self.usage().limit_bytes })?;
        self.forget(&gave_way);
        self.0.files.write(keep, key, value)?;
        self.index().insert(key, size, keep);
        Ok(Stored { key, was_here: false, gave_way: gave_way.into_iter().map(|(key, _)| key).collect() })
    }

    /// The value of this key, if it is here. Its hash is checked; one that is damaged is dropped.
    pub fn get(&self, key: Id) -> Option<Bytes> {
        let keep = self.keep_of(key)?;
        self.index().touch(key);
        let value = self.0.files.read(keep, key).or_else(|| self.drop_damaged(key))?;
        self.0.files.touch(keep, key);
        Some(value)
    }

    /// The length of the value of this key, if it is here.
    pub fn size_of(&self, key: Id) -> Option<u32> {
        self.index().entries.get(&key).map(|entry| entry.size)
    }

    /// Whether the value of this key is here, and why.
    pub fn keep_of(&self, key: Id) -> Option<Keep> {
        self.index().entries.get(&key).map(|entry| entry.keep)
    }

    /// Keeps a value that is here for another reason from now on. `false` if it is not here.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn keep(&self, key: Id, keep: Keep) -> Result<bool, StoreError> {
        let _changing = self.change();
        let before = self.keep_of(key);
        before.map_or(Ok(()), |before| self.set_keep(key, before, keep))?;
        Ok(before.is_some())
    }

    /// Forgets a value.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn remove(&self, key: Id) -> Result<(), StoreError> {
        let _changing = self.change();
        let removed = self.index().remove(key);
        removed.map_or(Ok(()), |keep| self.0.files.remove(keep, key))
    }

    /// The keys of all values, with their lengths and why each is kept.
    pub fn all(&self) -> Vec<(Id, u32, Keep)> {
        self.index().entries.iter().map(|(key, entry)| (*key, entry.size, entry.keep)).collect()
    }

    /// All values that are held, this node's own among them.
    pub fn held(&self) -> Vec<HeldValue> {
        let held: Vec<_> = {
            let index = self.index();
            let held = index.entries.iter().filter(|(_, entry)| entry.keep.is_for_others());
            held.map(|(key, entry)| (*key, entry.size, entry.keep)).collect()
        };
        let since = |keep, key| self.0.files.since(keep, key).unwrap_or_else(SystemTime::now);
        held.into_iter().map(|(key, size, keep)| HeldValue { key, size, since: since(keep, key) }).collect()
    }

    /// How much is there.
    pub fn usage(&self) -> Usage {
        self.index().usage
    }

    fn set_keep(&self, key: Id, before: Keep, keep: Keep) -> Result<(), StoreError> {
        if before != keep {
            self.0.files.move_to(before, keep, key)?;
            self.index().set_keep(key, keep);
        }
        Ok(())
    }

    /// Looks once more at a value that could not be read, and drops it if it is damaged.
    fn drop_damaged(&self, key: Id) -> Option<Bytes> {
        // It may have been moved or removed since.
        let _changing = self.change();
        let keep = self.keep_of(key)?;
        let value = self.0.files.read(keep, key);
        if value.is_none() {
            tracing::warn!(%key, "a value on disk was damaged, and is dropped");
            let mut index = self.index();
            index.remove(key);
            index.usage.corrupt += 1;
            drop(index);
            let _ = self.0.files.remove(keep, key);
        }
        value
    }

    fn forget(&self, dropped: &[(Id, Keep)]) {
        for (key, keep) in dropped {
            if let Err(error) = self.0.files.remove(*keep, *key) {
                tracing::warn!("a value that gives way cannot be removed: {error}");
            }
        }
    }

    /// Whoever changes what is on disk is the only one, so that the index always says where a file is. Reading waits for nobody.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Shared {
    files: Files,
    changing: Mutex<()>,
    index: Mutex<Index>,
}

#[cfg(test)]
mod tests;
