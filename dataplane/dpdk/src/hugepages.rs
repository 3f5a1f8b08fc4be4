//! Large pages for large tables in ordinary memory.
//!
//! A table that packets look into at random has a page for each few of them. The processor knows where some thousand pages are; for the
//! others it walks through the kernel's tables, in a virtual machine through two of them, and that takes longer than the memory itself.
//! One page of 2 MiB stands for 512 ordinary ones. Nothing has to be set aside for it: the kernel finds transparent hugepages when
//! it is asked to (`/sys/kernel/mm/transparent_hugepage/enabled` is `madvise` or `always`), and where it finds none, ordinary pages stay.

use std::ptr::{self, NonNull};

use nix::libc;

use crate::Errno;

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

/// Memory of its own, from hugepages where the kernel finds some. Whole ones, at an address that is a multiple of theirs. Zero at first.
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a region is addresses. What is done with what is there is up to who does it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// At least so many bytes. They are addresses only: the kernel finds memory for a page when it is touched.
    ///
    /// # Errors
    /// There are no such addresses, or the kernel promises no more memory than it has.
    pub(crate) fn map(len: usize) -> Result<Self, Errno> {
        let len = len.max(1).next_multiple_of(HUGEPAGE);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, at whatever address, changes no memory that there is.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), len + HUGEPAGE, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(Errno::new(nix::errno::Errno::last_raw()));
        }
        let before = mapped.addr().next_multiple_of(HUGEPAGE) - mapped.addr();
        let start = mapped.wrapping_byte_add(before);
        // SAFETY: what is left of the mapping before and after the aligned part is whole pages, and nobody has them yet. The advice
        // changes how the kernel maps the part between. That it cannot follow is no error.
        unsafe {
            unmap(mapped, before);
            unmap(start.wrapping_byte_add(len), HUGEPAGE - before);
            libc::madvise(start, len, libc::MADV_HUGEPAGE);
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address 0 unless it is told to");
        Ok(Self { start, len })
    }

    /// The first byte.
    #[inline(always)]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Has the kernel find memory for all of it now, while it is still all zeroes.
    pub(crate) fn touch(&self) {
        // SAFETY: all of it is mapped, to be written to, and zero is what is there.
        unsafe { self.start.write_bytes(0, self.len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped in `map`, and whoever had a part of it is gone.
        unsafe { unmap(self.start.as_ptr().cast(), self.len) }
    }
}

/// # Safety
/// Whole pages of a mapping that nobody uses any more.
unsafe fn unmap(start: *mut libc::c_void, len: usize) {
    if len > 0 {
        // SAFETY: the caller's promise.
        let status = unsafe { libc::munmap(start, len) };
        debug_assert_eq!(status, 0, "the pages were mapped");
    }
}

/// Bytes of the smaller hugepages of x86-64 and of ARMv8 with ordinary pages of 4 KiB.
pub(crate) const HUGEPAGE: usize = 2 << 20;

/// Makes hugepages at once of what is there (Linux 6.1). Older kernels do not know it, and do so by and by.
const MADV_COLLAPSE: libc::c_int = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    #[test]
    fn what_is_gathered_stays_as_it_is() {
        let memory: Vec<u64> = (0..(3 * HUGEPAGE / 8 + 5) as u64).collect();
        gather(&memory);
        gather(&memory[..7]);
        gather::<u64>(&[]);
        assert!(memory.iter().zip(0..).all(|(value, expected)| *value == expected));
    }

    #[test]
    fn a_region_is_whole_hugepages_of_zeroes() {
        let region = Region::map(HUGEPAGE + 1).unwrap();
        assert_eq!((region.start().addr().get() % HUGEPAGE, region.len), (0, 2 * HUGEPAGE));
        region.touch();
        // SAFETY: mapped, that long, and nobody writes to it.
        let bytes = unsafe { slice::from_raw_parts(region.start().as_ptr(), region.len) };
        assert!(bytes.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_region_beyond_the_address_space_is_refused() {
        assert_eq!(Region::map(1 << 52).err().map(Errno::number), Some(libc::ENOMEM));
    }
}
