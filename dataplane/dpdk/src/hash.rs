//! A hash table with one writer and lock-free readers, made for the packet path.
//!
//! A look-up costs one cache line for nearly every key, whether it is there or not, and then those of its value. Memory is what a
//! packet from one of many peers waits for, and DPDK's table, for keys of any length, touches three lines before the value. Here a
//! line holds four keys, and with each of them the number of its value (`buckets`); the values lie side by side (`values`); both in
//! hugepages. There are as many lines as keys that the table is made for: when it is full, 0.4 % of the keys find no room in their
//! line, and are in the next one.
//!
//! Values are immutable. To change one, the writer inserts another under the same key; the old one, and the slot of a
//! removed key, are freed when every reader has quiesced since. Readers never wait and never see half a value.
//!
//! A value is borrowed from the reader, and quiescing needs the reader whole, so nothing can be held across it:
//!
//! ```compile_fail,E0502
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64>) {
//! let value = reader.look_up(&[0; 12]);
//! reader.quiesce();
//! println!("{value:?}");
//! # }
//! ```
//!
//! Nor can it be kept when the reader is gone, or while it is offline:
//!
//! ```compile_fail,E0505
//! # fn f(reader: photongate_dpdk::hash::Reader<u64>) {
//! let value = reader.look_up(&[0; 12]);
//! drop(reader);
//! println!("{value:?}");
//! # }
//! ```
//!
//! ```compile_fail,E0502
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64>) {
//! let value = reader.look_up(&[0; 12]);
//! reader.offline(|| println!("{value:?}"));
//! # }
//! ```
//!
//! ```compile_fail,E0502
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64>) {
//! reader.offline(|| println!("{:?}", reader.look_up(&[0; 12])));
//! # }
//! ```
//!
//! There is one writer:
//!
//! ```compile_fail,E0599
//! # fn f(writer: photongate_dpdk::hash::Writer<u64>) {
//! let second = writer.clone();
//! # }
//! ```
//!
//! A reader shares ownership of its table, so it can move to a worker thread and cannot outlive the table: the table
//! lives until its last reader is gone. In the same way as above, this compiles:
//!
//! ```
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64>) {
//! let value = reader.look_up(&[0; 12]).copied();
//! reader.quiesce();
//! println!("{value:?}");
//! # }
//! ```

mod books;
mod buckets;
mod secrets;
mod values;
mod writer;

use std::hint::select_unpredictable;
use std::sync::{Arc, Mutex, PoisonError};
use std::{mem, ptr};

use crate::cache::CACHE_LINE;
use crate::hugepages::HUGEPAGE;
use crate::qsbr::{Participant, TooManyParticipants};
use crate::{Errno, Qsbr};

use buckets::{Buckets, NOWHERE, PLACES, Place, SLOTS, Share, Words};
use secrets::Secrets;
use values::{FreePlaces, Start, Values};
pub use writer::{InsertError, Inserted, Writer};

/// What a value is found by. Any twelve bytes.
pub type Key = [u8; 12];

/// A table from keys to values. A handle: clones mean the same table.
pub struct HashTable<V>(Arc<Shared<V>>);

impl<V: Send + Sync + 'static> HashTable<V> {
    /// Makes an empty table and its writer.
    ///
    /// # Errors
    /// [`TableError`]; most often there is not enough memory.
    pub fn create(config: &TableConfig) -> Result<(Self, Writer<V>), TableError> {
        Self::with_secrets(config, Secrets::random())
    }

    fn with_secrets(config: &TableConfig, secrets: Secrets) -> Result<(Self, Writer<V>), TableError> {
        let capacity = config.capacity;
        let count = capacity.max(FEWEST_BUCKETS);
        // As many as slots: who has a place for a value finds a slot for its key. And all values can be replaced at once, thrice.
        let places = u64::from(count) * SLOTS as u64;
        if places > PLACES {
            return Err(TableError::TooLarge { capacity });
        }
        let memory = |errno| TableError::NoMemory { capacity, errno };
        let values = Values::create(places).map_err(memory)?;
        let buckets = Buckets::create(count, secrets).map_err(memory)?;
        let readers = Qsbr::new(config.readers.max(1));
        let shared = Arc::new(Shared { buckets, values, readers, leftovers: Mutex::new(Vec::new()) });
        Ok((Self(Arc::clone(&shared)), Writer::new(shared, capacity, FreePlaces::new(places))))
    }

    /// A reader of this table. It must quiesce regularly, or be offline, or the writer can free nothing.
    ///
    /// # Errors
    /// [`TooManyParticipants`], when there are [`TableConfig::readers`] already.
    pub fn reader(&self) -> Result<Reader<V>, TooManyParticipants> {
        let participant = self.0.readers.register()?;
        Ok(Reader { participant, shared: Arc::clone(&self.0) })
    }
}

impl<V> Clone for HashTable<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Looks values up. One for each thread that does; lock-free.
pub struct Reader<V> {
    // Dropped first: a reader leaves the group before it lets go of the table.
    participant: Participant,
    shared: Arc<Shared<V>>,
}

impl<V> Reader<V> {
    /// The value of each key, or `None`, into `values`. One call hides the memory latency of up to 64 look-ups.
    ///
    /// Looks up as many as the shorter of the slices has.
    #[inline]
    pub fn look_up_bulk<'r>(&'r self, keys: &[Key], values: &mut [Option<&'r V>]) {
        self.look_up_bulk_by(keys, |key| *key, values);
    }

    /// The same for keys that are in another form: `key_of` makes them ours. It is called more than once for each.
    ///
    /// Compiled into its caller, for the instructions that that one may use.
    #[inline(always)]
    pub fn look_up_bulk_by<'r, K>(&'r self, keys: &[K], key_of: impl Fn(&K) -> Key, values: &mut [Option<&'r V>]) {
        for (keys, values) in keys.chunks(AT_ONCE).zip(values.chunks_mut(AT_ONCE)) {
            self.look_up_some(keys, |key| Words::new(key_of(key)), values);
        }
    }

    /// In passes: all lines are on their way before the first one is looked at. For up to [`AT_ONCE`] keys.
    #[inline(always)]
    fn look_up_some<'r, K>(&'r self, keys: &[K], key_of: impl Fn(&K) -> Words, values: &mut [Option<&'r V>]) {
        let count = keys.len().min(values.len()).min(AT_ONCE);
        let (keys, values) = (&keys[..count], &mut values[..count]);
        let buckets = self.shared.buckets.view();
        let mut shares = [Share::default(); AT_ONCE];
        for (share, key) in shares.iter_mut().zip(keys) {
            *share = buckets.share(key_of(key));
            buckets.prefetch(*share);
        }
        let start = self.shared.values.start();
        let mut beyond = 0_u64;
        for (lane, ((key, share), value)) in keys.iter().zip(&shares).zip(values.iter_mut()).enumerate() {
            let look = buckets.look(*share, key_of(key));
            start.prefetch(look.place);
            *value = self.value(start, look.place);
            beyond |= u64::from(look.goes_on()) << lane;
        }
        if beyond != 0 {
            self.look_beyond(beyond, keys, &shares, key_of, values);
        }
    }

    /// Looks for the keys with a bit in `lanes`, which are not at home.
    #[cold]
    fn look_beyond<'r, K>(
        &'r self,
        lanes: u64,
        keys: &[K],
        shares: &[Share],
        key_of: impl Fn(&K) -> Words,
        values: &mut [Option<&'r V>],
    ) {
        let buckets = self.shared.buckets.view();
        let of_lanes = || keys.iter().zip(shares).enumerate().filter(|(lane, _)| lanes & (1 << lane) != 0);
        for (_, (_, share)) in of_lanes() {
            buckets.prefetch_beyond(*share);
        }
        for (lane, (key, share)) in of_lanes() {
            if let Some(value) = values.get_mut(lane) {
                *value = self.value(self.shared.values.start(), buckets.find_beyond(*share, key_of(key)));
            }
        }
    }

    /// The value of the key.
    #[inline]
    pub fn look_up(&self, key: &Key) -> Option<&V> {
        self.value(self.shared.values.start(), self.shared.buckets.view().find(Words::new(*key)))
    }

    /// Says that this reader holds no value, so that what was replaced can be freed. Costs a store; call it once a
    /// burst.
    #[inline]
    pub fn quiesce(&mut self) {
        self.participant.quiesce();
    }

    /// Says that this reader holds no value and looks none up while `rest` runs. For threads that sleep.
    #[inline]
    pub fn offline<R>(&mut self, rest: impl FnOnce() -> R) -> R {
        self.participant.offline(rest)
    }

    /// The value there. For places that were found since this reader has quiesced last.
    #[inline(always)]
    fn value(&self, start: Start<V>, place: Place) -> Option<&V> {
        let address = select_unpredictable(place == NOWHERE, ptr::null_mut(), start.at(place));
        // SAFETY: the writer put a value there before the place into the table. It removes the value only when all participants have
        // quiesced or gone offline after it was taken out of the table; this participant does neither while `self` is borrowed.
        unsafe { address.as_ref() }
    }
}

/// What a table should be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// How many keys it holds. For each of them it takes 64 bytes at once, 2 MiB at least, and as many as a value has when there is one.
    pub capacity: u32,
    /// How many readers it can have at once.
    pub readers: u32,
}

/// There is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// More keys than the table can tell apart.
    #[error("a table of {capacity} keys is too large: the most are {}", PLACES / SLOTS as u64)]
    TooLarge {
        /// Keys it was to hold.
        capacity: u32,
    },
    /// The system gives no memory.
    #[error("there is no memory for a table of {capacity} keys: {errno}")]
    NoMemory {
        /// Keys it was to hold.
        capacity: u32,
        /// The system's reason.
        errno: Errno,
    },
}

/// What readers and the writer share.
struct Shared<V> {
    buckets: Buckets,
    values: Values<V>,
    readers: Arc<Qsbr>,
    /// Values out of the table that the writer could not free before it was dropped.
    leftovers: Mutex<Vec<writer::Retired>>,
}

impl<V> Drop for Shared<V> {
    fn drop(&mut self) {
        // The last reader and the writer are gone, so nobody holds a value.
        for retired in mem::take(self.leftovers.get_mut().unwrap_or_else(PoisonError::into_inner)) {
            // SAFETY: out of this table, and no reader is left.
            unsafe { retired.drop_from(&self.values) };
        }
        for (_, place) in self.buckets.iter() {
            // SAFETY: the writer put a value there before the place into the table, and removes it only after it took it out again; the table
            // is not used again.
            unsafe { self.values.remove(place) };
        }
    }
}

/// Keys that are looked up together: the bits of a word say which are not at home.
const AT_ONCE: usize = u64::BITS as usize;

/// What fits into one hugepage, which even the smallest table takes. So a small one has places and slots to spare while readers wait for
/// a processor.
const FEWEST_BUCKETS: u32 = (HUGEPAGE / CACHE_LINE) as u32;

#[cfg(test)]
mod tests;
