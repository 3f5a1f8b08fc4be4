//! What the writer knows of the buckets beside what is in them.

use super::buckets::{Buckets, Place, SLOTS, Spot, Words};

/// Finds slots for keys, and keeps count of the keys that are not at home.
pub(super) struct Books {
    of: Vec<Book>,
}

#[derive(Clone, Default)]
struct Book {
    /// Keys that are in a later bucket and came by here on their way.
    passed: u32,
    /// A bit for each slot that is empty, but whose key some reader may still be looking at.
    held: u8,
}

impl Books {
    /// For so many buckets, all of them empty.
    pub(super) fn new(buckets: usize) -> Self {
        Self { of: vec![Book::default(); buckets] }
    }

    /// Puts a key that is not in the table into the first slot that is free.
    ///
    /// # Panics
    /// When there is none.
    pub(super) fn put(&mut self, buckets: &Buckets, key: Words, place: Place) {
        let view = buckets.view();
        for bucket in view.way(view.share(key)) {
            if let Some(slot) = (0..SLOTS).find(|&slot| self.is_free(buckets, Spot { bucket, slot })) {
                buckets.put(Spot { bucket, slot }, key, place);
                return;
            }
            let book = &mut self.of[bucket];
            book.passed += 1;
            if book.passed == 1 {
                buckets.set_passed(bucket, true);
            }
        }
        unreachable!("there are as many slots as places for values, and one of those was free");
    }

    /// Takes a key out. Its slot stays taken, for readers may be looking at it, until it is [released](Self::release).
    pub(super) fn take_out(&mut self, buckets: &Buckets, key: Words) -> Option<(Spot, Place)> {
        let (spot, place) = buckets.locate(key)?;
        buckets.clear(spot);
        self.of[spot.bucket].held |= 1 << spot.slot;
        let view = buckets.view();
        for bucket in view.way(view.share(key)).take_while(|&bucket| bucket != spot.bucket) {
            let book = &mut self.of[bucket];
            book.passed -= 1;
            if book.passed == 0 {
                buckets.set_passed(bucket, false);
            }
        }
        Some((spot, place))
    }

    /// Makes the slot of a key that was taken out free: every reader has quiesced since.
    pub(super) fn release(&mut self, spot: Spot) {
        self.of[spot.bucket].held &= !(1 << spot.slot);
    }

    fn is_free(&self, buckets: &Buckets, spot: Spot) -> bool {
        buckets.is_empty(spot) && self.of[spot.bucket].held & (1 << spot.slot) == 0
    }
}
