//! Where keys are: buckets of four slots, a cache line each.
//!
//! A slot is two words. The head is the beginning of a key; the tail is its end, and where its value is. The tail makes the slot count:
//! the writer stores it last, and clears it to take the key out. A slot that was cleared is written again only when every reader has
//! quiesced since. So whoever has read a tail reads the head that belongs to it.
//!
//! A key is in its home bucket, or in the next one that has room. Each bucket that was passed by on the way says so; where none was, there
//! is nothing more to look for. A key stays in its slot until it is removed, so no look-up misses one that is moving.

use std::hint::select_unpredictable;
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Key;
use super::secrets::Secrets;
use crate::Errno;
use crate::cache::prefetch;
use crate::hugepages::Region;

/// All slots of a table. Anybody may look; changes are for one thread at a time, the writer's.
pub(super) struct Buckets {
    region: Region,
    count: u32,
    secrets: Secrets,
}

impl Buckets {
    /// So many empty buckets.
    ///
    /// # Errors
    /// There is no memory.
    ///
    /// # Panics
    /// When `count` is 0.
    pub(super) fn create(count: u32, secrets: Secrets) -> Result<Self, Errno> {
        assert!(count > 0, "a key has a home");
        let region = Region::map(count as usize * size_of::<Bucket>())?;
        // No reader has to wait until the kernel has found a page.
        region.touch();
        Ok(Self { region, count, secrets })
    }

    /// For look-ups.
    #[inline(always)]
    pub(super) fn view(&self) -> View<'_> {
        // SAFETY: the region is that long, aligned to pages, and nobody has it but `self`. Zero, as it was at first, is a bucket, and it
        // is changed through these references only.
        let all = unsafe { slice::from_raw_parts(self.region.start().cast().as_ptr(), self.count as usize) };
        View { all, secrets: self.secrets }
    }

    /// Where a key is, and where its value. For the writer.
    pub(super) fn locate(&self, key: Words) -> Option<(Spot, Place)> {
        let view = self.view();
        for bucket in view.way(view.share(key)) {
            let here = &view.all[bucket];
            let look = here.look(key);
            if look.place != NOWHERE {
                let slot = here.slots.iter().position(|slot| slot.place() == look.place);
                return Some((Spot { bucket, slot: slot.expect("it was found, and nobody else writes") }, look.place));
            }
            if !look.goes_on() {
                return None;
            }
        }
        None
    }

    /// Whether no key is in a slot. For the writer, who knows whether readers may still look at one that was there.
    pub(super) fn is_empty(&self, spot: Spot) -> bool {
        self.slot(spot).place() == NOWHERE
    }

    /// Puts a key into an empty slot that no reader has looked at since a key was in it. For the writer.
    pub(super) fn put(&self, spot: Spot, key: Words, place: Place) {
        let slot = self.slot(spot);
        debug_assert!(slot.place() == NOWHERE);
        slot.head.store(key.head, Relaxed);
        slot.set_tail(key.tail | (place + 1));
    }

    /// Says that the value of the key there is elsewhere now. For the writer.
    pub(super) fn set_place(&self, spot: Spot, place: Place) {
        let slot = self.slot(spot);
        slot.set_tail((slot.tail.load(Relaxed) & KEY_END) | (place + 1));
    }

    /// Takes the key there out. For the writer.
    pub(super) fn clear(&self, spot: Spot) {
        self.slot(spot).set_tail(0);
    }

    /// Says whether some key has passed by a bucket. For the writer.
    pub(super) fn set_passed(&self, bucket: usize, passed: bool) {
        let first = &self.view().all[bucket].slots[0].tail;
        let tail = first.load(Relaxed) & !PASSED;
        first.store(if passed { tail | PASSED } else { tail }, Release);
    }

    /// All keys, and where their values are. For the writer.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, Place)> {
        let slots = self.view().all.iter().flat_map(|bucket| &bucket.slots);
        slots.filter(|slot| slot.place() != NOWHERE).map(|slot| (slot.key(), slot.place()))
    }

    fn slot(&self, spot: Spot) -> &Slot {
        &self.view().all[spot.bucket].slots[spot.slot]
    }
}

/// The buckets as a look-up needs them. A copy, so that it is in registers: behind a reference, the compiler would read everything anew
/// after each atomic load.
#[derive(Clone, Copy)]
pub(super) struct View<'b> {
    /// At least one.
    all: &'b [Bucket],
    secrets: Secrets,
}

impl<'b> View<'b> {
    /// How many buckets there are.
    pub(super) fn count(self) -> usize {
        self.all.len()
    }

    /// Which part of the table a key belongs to.
    #[inline(always)]
    pub(super) fn share(self, key: Words) -> Share {
        Share((self.secrets.hash(key) >> 32) as u32)
    }

    /// Begins to fetch the home of a key.
    #[inline(always)]
    pub(super) fn prefetch(self, share: Share) {
        prefetch((&raw const *self.home(share)).cast(), 1);
    }

    /// Begins to fetch the bucket after it.
    pub(super) fn prefetch_beyond(self, share: Share) {
        prefetch((&raw const *self.home(share)).wrapping_add(1).cast(), 1);
    }

    /// Looks for a key in its home.
    #[inline(always)]
    pub(super) fn look(self, share: Share, key: Words) -> Look {
        self.home(share).look(key)
    }

    /// Looks for a key that is not in its home in the buckets after it.
    #[cold]
    pub(super) fn find_beyond(self, share: Share, key: Words) -> Place {
        for bucket in self.way(share).skip(1) {
            let look = self.all[bucket].look(key);
            if !look.goes_on() {
                return look.place;
            }
        }
        NOWHERE
    }

    /// Looks for a key wherever it may be.
    #[inline]
    pub(super) fn find(self, key: Words) -> Place {
        let share = self.share(key);
        let look = self.look(share, key);
        if look.goes_on() { self.find_beyond(share, key) } else { look.place }
    }

    /// The numbers of all buckets, in the order in which a key is looked for in them, or put there.
    pub(super) fn way(self, share: Share) -> impl Iterator<Item = usize> + use<> {
        let (home, count) = (self.number(share), self.count());
        (home..count).chain(0..home)
    }

    #[inline(always)]
    fn number(self, share: Share) -> usize {
        ((u64::from(share.0) * self.all.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn home(self, share: Share) -> &'b Bucket {
        // SAFETY: the share is less than 2^32. So the upper half of its product with the number of buckets, of which there are some, but
        // fewer than 2^32, is less than that number.
        unsafe { self.all.get_unchecked(self.number(share)) }
    }
}

/// Four slots. Has no padding, and may be all zeroes, which is four empty slots.
#[repr(C, align(64))]
struct Bucket {
    slots: [Slot; SLOTS],
}

impl Bucket {
    /// Without branches: in which slot a key is nobody can guess. The last one counts, should there be two: the writer may have removed
    /// the key in one and put it into another in the meantime.
    #[inline(always)]
    fn look(&self, key: Words) -> Look {
        let mut found = Look { place: NOWHERE, passed: 0 };
        for (number, slot) in self.slots.iter().enumerate() {
            let mut tail = slot.tail.load(Acquire);
            if number == 0 {
                found.passed = tail & PASSED;
                tail &= !PASSED;
            }
            // Too large if the slot is empty, or the key's end another one: then they differ by 2^32 at least.
            let place = tail.wrapping_sub(key.tail + 1);
            let is_here = (place < PLACES) & (slot.head.load(Relaxed) == key.head);
            found.place = select_unpredictable(is_here, place, found.place);
        }
        found
    }
}

#[repr(C)]
struct Slot {
    /// The key's first eight bytes.
    head: AtomicU64,
    /// From the top: its last four, [`PASSED`] (in a bucket's first slot), and the number of its value's place counted from one, or zero.
    tail: AtomicU64,
}

impl Slot {
    fn place(&self) -> Place {
        (self.tail.load(Relaxed) & PLACES).wrapping_sub(1)
    }

    fn key(&self) -> Key {
        Words { head: self.head.load(Relaxed), tail: self.tail.load(Relaxed) & KEY_END }.key()
    }

    /// Whoever sees the new tail sees the head and the value that were written before.
    fn set_tail(&self, tail: u64) {
        let passed = self.tail.load(Relaxed) & PASSED;
        self.tail.store(tail | passed, Release);
    }
}

/// A key as it stands in a slot: its end is the upper half of the tail.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) head: u64,
    pub(super) tail: u64,
}

impl Words {
    #[inline(always)]
    pub(super) fn new(key: Key) -> Self {
        let [a, b, c, d, e, f, g, h, end @ ..] = key;
        let head = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        Self { head, tail: u64::from(u32::from_ne_bytes(end)) << 32 }
    }

    fn key(self) -> Key {
        let mut key = Key::default();
        key[..8].copy_from_slice(&self.head.to_ne_bytes());
        key[8..].copy_from_slice(&((self.tail >> 32) as u32).to_ne_bytes());
        key
    }
}

/// What was seen of a key in one bucket.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// Where its value is, or [`NOWHERE`].
    pub(super) place: Place,
    passed: u64,
}

impl Look {
    /// Whether the key may be in a bucket after this one.
    #[inline(always)]
    pub(super) fn goes_on(self) -> bool {
        (self.place == NOWHERE) & (self.passed != 0)
    }
}

/// Where a value is: less than [`PLACES`], or [`NOWHERE`].
pub(super) type Place = u64;

/// There is no value.
pub(super) const NOWHERE: Place = Place::MAX;

/// How many places can be told apart.
pub(super) const PLACES: u64 = (1 << 31) - 1;

/// A part of the table, of 2^32. The home bucket follows from it.
#[derive(Clone, Copy, Default)]
pub(super) struct Share(u32);

/// A slot, by its bucket and by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) bucket: usize,
    pub(super) slot: usize,
}

/// Slots of a bucket.
pub(super) const SLOTS: usize = 4;

/// In a tail: some key that would have its place in this bucket, or before, is after it.
const PASSED: u64 = 1 << 31;

/// In a tail: the end of the key.
const KEY_END: u64 = !0 << 32;
