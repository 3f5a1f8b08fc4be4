//! Reassembly of IP fragments, with DPDK's `rte_ip_frag`.
//!
//! DPDK trusts the lengths in the headers. Everything it relies on is checked here first: the headers lie in the
//! first buffer, the packet is as long as they say, and the whole would not be longer than an IP packet can be.
//! Overlapping or duplicate fragments, more than [`MOST_FRAGMENTS`] of them, and incomplete packets are given up
//! after a time.

use std::ptr::NonNull;
use std::time::Duration;

use photongate_dpdk_sys as sys;

use crate::{Eal, Errno, Mbuf, clock};

/// Reassembles the fragments that come to one worker.
pub struct Reassembler {
    table: NonNull<sys::rte_ip_frag_tbl>,
    /// Fragments that DPDK has given up and wants freed.
    death_row: Box<sys::rte_ip_frag_death_row>,
    given_up: u64,
}

// SAFETY: the table belongs to this reassembler alone, and is not tied to a thread.
unsafe impl Send for Reassembler {}

impl Reassembler {
    /// A reassembler for up to `packets` incomplete packets, each given up `timeout` after its first fragment.
    ///
    /// # Errors
    /// [`ReassemblerError`]; most often there is not enough memory.
    pub fn create(eal: Eal, packets: u32, timeout: Duration, socket: Option<u32>) -> Result<Self, ReassemblerError> {
        let buckets = packets.max(1).next_power_of_two();
        let cycles = (timeout.as_secs_f64() * clock::tsc_hz(eal) as f64) as u64;
        let socket = socket.map_or(-1, |socket| socket as i32);
        // SAFETY: the environment is up, as `eal` shows; DPDK checks the numbers.
        let table = unsafe { sys::rte_ip_frag_table_create(buckets, BUCKET, packets.max(1), cycles, socket) };
        let table = NonNull::new(table).ok_or_else(|| ReassemblerError { packets, errno: Errno::last() })?;
        Ok(Self { table, death_row: Box::default(), given_up: 0 })
    }

    /// Takes a fragment of an IPv4 packet, whose IP header begins `offset` bytes after the start of the frame.
    ///
    /// `now` is the present [`clock::tsc`].
    ///
    /// # Errors
    /// The packet, when it is no fragment that can be reassembled.
    pub fn push_ipv4(&mut self, packet: Mbuf, offset: usize, now: u64) -> Result<Option<Mbuf>, (Mbuf, NotAFragment)> {
        let lengths = match ipv4_lengths(&packet, offset) {
            Ok(lengths) => lengths,
            Err(reason) => return Err((packet, reason)),
        };
        // SAFETY: as in `take`: the lengths were checked.
        let whole = self.take(|table, row| unsafe {
            sys::pg_reassemble_ipv4(table, row, packet.into_raw(), lengths.before_ip, lengths.headers, now)
        });
        Ok(whole.map(|mut whole| {
            set_ipv4_checksum(&mut whole, offset, usize::from(lengths.headers));
            whole
        }))
    }

    /// Takes a fragment of an IPv6 packet, whose IP header begins `offset` bytes after the start of the frame, and is
    /// followed by the fragment header.
    ///
    /// `now` is the present [`clock::tsc`].
    ///
    /// # Errors
    /// The packet, when it is no fragment that can be reassembled.
    pub fn push_ipv6(&mut self, packet: Mbuf, offset: usize, now: u64) -> Result<Option<Mbuf>, (Mbuf, NotAFragment)> {
        let lengths = match ipv6_lengths(&packet, offset) {
            Ok(lengths) => lengths,
            Err(reason) => return Err((packet, reason)),
        };
        // SAFETY: as in `take`: the lengths were checked.
        Ok(self.take(|table, row| unsafe {
            sys::pg_reassemble_ipv6(table, row, packet.into_raw(), lengths.before_ip, lengths.headers, now)
        }))
    }

    /// Gives up packets whose time is over. Call it now and then, or they stay until another fragment needs the room.
    pub fn expire(&mut self, now: u64) {
        // SAFETY: both belong to `self`. The death row is empty, so it has room for the packets of a call.
        unsafe { sys::rte_ip_frag_table_del_expired_entries(self.table.as_ptr(), &raw mut *self.death_row, now) };
        self.free_death_row();
    }

    /// How many fragments were given up: too late, too many, overlapping, or pushed out.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    fn take(
        &mut self,
        reassemble: impl FnOnce(*mut sys::rte_ip_frag_tbl, *mut sys::rte_ip_frag_death_row) -> *mut sys::rte_mbuf,
    ) -> Option<Mbuf> {
        let whole = reassemble(self.table.as_ptr(), &raw mut *self.death_row);
        self.free_death_row();
        // SAFETY: DPDK took the fragments, and gives their chain to us alone.
        NonNull::new(whole).map(|whole| unsafe { Mbuf::from_raw(whole) })
    }

    fn free_death_row(&mut self) {
        if self.death_row.cnt > 0 {
            self.given_up += u64::from(self.death_row.cnt);
            // SAFETY: the first `cnt` of the row are fragments that DPDK gave up; it sets `cnt` to zero.
            unsafe { sys::rte_ip_frag_free_death_row(&raw mut *self.death_row, 0) };
        }
    }
}

impl Drop for Reassembler {
    fn drop(&mut self) {
        // SAFETY: the table is this reassembler's alone. DPDK frees the fragments in it.
        unsafe { sys::rte_ip_frag_table_destroy(self.table.as_ptr()) }
    }
}

/// There is no reassembler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DPDK cannot make a table for {packets} incomplete packets: {errno}")]
pub struct ReassemblerError {
    /// Incomplete packets it was to hold.
    pub packets: u32,
    /// DPDK's reason.
    pub errno: Errno,
}

/// Why a packet cannot be reassembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFragment {
    /// It is a whole packet, or of another version of IP, or its fragment header does not follow the IPv6 header.
    #[error("not a fragment")]
    Whole,
    /// It is shorter than its headers say, or they contradict each other.
    #[error("a malformed fragment")]
    Malformed,
    /// The packet would be longer than IP packets can be.
    #[error("a fragment beyond the longest packet")]
    TooLong,
}

/// Lengths that DPDK asks for.
struct Lengths {
    before_ip: u16,
    headers: u16,
}

fn ipv4_lengths(packet: &Mbuf, offset: usize) -> Result<Lengths, NotAFragment> {
    let data = packet.data();
    let header = data.get(offset..).and_then(|header| header.first_chunk::<20>()).ok_or(NotAFragment::Malformed)?;
    let flags_and_offset = u16::from_be_bytes([header[6], header[7]]);
    if header[0] >> 4 != 4 || flags_and_offset & 0x3fff == 0 {
        return Err(NotAFragment::Whole);
    }
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment =
        Fragment { has_more: flags_and_offset & 0x2000 != 0, start: usize::from(flags_and_offset & 0x1fff) * 8 };
    fragment.lengths(packet, offset, header_length.max(20), total_length, header_length >= 20)
}

fn ipv6_lengths(packet: &Mbuf, offset: usize) -> Result<Lengths, NotAFragment> {
    let data = packet.data();
    let header = data.get(offset..).and_then(|header| header.first_chunk::<48>()).ok_or(NotAFragment::Malformed)?;
    if header[0] >> 4 != 6 || header[6] != FRAGMENT_HEADER {
        return Err(NotAFragment::Whole);
    }
    let flags_and_offset = u16::from_be_bytes([header[42], header[43]]);
    let total_length = usize::from(u16::from_be_bytes([header[4], header[5]])) + 40;
    let fragment = Fragment { has_more: flags_and_offset & 1 != 0, start: usize::from(flags_and_offset & 0xfff8) };
    if !fragment.has_more && fragment.start == 0 {
        // RFC 6946: an atomic fragment is a whole packet.
        return Err(NotAFragment::Whole);
    }
    fragment.lengths(packet, offset, 48, total_length, true)
}

struct Fragment {
    has_more: bool,
    start: usize,
}

impl Fragment {
    /// What the headers say, checked against the packet.
    fn lengths(
        &self,
        packet: &Mbuf,
        offset: usize,
        headers: usize,
        total: usize,
        is_valid: bool,
    ) -> Result<Lengths, NotAFragment> {
        let is_whole = offset + total <= packet.len() && offset + headers <= packet.data().len();
        // All but the last fragment hold a multiple of eight bytes, and none is empty.
        let is_aligned = total > headers && (!self.has_more || (total - headers).is_multiple_of(8));
        // DPDK's fields for these have seven and nine bits.
        let fits = offset < 1 << 7 && headers < 1 << 9;
        if !is_valid || !is_whole || !is_aligned || !fits {
            return Err(NotAFragment::Malformed);
        }
        if self.start + total > usize::from(u16::MAX) {
            return Err(NotAFragment::TooLong);
        }
        Ok(Lengths { before_ip: offset as u16, headers: headers as u16 })
    }
}

/// DPDK leaves the checksum of a reassembled packet to the port.
fn set_ipv4_checksum(packet: &mut Mbuf, offset: usize, length: usize) {
    packet.set_tx_checksums(None);
    let (buffer, range) = packet.buffer_mut();
    let Some(header) = buffer.get_mut(range.start + offset..range.start + offset + length) else { return };
    header[10..12].fill(0);
    let sum: u32 = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

/// More fragments of a packet than this are given up.
pub const MOST_FRAGMENTS: usize = sys::RTE_LIBRTE_IP_FRAG_MAX_FRAG as usize;

/// Next-header value of the fragment header.
const FRAGMENT_HEADER: u8 = 44;

/// Packets with the same hash that the table can hold.
const BUCKET: u32 = 4;
