//! One message on its way through a kernel.

use super::{Chunk, INITIAL, State};

/// A message, and how much of it has been hashed.
#[derive(Clone, Copy)]
pub(in crate::backend) struct Stream<'p> {
    /// Where the digest belongs.
    pub(in crate::backend) job: usize,
    /// The hash of the chunks that have been taken.
    pub(in crate::backend) state: State,
    message: &'p [u8],
    /// Chunks, with the padding.
    total: usize,
    taken: usize,
}

impl<'p> Stream<'p> {
    /// No message.
    pub(in crate::backend) const EMPTY: Self = Self { job: 0, state: INITIAL, message: &[], total: 0, taken: 0 };

    /// The whole of `message`.
    #[inline(always)]
    pub(in crate::backend) fn new(job: usize, message: &'p [u8]) -> Self {
        Self { job, state: INITIAL, message, total: (message.len() + 1 + LENGTH_LEN).div_ceil(64), taken: 0 }
    }

    /// The next chunks: one or more, unless all have been taken.
    #[inline(always)]
    pub(in crate::backend) fn chunks<'c>(&self, padding: &'c Padding) -> &'c [Chunk]
    where
        'p: 'c,
    {
        let (whole, _) = self.message.as_chunks();
        let (run, begin, end) = if self.taken < whole.len() {
            (whole, self.taken, whole.len())
        } else {
            (&padding.chunks[1..], self.taken - whole.len(), self.total - whole.len())
        };
        run.get(begin..end).unwrap_or_default()
    }

    /// Notes that the next `count` chunks have been taken. Whether those were all.
    #[inline(always)]
    pub(in crate::backend) fn advance(&mut self, count: usize) -> bool {
        self.taken += count;
        self.taken == self.total
    }
}

/// The end of a message as it is hashed: the bytes behind its last whole chunk, a one, zeroes, and its length (FIPS
/// 180-4, section 5.1.1).
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(in crate::backend) struct Padding {
    /// The first chunk takes what stands before those bytes when they are copied; the other two are hashed.
    chunks: [Chunk; 3],
}

impl Padding {
    pub(in crate::backend) const EMPTY: Self = Self { chunks: [[0; 64]; 3] };

    /// Becomes the end of this stream's message.
    #[inline(always)]
    pub(in crate::backend) fn fill(&mut self, stream: &Stream<'_>) {
        let message = stream.message;
        let rest = message.len() % 64;
        let [_, first, second] = &mut self.chunks;
        (*first, *second) = ([0; 64], [0; 64]);
        // The bytes' number varies, and a copy of 64 is cheaper than one of up to 63.
        if let Some(last) = message.last_chunk::<64>() {
            if let Some(place) =
                self.chunks.as_flattened_mut().get_mut(rest..).and_then(|bytes| bytes.first_chunk_mut())
            {
                *place = *last;
            }
        } else {
            first[..rest].copy_from_slice(message);
        }
        self.chunks[1][rest] = 0x80;
        let last = if rest < 64 - LENGTH_LEN { 1 } else { 2 };
        self.chunks[last][64 - LENGTH_LEN..].copy_from_slice(&(8 * message.len() as u64).to_be_bytes());
    }
}

/// The message's length in bits, at the end of the last chunk.
const LENGTH_LEN: usize = 8;
