//! The one who changes a table.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::books::Books;
use super::buckets::{NOWHERE, Place, Spot, Words};
use super::values::{FreePlaces, Values};
use super::{Key, Shared};
use crate::qsbr::{GracePeriod, StillHeld};

/// Changes a table. There is one, on whatever thread.
pub struct Writer<V> {
    shared: Arc<Shared<V>>,
    books: Books,
    free: FreePlaces,
    capacity: u32,
    len: u32,
    /// Out of the table, and no grace period has begun since.
    unlinked: Vec<Retired>,
    /// Out of the table, waiting for a grace period to end. Oldest first.
    waiting: VecDeque<(GracePeriod, Vec<Retired>)>,
}

impl<V> Writer<V> {
    pub(super) fn new(shared: Arc<Shared<V>>, capacity: u32, free: FreePlaces) -> Self {
        let books = Books::new(shared.buckets.view().count());
        Self { shared, books, free, capacity, len: 0, unlinked: Vec::new(), waiting: VecDeque::new() }
    }

    /// Gives the key this value. Readers see either the old one or this one.
    ///
    /// # Errors
    /// [`InsertError`]. Then nothing changed, and the value is dropped.
    pub fn insert(&mut self, key: &Key, value: V) -> Result<Inserted, InsertError> {
        let key = Words::new(*key);
        let old = self.shared.buckets.locate(key);
        if old.is_none() && self.len >= self.capacity {
            return Err(InsertError::Full { capacity: self.capacity, waiting: 0 });
        }
        if self.free.is_empty() {
            self.reclaim();
        }
        let Some(place) = self.free.take() else {
            return Err(InsertError::Full { capacity: self.capacity, waiting: self.retired() });
        };
        // SAFETY: `free` has the places of these values, and this one was free.
        unsafe { self.shared.values.put(place, value) };
        if let Some((spot, old)) = old {
            self.shared.buckets.set_place(spot, place);
            self.retire(Retired { place: old, spot: None });
            Ok(Inserted::Replaced)
        } else {
            self.books.put(&self.shared.buckets, key, place);
            self.len += 1;
            Ok(Inserted::New)
        }
    }

    /// Takes the key and its value out. Returns whether it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some((spot, place)) = self.books.take_out(&self.shared.buckets, Words::new(*key)) else { return false };
        self.retire(Retired { place, spot: Some(spot) });
        self.len -= 1;
        true
    }

    /// The value of the key.
    pub fn get(&self, key: &Key) -> Option<&V> {
        let place = self.shared.buckets.view().find(Words::new(*key));
        // SAFETY: a value whose place is in the table, and only `&mut self` could take it out.
        (place != NOWHERE).then(|| unsafe { &*self.shared.values.start().at(place) })
    }

    /// All keys and their values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &V)> {
        // SAFETY: a value whose place is in the table, and only `&mut self` could take it out.
        self.shared.buckets.iter().map(|(key, place)| (key, unsafe { &*self.shared.values.start().at(place) }))
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

    fn retire(&mut self, retired: Retired) {
        self.unlinked.push(retired);
        // A grace period touches a cache line that all readers look at, so one serves many.
        if self.unlinked.len() >= GROUP {
            self.reclaim();
        }
    }

    fn begin_grace_period(&mut self) {
        if !self.unlinked.is_empty() {
            let group = mem::take(&mut self.unlinked);
            self.waiting.push_back((self.shared.readers.start(), group));
        }
    }

    /// For values whose grace period is over.
    fn free(&mut self, group: Vec<Retired>) {
        for retired in group {
            if let Some(spot) = retired.spot {
                self.books.release(spot);
            }
            let place = retired.place;
            // SAFETY: the value went out of the table before its grace period began, which is over.
            unsafe { retired.drop_from(&self.shared.values) };
            self.free.give_back(place);
        }
    }
}

impl<V> Drop for Writer<V> {
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
    /// There is no room for another key or value.
    #[error("the table is full: it holds {capacity} keys, and {waiting} values that are out of it wait for readers")]
    Full {
        /// How many keys it holds.
        capacity: u32,
        /// How many values wait for readers; [`Writer::synchronize`] makes their room free.
        waiting: usize,
    },
}

/// A value out of the table that readers may still hold.
pub(super) struct Retired {
    place: Place,
    /// The slot of its key, if the key went with it.
    spot: Option<Spot>,
}

impl Retired {
    /// # Safety
    /// It came from the table of these values, and no reader can hold its value any more.
    pub(super) unsafe fn drop_from<V>(self, values: &Values<V>) {
        // SAFETY: `Writer::insert` put the value there, and `self`, which ends here, is all that was left of it; readers are the caller's
        // promise.
        unsafe { values.remove(self.place) }
    }
}

/// How many values share a grace period, unless the writer asks for one.
const GROUP: usize = 64;
