//! One packet's buffer, with room before and after the bytes for headers to come and go.

use std::ops::Range;

/// A packet inside a larger buffer. Encapsulation grows it at the front, decapsulation shrinks it there; the payload never moves.
#[derive(Debug)]
pub struct Frame<'b> {
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
    port: PortIndex,
}

/// A port's place in [`crate::Settings::ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortIndex(pub u8);

impl<'b> Frame<'b> {
    /// The packet at `start..end` of `buffer`, which arrived at `port`.
    ///
    /// # Panics
    /// If the range is not inside the buffer.
    #[inline]
    pub fn new(buffer: &'b mut [u8], start: usize, end: usize, port: PortIndex) -> Self {
        assert!(start <= end && end <= buffer.len(), "a frame lies inside its buffer");
        Self { buffer, start, end, port }
    }

    /// The port by which the packet arrived.
    #[inline]
    pub fn port(&self) -> PortIndex {
        self.port
    }

    /// The packet's bytes, from the Ethernet header on.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The packet's bytes, to be rewritten in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Where the packet lies in its buffer.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Length of the packet in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether the packet has no bytes at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that [`Self::open_gap`] may add in front.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Makes a gap of `gap` bytes after the first `header_len` bytes, which move towards the front; `None` if there is no room.
    /// The gap holds what was there before: the caller overwrites all of it.
    #[inline(always)]
    #[must_use]
    pub fn open_gap(&mut self, header_len: usize, gap: usize) -> Option<()> {
        let start = self.start.checked_sub(gap)?;
        let header = self.start..self.start.checked_add(header_len).filter(|end| *end <= self.end)?;
        move_header(self.buffer, header, start);
        self.start = start;
        Some(())
    }

    /// Takes out the `gap` bytes after the first `header_len` bytes, which move towards the payload; `None` if the packet is too short.
    #[inline(always)]
    #[must_use]
    pub fn close_gap(&mut self, header_len: usize, gap: usize) -> Option<()> {
        let start = self.start.checked_add(gap)?;
        start.checked_add(header_len).filter(|end| *end <= self.end)?;
        move_header(self.buffer, self.start..self.start + header_len, start);
        self.start = start;
        Some(())
    }

    /// Drops the bytes behind the first `len`; longer than the packet is, nothing happens.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start.saturating_add(len));
    }

    /// Replaces the packet by `len` bytes that `write` fills in, grown into the room before and behind it as needed.
    /// `None`, and nothing changed, if the buffer is too small.
    #[must_use]
    pub fn replace(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Option<()> {
        let start = self.start.min(self.buffer.len().checked_sub(len)?);
        write(&mut self.buffer[start..start + len]);
        (self.start, self.end) = (start, start + len);
        Some(())
    }
}

/// Moves headers within the buffer. Those of most packets have one of two lengths, and what has a fixed length is moved by
/// a few instructions in place of a call.
#[inline(always)]
fn move_header(buffer: &mut [u8], header: Range<usize>, to: usize) {
    match header.len() {
        ETHERNET_AND_IPV4 => move_fixed::<ETHERNET_AND_IPV4>(buffer, header.start, to),
        ETHERNET_AND_IPV6 => move_fixed::<ETHERNET_AND_IPV6>(buffer, header.start, to),
        _ => buffer.copy_within(header, to),
    }
}

#[inline(always)]
fn move_fixed<const N: usize>(buffer: &mut [u8], from: usize, to: usize) {
    // As numbers, of which the last two overlap: several copies of known lengths are made one of unknown length by the compiler, a call.
    const BLOCK: usize = size_of::<u128>();
    let at = const { |block: usize| if (block + 1) * BLOCK < N { block * BLOCK } else { N - BLOCK } };
    let header: &[u8; N] = buffer[from..from + N].try_into().expect("the range is as long as the array");
    let block = |number: usize| u128::from_ne_bytes(*header[at(number)..].first_chunk().expect("a block is there"));
    let blocks = [block(0), block(1), block(2), block(3)];
    let header: &mut [u8; N] = (&mut buffer[to..to + N]).try_into().expect("the range is as long as the array");
    for (number, block) in blocks.into_iter().enumerate() {
        header[at(number)..at(number) + BLOCK].copy_from_slice(&block.to_ne_bytes());
    }
}

const ETHERNET_AND_IPV4: usize = 14 + 20;
const ETHERNET_AND_IPV6: usize = 14 + 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_opened_and_closed_again_leaves_the_packet_as_it_was() {
        let mut buffer = *b"....headpayload..";
        let mut frame = Frame::new(&mut buffer, 4, 15, PortIndex(0));
        frame.open_gap(4, 3).unwrap();
        assert_eq!(&frame.bytes()[..4], b"head");
        assert_eq!(&frame.bytes()[7..], b"payload");
        frame.close_gap(4, 3).unwrap();
        assert_eq!(frame.bytes(), b"headpayload");
        assert_eq!(frame.range(), 4..15);
    }

    #[test]
    fn a_gap_larger_than_the_headroom_is_refused_and_nothing_moves() {
        let mut buffer = *b"..headpayload";
        let mut frame = Frame::new(&mut buffer, 2, 13, PortIndex(0));
        assert_eq!(frame.open_gap(4, 3), None);
        assert_eq!(frame.close_gap(4, 8), None);
        assert_eq!(frame.bytes(), b"headpayload");
    }

    #[test]
    fn a_replacement_may_use_the_whole_buffer_but_no_more() {
        let mut buffer = [0; 16];
        let mut frame = Frame::new(&mut buffer, 4, 8, PortIndex(0));
        assert_eq!(frame.replace(17, |_| unreachable!("it does not fit")), None);
        frame.replace(16, |bytes| bytes.fill(1)).unwrap();
        assert_eq!(frame.bytes(), [1; 16]);
    }
}
