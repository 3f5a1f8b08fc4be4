//! A stream of pcapng, block by block, so that no half of one is ever passed on.
//!
//! A filter sends all numbers with the highest byte first, whatever its processor (draft-ietf-opsawg-pcapng, section 3.1).

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use photongate_wire::UnixNanos;

/// Cuts a stream into blocks.
pub(super) struct Blocks<R> {
    stream: R,
    /// What has arrived of the next block.
    partial: Vec<u8>,
}

/// One whole block.
#[derive(Debug)]
pub(super) struct Block(Vec<u8>);

impl<R: Read> Blocks<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, partial: Vec::new() }
    }

    pub(super) fn stream(&self) -> &R {
        &self.stream
    }

    /// The next block; `None` at the end of the stream.
    ///
    /// # Errors
    /// What reading says; if that is that nothing has come yet, ask again. [`ErrorKind::InvalidData`] for what is no pcapng, and
    /// [`ErrorKind::UnexpectedEof`] when the stream ends inside a block.
    pub(super) fn next_block(&mut self) -> io::Result<Option<Block>> {
        loop {
            let missing = match self.partial.get(LENGTH).and_then(<[u8]>::first_chunk) {
                None => HEADER_LEN - self.partial.len(),
                Some(length) => match (u32::from_be_bytes(*length) as usize).checked_sub(self.partial.len()) {
                    Some(0) => return Ok(Some(Block(std::mem::take(&mut self.partial)))),
                    Some(missing) if missing < LONGEST => missing,
                    _ => return Err(io::Error::new(ErrorKind::InvalidData, "it sends no pcapng")),
                },
            };
            let start = self.partial.len();
            self.partial.resize(start + missing, 0);
            let read = self.stream.read(&mut self.partial[start..]);
            self.partial.truncate(start + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) if start == 0 => return Ok(None),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Block {
    /// The block as it is in the file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it holds a packet.
    pub(super) fn is_packet(&self) -> bool {
        self.kind() == Some(ENHANCED_PACKET)
    }

    /// When the packet in it was judged.
    pub(super) fn time(&self) -> Option<UnixNanos> {
        self.is_packet().then_some(())?;
        Some(UnixNanos(u64::from(self.word(12)?) << 32 | u64::from(self.word(16)?)))
    }

    /// The packet in it, as far as it was kept, and how long it was.
    pub(super) fn packet(&self) -> Option<(&[u8], usize)> {
        self.is_packet().then_some(())?;
        let data = self.0.get(PACKET_DATA..)?.get(..self.word(20)? as usize)?;
        Some((data, self.word(24)? as usize))
    }

    /// The comment on the packet in it.
    pub(super) fn comment(&self) -> Option<&str> {
        let (data, _) = self.packet()?;
        let comment = self.option(PACKET_DATA + data.len().next_multiple_of(4), COMMENT)?;
        std::str::from_utf8(comment).ok()
    }

    /// How many packets were left out, if it says so: the last block of a trace does.
    pub(super) fn left_out(&self) -> Option<u64> {
        (self.kind()? == INTERFACE_STATISTICS).then_some(())?;
        self.option(STATISTICS_OPTIONS, DROPPED_BY_SYSTEM)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// The first option of this kind behind `offset`.
    fn option(&self, mut offset: usize, wanted: u16) -> Option<&[u8]> {
        loop {
            let (code, len) = (self.half_word(offset)?, usize::from(self.half_word(offset + 2)?));
            offset += 4;
            if code == wanted {
                return self.0.get(offset..offset + len);
            }
            if code == END_OF_OPTIONS {
                return None;
            }
            offset += len.next_multiple_of(4);
        }
    }

    fn kind(&self) -> Option<u32> {
        self.word(0)
    }

    fn word(&self, offset: usize) -> Option<u32> {
        self.0.get(offset..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn half_word(&self, offset: usize) -> Option<u16> {
        self.0.get(offset..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }
}

/// Type and length: what every block begins with.
const HEADER_LEN: usize = 8;
const LENGTH: Range<usize> = 4..8;

/// No block of a trace is longer: a packet with its comment.
const LONGEST: usize = 64 << 10;

const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Where the packet begins in its block, and the options in a block of statistics.
const PACKET_DATA: usize = 28;
const STATISTICS_OPTIONS: usize = 20;

const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const DROPPED_BY_SYSTEM: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u32 + 12).to_be_bytes();
        [&kind.to_be_bytes()[..], &len, body, &len].concat()
    }

    fn packet_block() -> Vec<u8> {
        let fixed = [1_u32, 0, 77, 5, 1_400].map(u32::to_be_bytes).concat();
        let options = [&[0, 1, 0, 7][..], b"dropped\0", &[0; 4]].concat();
        block(6, &[&fixed[..], b"12345\0\0\0", &options].concat())
    }

    #[test]
    fn blocks_come_whole_however_the_stream_is_cut() {
        struct ByteByByte<'b>(&'b [u8], bool);
        impl Read for ByteByByte<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 { Err(ErrorKind::WouldBlock.into()) } else { self.0.read(&mut buffer[..1]) }
            }
        }
        let stream = [packet_block(), block(5, &[0; 12])].concat();
        let mut blocks = Blocks::new(ByteByByte(&stream, false));
        let mut next = || loop {
            match blocks.next_block() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other.unwrap(),
            }
        };
        assert_eq!(next().unwrap().bytes(), packet_block());
        assert_eq!(next().unwrap().bytes(), block(5, &[0; 12]));
        assert!(next().is_none());
    }

    #[test]
    fn a_packet_is_read_with_its_comment() {
        let block = Blocks::new(&packet_block()[..]).next_block().unwrap().unwrap();
        assert_eq!(block.time(), Some(UnixNanos(77)));
        assert_eq!(block.packet(), Some((&b"12345"[..], 1_400)));
        assert_eq!(block.comment(), Some("dropped"));
        assert_eq!(block.left_out(), None);
    }

    #[test]
    fn the_last_block_says_how_many_packets_were_left_out() {
        let options = [&[0, 4, 0, 1, 9, 0, 0, 0][..], &[0, 7, 0, 8], &17_u64.to_be_bytes(), &[0; 4]].concat();
        let bytes = block(5, &[&[0; 12][..], &options].concat());
        let block = Blocks::new(&bytes[..]).next_block().unwrap().unwrap();
        assert_eq!(block.left_out(), Some(17));
        assert_eq!(block.packet(), None);
    }

    #[test]
    fn half_a_block_and_what_is_no_pcapng_are_errors() {
        let half = &packet_block()[..20];
        assert_eq!(Blocks::new(half).next_block().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(Blocks::new(&b"no pcapng at all"[..]).next_block().unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(Blocks::new(&[0; 16][..]).next_block().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
