//! The one who changes a table.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc::ENOSPC;

use super::Shared;
use super::raw::Slot;
use crate::Errno;
use crate::hugepages::Slab;
use crate::qsbr::{GracePeriod, StillHeld};

/// Changes a table. There is one, on whatever thread.
pub struct Writer<V, const N: usize> {
    shared: Arc<Shared<V, N>>,
    capacity: u32,
    len: u32,
    /// Out of the table, and no grace period has begun since.
    unlinked: Vec<Retired<V>>,
    /// Out of the table, waiting for a grace period to end. Oldest first.
    waiting: VecDeque<(GracePeriod, Vec<Retired<V>>)>,
}

// SAFETY: a `Writer` is the only one that calls the table's writing methods, and moves between threads as a whole. It
// owns the retired values, which are `Send`, and shares values with readers, so they are `Sync` too.
unsafe impl<V: Send + Sync, const N: usize> Send for Writer<V, N> {}

impl<V, const N: usize> Writer<V, N> {
    pub(super) fn new(shared: Arc<Shared<V, N>>, capacity: u32) -> Self {
        Self { shared, capacity, len: 0, unlinked: Vec::new(), waiting: VecDeque::new() }
    }

    /// Gives the key this value. Readers see either the old one or this one.
    ///
    /// # Errors
    /// [`InsertError`]. Then nothing changed, and the value is dropped.
    pub fn insert(&mut self, key: &[u8; N], value: V) -> Result<Inserted, InsertError> {
        if key.iter().all(|&byte| byte == 0) {
            return Err(InsertError::ZeroKey);
        }
        // The table does not tell which value it overwrote. Nobody else writes, so it is the one found now.
        let old = self.shared.table.look_up(key);
        if old.is_none() && self.len >= self.capacity {
            return Err(InsertError::Full { capacity: self.capacity, waiting: 0 });
        }
        let new = self.values().put(value);
        if let Err(errno) = self.set(key, new) {
            // SAFETY: put there above, and not in the table.
            unsafe { self.values().remove(new) };
            debug_assert_eq!(errno.number(), ENOSPC, "a valid key is refused only for want of room");
            return Err(InsertError::Full { capacity: self.capacity, waiting: self.retired() });
        }
        if let Some(value) = old {
            self.retire(Retired { value, slot: None });
            Ok(Inserted::Replaced)
        } else {
            self.len += 1;
            Ok(Inserted::New)
        }
    }

    /// Takes the key and its value out. Returns whether it was there.
    pub fn remove(&mut self, key: &[u8; N]) -> bool {
        let Some(value) = self.shared.table.look_up(key) else { return false };
        let slot = self.shared.table.unlink(key);
        debug_assert!(slot.is_some(), "the key was found, and nobody else removes");
        self.retire(Retired { value, slot });
        self.len -= 1;
        true
    }

    /// The value of the key.
    pub fn get(&self, key: &[u8; N]) -> Option<&V> {
        // SAFETY: the value is in the table, and only `&mut self` could take it out.
        self.shared.table.look_up(key).map(|value| unsafe { value.as_ref() })
    }

    /// All keys and their values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; N], &V)> {
        // SAFETY: the value is in the table, and only `&mut self` could take it out.
        self.shared.table.iter().map(|(key, value)| (key, unsafe { value.as_ref() }))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many values are out of the table, but not freed: some reader may still hold them.
    pub fn retired(&self) -> usize {
        self.unlinked.len() + self.waiting.iter().map(|(_, group)| group.len()).sum::<usize>()
    }

    /// Frees what no reader can hold any more. Never waits.
    ///
    /// Happens now and then by itself as values are retired; call it when there is nothing else to do.
    pub fn reclaim(&mut self) {
        self.begin_grace_period();
        while let Some((period, _)) = self.waiting.front()
            && self.shared.readers.is_over(*period)
        {
            let (_, group) = self.waiting.pop_front().expect("there is a front");
            self.free(group);
        }
    }

    /// Begins a grace period, whether or not anything is out of the table: when it is over, every reader has quiesced since.
    pub fn begin_grace(&mut self) -> GracePeriod {
        self.begin_grace_period();
        self.shared.readers.start()
    }

    /// Whether a grace period is over. Never waits.
    pub fn is_over(&self, period: GracePeriod) -> bool {
        self.shared.readers.is_over(period)
    }

    /// Waits until no reader holds anything that is out of the table, and frees it all.
    ///
    /// # Errors
    /// [`StillHeld`] when some reader does not quiesce within `timeout`.
    pub fn synchronize(&mut self, timeout: Duration) -> Result<(), StillHeld> {
        self.begin_grace_period();
        if let Some((last, _)) = self.waiting.back() {
            self.shared.readers.wait(*last, timeout)?;
        }
        self.reclaim();
        Ok(())
    }

    fn values(&self) -> MutexGuard<'_, Slab<V>> {
        self.shared.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&mut self, key: &[u8; N], value: NonNull<V>) -> Result<(), Errno> {
        match self.shared.table.set(key, value) {
            Err(errno) if errno.number() == ENOSPC && self.retired() > 0 => {
                self.reclaim();
                self.shared.table.set(key, value)
            }
            result => result,
        }
    }

    fn retire(&mut self, retired: Retired<V>) {
        self.unlinked.push(retired);
        // A grace period touches a cache line that all readers look at, so one serves many.
        if self.unlinked.len() >= GROUP {
            self.reclaim();
        }
    }

    fn begin_grace_period(&mut self) {
        if !self.unlinked.is_empty() {
            let group = std::mem::take(&mut self.unlinked);
            self.waiting.push_back((self.shared.readers.start(), group));
        }
    }

    /// For values whose grace period is over.
    fn free(&self, group: Vec<Retired<V>>) {
        for retired in group {
            if let Some(slot) = retired.slot {
                self.shared.table.free(slot);
            }
            // SAFETY: the value went out of the table before its grace period began, which is over.
            unsafe { retired.remove_from(&mut self.values()) };
        }
    }
}

impl<V, const N: usize> Drop for Writer<V, N> {
    fn drop(&mut self) {
        let waiting = self.waiting.drain(..).flat_map(|(_, group)| group);
        let mut leftovers = self.shared.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        leftovers.extend(self.unlinked.drain(..).chain(waiting));
    }
}

/// What [`Writer::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key was not there.
    New,
    /// The key had another value.
    Replaced,
}

/// Why a key has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// There is no room for another key.
    #[error("the table is full with {capacity} entries, and {waiting} removed ones that readers may still hold")]
    Full {
        /// How many keys it holds.
        capacity: u32,
        /// How many values wait for readers; [`Writer::synchronize`] makes their room free.
        waiting: usize,
    },
    /// DPDK cannot keep the key of zero bytes. Its empty slots look like that key, so that a second insertion would
    /// stop its search at one of them, miss the first, and leave both in the table.
    #[error("a key of zero bytes cannot be in the table")]
    ZeroKey,
}

/// A value out of the table that readers may still hold.
pub(super) struct Retired<V> {
    value: NonNull<V>,
    /// The slot of its key, if the key went with it.
    slot: Option<Slot>,
}

// SAFETY: it owns the value, and readers on other threads may share it.
unsafe impl<V: Send + Sync> Send for Retired<V> {}

impl<V> Retired<V> {
    /// # Safety
    /// No reader can hold the value any more, and `values` is where it is.
    pub(super) unsafe fn remove_from(self, values: &mut Slab<V>) {
        // SAFETY: `Writer::insert` put the value there, and `self`, which ends here, was its only owner; readers and
        // the slab are the caller's promise.
        unsafe { values.remove(self.value) }
    }
}

/// How many values share a grace period, unless the writer asks for one.
const GROUP: usize = 64;
