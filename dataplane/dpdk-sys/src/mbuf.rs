//! Fields of `struct rte_mbuf`, read and written in place.
//!
//! A C function per field would cost a call per packet and field. The layout is not mirrored in Rust either: it
//! differs between versions. `csrc/shim.h` takes each offset from the installed headers with `offsetof`, and the
//! accessors here add it to the pointer.
//!
//! # Safety
//! All functions ask the same of the caller: `mbuf` came from DPDK and was not freed since, and the caller may read
//! it (write it, for setters) while the call lasts.

use crate::bindings::{
    PG_MBUF_BUF_ADDR, PG_MBUF_BUF_LEN, PG_MBUF_DATA_LEN, PG_MBUF_DATA_OFF, PG_MBUF_L2_LEN_SHIFT, PG_MBUF_L3_LEN_SHIFT,
    PG_MBUF_NB_SEGS, PG_MBUF_NEXT, PG_MBUF_OL_FLAGS, PG_MBUF_PKT_LEN, PG_MBUF_PORT, PG_MBUF_RSS, PG_MBUF_TX_OFFLOAD,
    PG_MBUF_VLAN_TCI, rte_mbuf,
};

macro_rules! fields {
    ($($(#[$doc:meta])* $getter:ident $(/ $setter:ident)?: $type:ty = $offset:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Safety
        /// See the module.
        #[inline]
        pub unsafe fn $getter(mbuf: *const rte_mbuf) -> $type {
            // SAFETY: the offset is that of a field of this type in the installed headers, and the caller vouches for
            // the pointer.
            unsafe { mbuf.byte_add($offset as usize).cast::<$type>().read() }
        }
        $(
            #[doc = concat!("Sets [`", stringify!($getter), "`].")]
            ///
            /// # Safety
            /// See the module.
            #[inline]
            pub unsafe fn $setter(mbuf: *mut rte_mbuf, value: $type) {
                // SAFETY: the offset is that of a field of this type in the installed headers, and the caller vouches
                // for the pointer.
                unsafe { mbuf.byte_add($offset as usize).cast::<$type>().write(value) }
            }
        )?
    )* };
}

fields! {
    /// Start of the segment's buffer.
    buf_addr: *mut u8 = PG_MBUF_BUF_ADDR;
    /// Length of the segment's buffer, in bytes.
    buf_len: u16 = PG_MBUF_BUF_LEN;
    /// Where the segment's data begin in its buffer, in bytes.
    data_off / set_data_off: u16 = PG_MBUF_DATA_OFF;
    /// Bytes of data in this segment.
    data_len / set_data_len: u16 = PG_MBUF_DATA_LEN;
    /// Bytes of data in all segments. Only in the first one.
    pkt_len / set_pkt_len: u32 = PG_MBUF_PKT_LEN;
    /// Number of segments. Only in the first one.
    nb_segs: u16 = PG_MBUF_NB_SEGS;
    /// The next segment, or null.
    next: *mut rte_mbuf = PG_MBUF_NEXT;
    /// The port the packet came in by.
    port: u16 = PG_MBUF_PORT;
    /// `PG_RX_*` and `PG_TX_*` flags.
    ol_flags / set_ol_flags: u64 = PG_MBUF_OL_FLAGS;
    /// The receive-side scaling hash, if `ol_flags` say so.
    rss: u32 = PG_MBUF_RSS;
    /// The 802.1Q tag control information that the port stripped, if `ol_flags` say so.
    vlan_tci: u16 = PG_MBUF_VLAN_TCI;
    /// Header lengths for transmit offloads, see [`tx_lengths`].
    tx_offload / set_tx_offload: u64 = PG_MBUF_TX_OFFLOAD;
}

/// The `tx_offload` word for a packet with these lengths (in bytes) of its Ethernet header, at most 127, and IP
/// header, at most 511.
#[inline]
pub const fn tx_lengths(l2: u8, l3: u16) -> u64 {
    ((l2 as u64) << PG_MBUF_L2_LEN_SHIFT) | ((l3 as u64) << PG_MBUF_L3_LEN_SHIFT)
}
