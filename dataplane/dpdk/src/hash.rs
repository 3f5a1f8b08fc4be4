//! A hash table with one writer and lock-free readers: DPDK's `rte_hash` under quiescent-state reclamation.
//!
//! Values are immutable. To change one, the writer inserts another under the same key; the old one, and the slot of a
//! removed key, are freed when every reader has quiesced since. Readers never wait and never see half a value.
//!
//! A value is borrowed from the reader, and quiescing needs the reader whole, so nothing can be held across it:
//!
//! ```compile_fail,E0502
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64, 8>) {
//! let value = reader.look_up(&[0; 8]);
//! reader.quiesce();
//! println!("{value:?}");
//! # }
//! ```
//!
//! Nor can it be kept when the reader is gone, or while it is offline:
//!
//! ```compile_fail,E0505
//! # fn f(reader: photongate_dpdk::hash::Reader<u64, 8>) {
//! let value = reader.look_up(&[0; 8]);
//! drop(reader);
//! println!("{value:?}");
//! # }
//! ```
//!
//! ```compile_fail,E0502
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64, 8>) {
//! let value = reader.look_up(&[0; 8]);
//! reader.offline(|| println!("{value:?}"));
//! # }
//! ```
//!
//! ```compile_fail,E0502
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64, 8>) {
//! reader.offline(|| println!("{:?}", reader.look_up(&[0; 8])));
//! # }
//! ```
//!
//! There is one writer:
//!
//! ```compile_fail,E0599
//! # fn f(writer: photongate_dpdk::hash::Writer<u64, 8>) {
//! let second = writer.clone();
//! # }
//! ```
//!
//! A reader shares ownership of its table, so it can move to a worker thread and cannot outlive the table: the table
//! lives until its last reader is gone. In the same way as above, this compiles:
//!
//! ```
//! # fn f(reader: &mut photongate_dpdk::hash::Reader<u64, 8>) {
//! let value = reader.look_up(&[0; 8]).copied();
//! reader.quiesce();
//! println!("{value:?}");
//! # }
//! ```

mod raw;
mod writer;

use std::mem;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::hugepages::Slab;
use crate::qsbr::{Participant, TooManyParticipants};
use crate::{Eal, Errno, Qsbr};

use raw::RawTable;
pub use writer::{InsertError, Inserted, Writer};

/// A table from keys of `N` bytes to values. A handle: clones mean the same table.
pub struct HashTable<V, const N: usize>(Arc<Shared<V, N>>);

impl<V: Send + Sync + 'static, const N: usize> HashTable<V, N> {
    /// Makes an empty table and its writer.
    ///
    /// # Errors
    /// [`TableError`]; most often there is not enough memory.
    pub fn create(_eal: Eal, config: &TableConfig) -> Result<(Self, Writer<V, N>), TableError> {
        let slots = slots(config.capacity);
        let table = RawTable::create(slots, config.socket).map_err(|errno| TableError {
            capacity: config.capacity,
            needed_mib: memory_estimate(config.capacity, N).div_ceil(1 << 20),
            errno,
        })?;
        let readers = Qsbr::new(config.readers.max(1));
        let (values, leftovers) = (Mutex::new(Slab::new()), Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { table, readers, values, leftovers });
        Ok((Self(Arc::clone(&shared)), Writer::new(shared, config.capacity)))
    }

    /// A reader of this table. It must quiesce regularly, or be offline, or the writer can free nothing.
    ///
    /// # Errors
    /// [`TooManyParticipants`], when there are [`TableConfig::readers`] already.
    pub fn reader(&self) -> Result<Reader<V, N>, TooManyParticipants> {
        let participant = self.0.readers.register()?;
        Ok(Reader { participant, shared: Arc::clone(&self.0) })
    }
}

impl<V, const N: usize> Clone for HashTable<V, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Looks values up. One for each thread that does; lock-free.
pub struct Reader<V, const N: usize> {
    // Dropped first: a reader leaves the group before it lets go of the table.
    participant: Participant,
    shared: Arc<Shared<V, N>>,
}

impl<V, const N: usize> Reader<V, N> {
    /// The value of each key, or `None`, into `values`. One call hides the memory latency of up to 32 look-ups.
    ///
    /// Looks up as many as the shorter of the slices has.
    #[inline]
    pub fn look_up_bulk<'r>(&'r self, keys: &[[u8; N]], values: &mut [Option<&'r V>]) {
        for (keys, values) in keys.chunks(raw::MOST_AT_ONCE).zip(values.chunks_mut(raw::MOST_AT_ONCE)) {
            let count = keys.len().min(values.len());
            let (keys, values) = (&keys[..count], &mut values[..count]);
            values.fill(None);
            // SAFETY: `Option` of a reference and of a `NonNull` are both a pointer that may be null. What is put
            // there came from the writer's slab. It removes the value only when all participants have quiesced or
            // gone offline after it was taken out of the table; this participant does neither while `self` is
            // borrowed, which is `'r`.
            let pointers = unsafe { &mut *(&raw mut *values as *mut [Option<NonNull<V>>]) };
            self.shared.table.look_up_bulk(keys, pointers);
        }
    }

    /// The value of the key.
    #[inline]
    pub fn look_up(&self, key: &[u8; N]) -> Option<&V> {
        // SAFETY: as in `look_up_bulk`.
        self.shared.table.look_up(key).map(|pointer| unsafe { pointer.as_ref() })
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
}

/// What a table should be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// How many keys it holds.
    pub capacity: u32,
    /// How many readers it can have at once.
    pub readers: u32,
    /// The NUMA node of its memory; `None` for any.
    pub socket: Option<u32>,
}

/// There is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DPDK cannot make a table of {capacity} entries, which takes about {needed_mib} MiB of its memory: {errno}")]
pub struct TableError {
    /// Keys it was to hold.
    pub capacity: u32,
    /// Memory it takes.
    pub needed_mib: u64,
    /// DPDK's reason.
    pub errno: Errno,
}

/// About how much of DPDK's memory a table of that capacity takes, in bytes, for keys of `key_length` bytes. The
/// values come on top, from the program's own heap.
pub fn memory_estimate(capacity: u32, key_length: usize) -> u64 {
    let slots = u64::from(slots(capacity));
    let rounded = slots.next_power_of_two();
    // A key with its pointer is kept at multiples of 16 bytes.
    let key = (8 + key_length as u64).next_multiple_of(16);
    // Buckets of eight, and as many to extend them, of a cache line; rings of free slots and free buckets; a number
    // per slot.
    slots * (key + 4) + rounded / 8 * (64 + 64 + 4 * 2) + rounded * 4 * 2
}

/// Slots for that many keys, and some for removed ones that readers may still hold.
fn slots(capacity: u32) -> u32 {
    capacity.saturating_add(capacity / 32).saturating_add(64)
}

/// What readers and the writer share.
struct Shared<V, const N: usize> {
    table: RawTable<V, N>,
    readers: Arc<Qsbr>,
    /// Where the values are. Readers have pointers, so only the writer waits for it, and that for nobody.
    values: Mutex<Slab<V>>,
    /// Values out of the table that the writer could not free before it was dropped.
    leftovers: Mutex<Vec<writer::Retired<V>>>,
}

impl<V, const N: usize> Drop for Shared<V, N> {
    fn drop(&mut self) {
        // The last reader and the writer are gone, so nobody holds a value.
        let values = self.values.get_mut().unwrap_or_else(PoisonError::into_inner);
        let leftovers = mem::take(self.leftovers.get_mut().unwrap_or_else(PoisonError::into_inner));
        for retired in leftovers {
            // SAFETY: out of the table, and no reader is left.
            unsafe { retired.remove_from(values) };
        }
        for (_, value) in self.table.iter() {
            // SAFETY: the writer put the value of this key into the slab, and removes it only after it was taken out of the
            // table; the table is not used again.
            unsafe { values.remove(value) };
        }
    }
}
