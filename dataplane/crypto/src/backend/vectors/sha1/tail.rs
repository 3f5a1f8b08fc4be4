//! The end of a message as it is hashed: its last whole chunk, the bytes behind it, a one, zeroes, and its length (FIPS 180-4,
//! section 5.1.1). So messages that are no longer than 119 bytes, most of all, are hashed in one go.

use std::mem::MaybeUninit;

use super::Chunk;

/// The end of a message.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(in crate::backend) struct Tail {
    /// The last whole chunk, if there is one, and two more: the second one counts only if the first has no room for the length.
    pub(in crate::backend) chunks: [Chunk; 3],
}

impl Tail {
    /// Where it begins, in the tail of this message.
    #[inline(always)]
    pub(in crate::backend) fn first(&self, message: &[u8]) -> *const Chunk {
        self.chunks.as_ptr().wrapping_add(usize::from(message.len() < 64))
    }
}

/// How many chunks of `message` are hashed where they are, and how many are then in its tail.
#[inline(always)]
pub(in crate::backend) fn split(message: &[u8]) -> (usize, usize) {
    let whole = message.len() / 64;
    let behind = if has_room(message.len() % 64) { 1 } else { 2 };
    let before = whole.saturating_sub(1);
    (before, whole - before + behind)
}

/// Puts the tail of `message` there.
#[inline(always)]
pub(in crate::backend) fn write(message: &[u8], place: &mut MaybeUninit<Tail>) {
    let rest = message.len() % 64;
    let chunks = &mut place.write(Tail { chunks: [[0; 64]; 3] }).chunks;
    if let Some(end) = message.last_chunk::<64>() {
        if let Some(whole) = message.as_chunks().0.last() {
            chunks[0] = *whole;
        }
        // The bytes' number varies, and a copy of 64 is cheaper than one of up to 63. What is not behind the whole chunk is there already.
        if let Some(place) = chunks.as_flattened_mut()[rest..].first_chunk_mut() {
            *place = *end;
        }
    } else {
        chunks[1][..rest].copy_from_slice(message);
    }
    chunks[1][rest] = 0x80;
    let last = if has_room(rest) { 1 } else { 2 };
    chunks[last][64 - LENGTH_LEN..].copy_from_slice(&length(message));
}

/// What is hashed behind the last chunk of a message of whole chunks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(in crate::backend) fn without_rest(message: &[u8]) -> Chunk {
    let mut chunk = [0; 64];
    chunk[0] = 0x80;
    chunk[64 - LENGTH_LEN..].copy_from_slice(&length(message));
    chunk
}

/// A message's length as it stands at the end of its last chunk: in bits, big-endian.
#[inline(always)]
pub(in crate::backend) fn length(message: &[u8]) -> [u8; LENGTH_LEN] {
    (8 * message.len() as u64).to_be_bytes()
}

/// Whether a chunk that begins with so many bytes has room for a one and the length.
#[inline(always)]
pub(in crate::backend) fn has_room(rest: usize) -> bool {
    rest < 64 - LENGTH_LEN
}

/// Bytes of the length.
const LENGTH_LEN: usize = 8;
