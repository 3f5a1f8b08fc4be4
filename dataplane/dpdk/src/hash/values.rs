//! Where values are: side by side in one piece of memory, so that a number tells where a value is.

use std::hint::select_unpredictable;
use std::marker::PhantomData;
use std::ops::Range;

use super::buckets::{NOWHERE, Place};
use crate::Errno;
use crate::cache::{CACHE_LINE, prefetch};
use crate::hugepages::{HUGEPAGE, Region};

/// Places for values. A value stays where it is until it is removed. Which places are free, the writer knows ([`FreePlaces`]).
///
/// Values that are there when it goes are not dropped.
pub(super) struct Values<V> {
    region: Region,
    owned: PhantomData<V>,
}

// SAFETY: the values are owned and only move in; readers on other threads borrow them.
unsafe impl<V: Send + Sync> Send for Values<V> {}
// SAFETY: as above.
unsafe impl<V: Send + Sync> Sync for Values<V> {}

impl<V> Values<V> {
    /// Room for so many values. What no value was in yet costs only addresses.
    ///
    /// # Errors
    /// There is not so much memory.
    pub(super) fn create(places: u64) -> Result<Self, Errno> {
        const { assert!(size_of::<V>() > 0 && size_of::<V>() <= HUGEPAGE && align_of::<V>() <= HUGEPAGE) }
        let region = Region::map(places as usize * size_of::<V>())?;
        Ok(Self { region, owned: PhantomData })
    }

    /// Where the first value is. The others follow.
    #[inline(always)]
    pub(super) fn start(&self) -> Start<V> {
        Start(self.region.start().as_ptr().cast())
    }

    /// Puts a value into a free place.
    ///
    /// # Safety
    /// `place` came from [`FreePlaces::take`], for as many places as there are here, and has no value.
    pub(super) unsafe fn put(&self, place: Place, value: V) {
        // SAFETY: the place is inside the region, aligned as the region's start is and as arrays of `V` are, and nothing is there.
        unsafe { self.start().at(place).write(value) }
    }

    /// Drops a value where it is, so that one that wipes itself leaves nothing behind.
    ///
    /// # Safety
    /// The value was [`put`](Self::put) there and not removed since, and nobody looks at it any more.
    pub(super) unsafe fn remove(&self, place: Place) {
        let address = self.start().at(place);
        // SAFETY: a value is there, and nobody has it or will look at it again.
        unsafe { address.drop_in_place() };
        if cfg!(debug_assertions) {
            // Nobody notices who looks at it nevertheless, as the memory stays: so there is something else.
            // SAFETY: the place is as long as a value, and without one.
            unsafe { address.cast::<u8>().write_bytes(GONE, size_of::<V>()) };
        }
    }
}

/// Where the first value is.
pub(super) struct Start<V>(*mut V);

impl<V> Start<V> {
    /// Where a value is. The address means something only for places that there are.
    #[inline(always)]
    pub(super) fn at(self, place: Place) -> *mut V {
        self.0.wrapping_add(place as usize)
    }

    /// Begins to fetch a value, or the first one if there is none.
    #[inline(always)]
    pub(super) fn prefetch(self, place: Place) {
        let place = select_unpredictable(place == NOWHERE, 0, place);
        prefetch(self.at(place).cast(), size_of::<V>().div_ceil(CACHE_LINE).min(MOST_LINES));
    }
}

impl<V> Clone for Start<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Start<V> {}

/// Which places have no value.
pub(super) struct FreePlaces {
    /// Those that never had one.
    unused: Range<Place>,
    /// Those that had one, the last one first: it may still be in a cache.
    used: Vec<Place>,
}

impl FreePlaces {
    pub(super) fn new(places: u64) -> Self {
        Self { unused: 0..places, used: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used.is_empty() && self.unused.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Place> {
        self.used.pop().or_else(|| self.unused.next())
    }

    pub(super) fn give_back(&mut self, place: Place) {
        self.used.push(place);
    }
}

/// Of a longer value, whoever looks at it knows which lines are needed.
const MOST_LINES: usize = 2;

/// What tests find where a value was.
const GONE: u8 = 0xdd;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn values_are_where_they_were_put() {
        let (values, mut free) = (Values::<[u64; 100]>::create(5_000).unwrap(), FreePlaces::new(5_000));
        let places: Vec<_> = (0..5_000).map(|_| free.take().unwrap()).collect();
        assert!(free.is_empty() && free.take().is_none());
        for (place, n) in places.iter().zip(0..) {
            // SAFETY: taken once each.
            unsafe { values.put(*place, [n; 100]) };
        }
        // SAFETY: put above, and not removed.
        assert!(places.iter().zip(0..).all(|(place, n)| unsafe { *values.start().at(*place) } == [n; 100]));
        free.give_back(places[7]);
        assert_eq!(free.take(), Some(places[7]));
    }

    #[test]
    fn a_value_that_is_removed_is_dropped_once() {
        let value = Arc::new(());
        let values = Values::create(1).unwrap();
        // SAFETY: the only place there is.
        unsafe { values.put(0, Arc::clone(&value)) };
        // SAFETY: put above, and removed once.
        unsafe { values.remove(0) };
        drop(values);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
