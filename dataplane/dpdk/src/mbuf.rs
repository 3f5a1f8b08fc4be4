//! Packet buffers, and bursts of them.

mod burst;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;

use photongate_dpdk_sys::{self as sys, mbuf as field};

use crate::cache::{CACHE_LINE, prefetch};
use crate::{HEADROOM, Mempool};

pub use burst::Burst;

/// A packet in a buffer of a [`Mempool`], or in a chain of them. Has one owner; dropping it returns the buffers.
///
/// The data of a packet lie somewhere in its buffer, with free bytes before (headroom) and after (tailroom), so that
/// headers can be added and removed without moving the rest.
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: an `Mbuf` is the only handle to its buffers, and pools take buffers back on any thread.
unsafe impl Send for Mbuf {}
// SAFETY: `&Mbuf` only reads the packet and its description, and nobody writes them while it is shared.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// Whether the packet lies in one buffer. Only long packets on ports that split them, and reassembled ones, do not.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        // SAFETY: `self` owns the packet.
        unsafe { field::nb_segs(self.as_ptr()) == 1 }
    }

    /// Bytes of the whole packet.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "an empty packet is nothing anyone asks for")]
    pub fn len(&self) -> usize {
        // SAFETY: `self` owns the packet.
        unsafe { field::pkt_len(self.as_ptr()) as usize }
    }

    /// The data in the first buffer: the whole packet if it is contiguous.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: `self` owns the packet, and is borrowed as long as the slice lives.
        unsafe { segment(self.0) }
    }

    /// The data in each buffer in turn.
    pub fn segments(&self) -> Segments<'_> {
        Segments { next: Some(self.0), packet: PhantomData }
    }

    /// Where in its buffer the (first) data lie.
    #[inline]
    pub fn data_range(&self) -> Range<usize> {
        // SAFETY: `self` owns the packet.
        let (start, length) = unsafe { (field::data_off(self.as_ptr()), field::data_len(self.as_ptr())) };
        usize::from(start)..usize::from(start) + usize::from(length)
    }

    /// The whole (first) buffer, headroom and tailroom included, and where in it the data lie.
    #[inline]
    pub fn buffer_mut(&mut self) -> (&mut [u8], Range<usize>) {
        let range = self.data_range();
        // SAFETY: the buffer is `buf_len` initialised bytes from `buf_addr` (pools are made of zeroed pages), belongs
        // to this packet alone, and `self` is borrowed mutably as long as the slice lives.
        let buffer = unsafe {
            slice::from_raw_parts_mut(field::buf_addr(self.as_ptr()), usize::from(field::buf_len(self.as_ptr())))
        };
        (buffer, range)
    }

    /// Says where in its buffer the data lie from now on; the packet is then that long.
    ///
    /// # Errors
    /// [`MbufError`] when the range ends before it starts or outside the buffer, or the packet is not contiguous.
    /// Then nothing changes.
    #[inline]
    pub fn set_data_range(&mut self, range: Range<usize>) -> Result<(), MbufError> {
        // SAFETY: `self` owns the packet.
        let buffer = usize::from(unsafe { field::buf_len(self.as_ptr()) });
        if !self.is_contiguous() {
            return Err(MbufError::Segmented);
        }
        if range.start > range.end || range.end > buffer {
            return Err(MbufError::OutOfBounds { start: range.start, end: range.end, buffer });
        }
        let length = range.end - range.start;
        // SAFETY: `self` owns the packet mutably. The range is inside the buffer, whose length has 16 bits, so the
        // casts lose nothing, and in a packet of one segment both lengths are the same.
        unsafe {
            field::set_data_off(self.as_ptr(), range.start as u16);
            field::set_data_len(self.as_ptr(), length as u16);
            field::set_pkt_len(self.as_ptr(), length as u32);
        }
        Ok(())
    }

    /// The same packet in one buffer: itself if it is contiguous, otherwise a copy in a buffer of `pool`, freeing the
    /// chain.
    ///
    /// # Errors
    /// The packet as it was, and [`MbufError::TooLong`] or [`MbufError::NoBuffer`].
    pub fn into_contiguous(self, pool: &Mempool) -> Result<Self, (Self, MbufError)> {
        if self.is_contiguous() {
            return Ok(self);
        }
        let (length, room) = (self.len(), usize::from(pool.data_room()));
        if length > room {
            return Err((self, MbufError::TooLong { length, room }));
        }
        // SAFETY: `self` owns the packet, the pool is never freed, and the copy is of all bytes.
        let copy = unsafe { sys::rte_pktmbuf_copy(self.as_ptr(), pool.as_ptr(), 0, u32::MAX) };
        match NonNull::new(copy) {
            // SAFETY: DPDK made the copy, with one reference, for us alone.
            Some(copy) => Ok(unsafe { Self::from_raw(copy) }),
            None => Err((self, MbufError::NoBuffer)),
        }
    }

    /// The port the packet came in by, as [`crate::Port::id`] has it.
    #[inline]
    pub fn port(&self) -> u16 {
        // SAFETY: `self` owns the packet.
        unsafe { field::port(self.as_ptr()) }
    }

    /// The hash by which the port chose the receive queue, if it tells.
    #[inline]
    pub fn rss_hash(&self) -> Option<u32> {
        let is_known = self.flags() & sys::PG_RX_RSS_HASH != 0;
        // SAFETY: `self` owns the packet.
        is_known.then(|| unsafe { field::rss(self.as_ptr()) })
    }

    /// The 802.1Q tag control information, if the port took the tag out of the packet.
    #[inline]
    pub fn stripped_vlan(&self) -> Option<u16> {
        let is_stripped = self.flags() & sys::PG_RX_VLAN_STRIPPED == sys::PG_RX_VLAN_STRIPPED;
        // SAFETY: `self` owns the packet.
        is_stripped.then(|| unsafe { field::vlan_tci(self.as_ptr()) })
    }

    /// What the port found of the IP header checksum.
    #[inline]
    pub fn ip_checksum(&self) -> Checksum {
        Checksum::from_flags(self.flags() & sys::PG_RX_IP_CKSUM_MASK, sys::PG_RX_IP_CKSUM_GOOD, sys::PG_RX_IP_CKSUM_BAD)
    }

    /// What the port found of the UDP or TCP checksum.
    #[inline]
    pub fn l4_checksum(&self) -> Checksum {
        Checksum::from_flags(self.flags() & sys::PG_RX_L4_CKSUM_MASK, sys::PG_RX_L4_CKSUM_GOOD, sys::PG_RX_L4_CKSUM_BAD)
    }

    /// Says which checksums the port shall fill in when it sends the packet; `None`: the packet is complete.
    ///
    /// Drivers of virtual devices hand packets on with what was asked of them before, so set this for each packet of
    /// a queue that was granted checksums, also for those that need none.
    #[inline]
    pub fn set_tx_checksums(&mut self, checksums: Option<TxChecksums>) {
        const ALL: u64 = sys::PG_TX_IP_CKSUM | sys::PG_TX_UDP_CKSUM | sys::PG_TX_IPV4 | sys::PG_TX_IPV6;
        let before = self.flags();
        let mut flags = before & !ALL;
        if let Some(wanted) = checksums {
            flags |= if wanted.is_ipv6 { sys::PG_TX_IPV6 } else { sys::PG_TX_IPV4 };
            flags |= if wanted.ip && !wanted.is_ipv6 { sys::PG_TX_IP_CKSUM } else { 0 };
            flags |= if wanted.udp { sys::PG_TX_UDP_CKSUM } else { 0 };
            let lengths = field::tx_lengths(wanted.ethernet_length, wanted.ip_length);
            // SAFETY: `self` owns the packet mutably.
            unsafe { field::set_tx_offload(self.as_ptr(), lengths) };
        }
        // Most packets ask for nothing, and nothing was asked for them: their descriptions are not written to. Without flags, nobody
        // reads the lengths.
        if flags != before {
            // SAFETY: as above.
            unsafe { field::set_ol_flags(self.as_ptr(), flags) };
        }
    }

    /// Fetches the packet's description into the cache, and the start of the data where a port puts them, for use a little later: as much
    /// as headers take, those to come included, and a short payload.
    #[inline]
    pub fn prefetch(&self) {
        let description: *const u8 = self.as_ptr().cast();
        // Not by the buffer's address: that would have to be waited for.
        let data = description.wrapping_add(sys::PG_MBUF_DESCRIPTION as usize + HEADROOM);
        prefetch(description, DESCRIPTION_LINES);
        prefetch(data.wrapping_sub(CACHE_LINE), HEADER_LINES);
    }

    fn flags(&self) -> u64 {
        // SAFETY: `self` owns the packet.
        unsafe { field::ol_flags(self.as_ptr()) }
    }

    fn as_ptr(&self) -> *mut sys::rte_mbuf {
        self.0.as_ptr()
    }

    /// Takes ownership of a packet.
    ///
    /// # Safety
    /// `raw` is a packet that DPDK handed out, and nobody else holds it or memory of it.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<sys::rte_mbuf>) -> Self {
        Self(raw)
    }

    /// Gives ownership away; whoever takes the pointer frees the packet.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut sys::rte_mbuf {
        let raw = self.as_ptr();
        std::mem::forget(self);
        raw
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` is the packet's only owner, and ends here.
        unsafe { sys::pg_mbuf_free(self.as_ptr()) }
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("len", &self.len())
            .field("port", &self.port())
            .field("data", &self.data_range())
            .finish()
    }
}

/// The data of each buffer of a packet, see [`Mbuf::segments`].
pub struct Segments<'m> {
    next: Option<NonNull<sys::rte_mbuf>>,
    packet: PhantomData<&'m Mbuf>,
}

impl<'m> Iterator for Segments<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let current = self.next?;
        // SAFETY: `current` is a segment of a packet that is borrowed for `'m`.
        self.next = NonNull::new(unsafe { field::next(current.as_ptr()) });
        // SAFETY: as above.
        Some(unsafe { segment(current) })
    }
}

/// What a port found of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It did not look.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
}

impl Checksum {
    fn from_flags(found: u64, good: u64, bad: u64) -> Self {
        if found == good {
            Self::Good
        } else if found == bad {
            Self::Bad
        } else {
            Self::Unknown
        }
    }
}

/// Checksums that a port shall fill in. Only for ports that were granted them ([`crate::port::Granted`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxChecksums {
    /// Fill in the IPv4 header checksum. The field must be zero.
    pub ip: bool,
    /// Fill in the UDP checksum. [`crate::TxQueue`] puts the pseudo-header's sum there, as drivers want it.
    pub udp: bool,
    /// Whether the packet is IPv6, which has no header checksum.
    pub is_ipv6: bool,
    /// Bytes before the IP header, at most 127.
    pub ethernet_length: u8,
    /// Bytes of the IP header with options or extension headers, at most 511.
    pub ip_length: u16,
}

/// Why a packet cannot be changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MbufError {
    /// The data would not lie inside the buffer.
    #[error("data from {start} to {end} do not fit a buffer of {buffer} bytes")]
    OutOfBounds {
        /// Asked first byte.
        start: usize,
        /// Asked end.
        end: usize,
        /// Bytes of the buffer.
        buffer: usize,
    },
    /// The packet lies in several buffers.
    #[error("the packet is not contiguous")]
    Segmented,
    /// The packet is longer than a buffer of the pool.
    #[error("a packet of {length} bytes does not fit buffers of {room}")]
    TooLong {
        /// Bytes of the packet.
        length: usize,
        /// Bytes that a buffer of the pool holds.
        room: usize,
    },
    /// The pool is empty.
    #[error("no free packet buffer")]
    NoBuffer,
}

/// The data of one segment.
///
/// # Safety
/// The segment belongs to a packet that nobody writes or frees while the slice lives.
#[inline]
unsafe fn segment<'m>(raw: NonNull<sys::rte_mbuf>) -> &'m [u8] {
    let raw = raw.as_ptr();
    // SAFETY: the data are `data_len` initialised bytes at `data_off` in the buffer: drivers keep to that, and
    // `set_data_range` checks it.
    unsafe {
        let start = field::buf_addr(raw).add(usize::from(field::data_off(raw)));
        slice::from_raw_parts(start, usize::from(field::data_len(raw)))
    }
}

/// What DPDK keeps of a packet, what it looks at when it frees it included.
const DESCRIPTION_LINES: usize = 2;

/// The headroom into which headers grow; Ethernet, IP, UDP and LF headers; and 64 bytes and more of payload.
const HEADER_LINES: usize = 5;
