//! Values on disk: a file each, called by its key.
//!
//! A value proves itself, so nothing is synced and no index is kept: what a crash left half written has another hash than its name
//! says, and is dropped when the store is opened. Values are either *held* for the network, which only [`Store::remove`] ends, or
//! *cached* because somebody here wanted them: those give way when room is needed, the one first that was not used for longest.

mod files;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use self::files::Files;
use crate::Id;
use crate::transfer::LONGEST_VALUE;

/// The values of this node. Clones are the same. All methods wait for the disk.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

/// Why a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// For the network: this node is one of those that answer for it.
    Held,
    /// As long as there is room.
    Cached,
}

/// How much is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Values held.
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
    /// There is no room, and nothing that could give way.
    #[error("there is no room: {limit} bytes are taken by values that this node has to keep")]
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
        let mut found = Vec::new();
        for keep in [Keep::Held, Keep::Cached] {
            let (whole, corrupt) = files.check(keep)?;
            found.extend(whole.into_iter().map(|value| (keep, value)));
            index.usage.corrupt += corrupt;
        }
        // Those that were used last come last, and stay longest.
        found.sort_by_key(|(_, value)| value.since);
        for (keep, value) in found {
            // After a crash in the middle of a move there may be two.
            if index.entries.contains_key(&value.key) {
                files.remove(Keep::Cached, value.key)?;
            } else {
                index.insert(value.key, value.size, keep);
            }
        }
        let store = Self(Arc::new(Shared { files, changing: Mutex::new(()), index: Mutex::new(index) }));
        // The limit may be a smaller one than last time.
        let evicted = store.index().make_room(0);
        store.forget(&evicted);
        Ok(store)
    }

    /// Keeps a value. One that is there already stays, and is held from now on if `keep` says so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, value: &[u8], keep: Keep) -> Result<Id, StoreError> {
        let size = u32::try_from(value.len()).ok().filter(|&size| size <= LONGEST_VALUE);
        let size = size.ok_or(StoreError::TooLong { size: value.len() })?;
        let key = Id::of(value);
        let _changing = self.change();
        if let Some(before) = self.keep_of(key) {
            if keep == Keep::Held {
                self.set_keep(key, before, Keep::Held)?;
            }
            self.index().touch(key);
            self.0.files.touch(if keep == Keep::Held { keep } else { before }, key);
            return Ok(key);
        }
        let evicted = self.index().make_room(u64::from(size));
        self.forget(&evicted);
        if !self.index().has_room(u64::from(size)) {
            return Err(StoreError::Full { limit: self.usage().limit_bytes });
        }
        self.0.files.write(keep, key, value)?;
        self.index().insert(key, size, keep);
        Ok(key)
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

    /// All values that are held.
    pub fn held(&self) -> Vec<HeldValue> {
        let held: Vec<_> = {
            let index = self.index();
            let held = index.entries.iter().filter(|(_, entry)| entry.keep == Keep::Held);
            held.map(|(key, entry)| (*key, entry.size)).collect()
        };
        let since = |key| self.0.files.since(Keep::Held, key).unwrap_or_else(SystemTime::now);
        held.into_iter().map(|(key, size)| HeldValue { key, size, since: since(key) }).collect()
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

    fn forget(&self, evicted: &[Id]) {
        for key in evicted {
            if let Err(error) = self.0.files.remove(Keep::Cached, *key) {
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

/// What there is, without looking at the disk.
#[derive(Debug)]
struct Index {
    entries: HashMap<Id, Entry>,
    /// Cached values, the one first that was not used for longest.
    by_use: BTreeMap<u64, Id>,
    /// Counts uses.
    uses: u64,
    usage: Usage,
}

#[derive(Debug)]
struct Entry {
    size: u32,
    keep: Keep,
    /// When it was last used, in uses.
    used: u64,
}

impl Index {
    fn new(limit_bytes: u64) -> Self {
        let usage = Usage { limit_bytes, ..Usage::default() };
        Self { entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0, usage }
    }

    fn insert(&mut self, key: Id, size: u32, keep: Keep) {
        self.uses += 1;
        self.entries.insert(key, Entry { size, keep, used: self.uses });
        self.count(size, keep, 1);
        if keep == Keep::Cached {
            self.by_use.insert(self.uses, key);
        }
    }

    fn remove(&mut self, key: Id) -> Option<Keep> {
        let entry = self.entries.remove(&key)?;
        self.by_use.remove(&entry.used);
        self.count(entry.size, entry.keep, -1);
        Some(entry.keep)
    }

    fn set_keep(&mut self, key: Id, keep: Keep) {
        let Some(entry) = self.entries.get(&key) else { return };
        let size = entry.size;
        self.remove(key);
        self.insert(key, size, keep);
    }

    fn touch(&mut self, key: Id) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.keep == Keep::Cached {
            self.by_use.remove(&entry.used);
            self.uses += 1;
            entry.used = self.uses;
            self.by_use.insert(entry.used, key);
        }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.usage.held_bytes + self.usage.cached_bytes + bytes <= self.usage.limit_bytes
    }

    /// Drops cached values until so many bytes have room, or none is left. Gives those dropped.
    fn make_room(&mut self, bytes: u64) -> Vec<Id> {
        let mut evicted = Vec::new();
        while !self.has_room(bytes) {
            let Some((_, key)) = self.by_use.pop_first() else { break };
            self.remove(key);
            self.usage.evicted += 1;
            evicted.push(key);
        }
        evicted
    }

    fn count(&mut self, size: u32, keep: Keep, by: i64) {
        let usage = &mut self.usage;
        let (values, bytes) = match keep {
            Keep::Held => (&mut usage.held, &mut usage.held_bytes),
            Keep::Cached => (&mut usage.cached, &mut usage.cached_bytes),
        };
        *values = values.checked_add_signed(by as isize).expect("what is removed was counted");
        *bytes = bytes.checked_add_signed(by * i64::from(size)).expect("what is removed was counted");
    }
}

#[cfg(test)]
mod tests;
