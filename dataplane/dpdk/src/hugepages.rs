//! Large pages for large tables in ordinary memory.
//!
//! A table that packets look into at random has a page for each few of them. The processor knows where some thousand pages are; for the
//! others it walks through the kernel's tables, in a virtual machine through two of them, and that takes longer than the memory itself.
//! One page of 2 MiB stands for 512 ordinary ones. Nothing has to be set aside for it: the kernel finds transparent hugepages when
//! it is asked to (`/sys/kernel/mm/transparent_hugepage/enabled` is `madvise` or `always`), and where it finds none, ordinary pages stay.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem;
use std::ptr::NonNull;

use nix::libc;

/// Asks the kernel to put `memory` into hugepages, as far as it fills whole ones. What it holds stays as it is.
///
/// Takes some time: the kernel copies what is there. Not for the packet path.
pub fn gather<T>(memory: &[T]) {
    let start = memory.as_ptr().addr().next_multiple_of(HUGEPAGE);
    let end = (memory.as_ptr().addr() + size_of_val(memory)) / HUGEPAGE * HUGEPAGE;
    if start < end {
        // SAFETY: the pages are inside `memory`, which is borrowed. Either advice changes how the kernel maps them, never what is in
        // them. That it cannot follow is no error.
        unsafe {
            let start = memory.as_ptr().with_addr(start).cast_mut().cast();
            libc::madvise(start, end - start.addr(), libc::MADV_HUGEPAGE);
            libc::madvise(start, end - start.addr(), MADV_COLLAPSE);
        }
    }
}

/// Places for values, side by side in hugepages. A value stays where it is until it is removed.
pub(crate) struct Slab<V> {
    chunks: Vec<NonNull<V>>,
    /// Places of the last chunk that were never used.
    unused: usize,
    /// Places that were used, and are not now.
    free: Vec<NonNull<V>>,
}

// SAFETY: the slab owns its memory, and values only move into it.
unsafe impl<V: Send> Send for Slab<V> {}

impl<V> Slab<V> {
    pub(crate) const fn new() -> Self {
        const { assert!(size_of::<V>() > 0 && size_of::<V>() <= HUGEPAGE && align_of::<V>() <= HUGEPAGE) }
        Self { chunks: Vec::new(), unused: 0, free: Vec::new() }
    }

    /// Puts a value into a free place. The caller has to [`remove`](Self::remove) it before the slab goes.
    pub(crate) fn put(&mut self, value: V) -> NonNull<V> {
        let place = self.free.pop().unwrap_or_else(|| self.new_place());
        // SAFETY: the place is inside a chunk, aligned as the chunk's start is and as arrays of `V` are, and nothing is there.
        unsafe { place.write(value) };
        place
    }

    /// Drops a value where it is, so that one that wipes itself leaves nothing behind. Its place is then free.
    ///
    /// # Safety
    /// `place` came from [`put`](Self::put) of this slab, was not removed since, and nobody looks at the value any more.
    pub(crate) unsafe fn remove(&mut self, place: NonNull<V>) {
        // SAFETY: a value is there, and nobody has it or will look at it again.
        unsafe { place.drop_in_place() };
        if cfg!(debug_assertions) {
            // Nobody notices who looks at it nevertheless, as the memory stays: so there is something else.
            // SAFETY: the place is as long as a value, and ours.
            unsafe { place.cast::<u8>().write_bytes(GONE, size_of::<V>()) };
        }
        self.free.push(place);
    }

    fn new_place(&mut self) -> NonNull<V> {
        if self.unused == 0 {
            // SAFETY: the layout's size is not zero.
            let chunk = NonNull::new(unsafe { alloc(Self::CHUNK) }).unwrap_or_else(|| handle_alloc_error(Self::CHUNK));
            // SAFETY: the chunk is one hugepage that nobody uses yet. Which pages it is made of does not change what is in it.
            unsafe { libc::madvise(chunk.as_ptr().cast(), HUGEPAGE, libc::MADV_HUGEPAGE) };
            self.chunks.push(chunk.cast());
            self.unused = Self::IN_CHUNK;
        }
        self.unused -= 1;
        let chunk = *self.chunks.last().expect("a place is left in it");
        // SAFETY: less than `IN_CHUNK`, so inside the chunk.
        unsafe { chunk.add(self.unused) }
    }

    const CHUNK: Layout = match Layout::from_size_align(HUGEPAGE, HUGEPAGE) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };
    const IN_CHUNK: usize = HUGEPAGE / size_of::<V>();
}

impl<V> Drop for Slab<V> {
    fn drop(&mut self) {
        for chunk in mem::take(&mut self.chunks) {
            // SAFETY: allocated with this layout, and by now without values, as the users of `put` promise.
            unsafe { dealloc(chunk.as_ptr().cast(), Self::CHUNK) };
        }
    }
}

/// Bytes of the smaller hugepages of x86-64 and of ARMv8 with ordinary pages of 4 KiB.
const HUGEPAGE: usize = 2 << 20;

/// What tests find where a value was.
const GONE: u8 = 0xdd;

/// Makes hugepages at once of what is there (Linux 6.1). Older kernels do not know it, and do so by and by.
const MADV_COLLAPSE: libc::c_int = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_is_gathered_stays_as_it_is() {
        let memory: Vec<u64> = (0..(3 * HUGEPAGE / 8 + 5) as u64).collect();
        gather(&memory);
        gather(&memory[..7]);
        gather::<u64>(&[]);
        assert!(memory.iter().zip(0..).all(|(value, expected)| *value == expected));
    }

    #[test]
    fn values_are_where_they_were_put_until_they_are_removed() {
        let mut slab: Slab<[u64; 100]> = Slab::new();
        let places: Vec<_> = (0..5_000).map(|n| slab.put([n; 100])).collect();
        // SAFETY: nothing was removed yet.
        assert!(places.iter().zip(0..).all(|(place, n)| unsafe { place.as_ref() } == &[n; 100]));
        // SAFETY: put above, and removed once.
        places.iter().for_each(|place| unsafe { slab.remove(*place) });
        assert!(places.contains(&slab.put([1; 100])));
    }

    #[test]
    fn a_value_that_is_removed_is_dropped_once() {
        let value = Arc::new(());
        let mut slab = Slab::new();
        let place = slab.put(Arc::clone(&value));
        // SAFETY: put above, and removed once.
        unsafe { slab.remove(place) };
        drop(slab);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
