//! The processor's cache lines.

/// Begins to fetch so many cache lines, from that of `start` on. The address may be any: what is not there is not fetched.
#[inline(always)]
pub(crate) fn prefetch(start: *const u8, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..lines {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch does not fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line * CACHE_LINE).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, lines);
}

/// Bytes of one.
pub(crate) const CACHE_LINE: usize = 64;
