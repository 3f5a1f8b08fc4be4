//! A file as a list of pieces. The list is a value itself, and its key is the key of the file.
//!
//! It is text, so that a person can read it: a line that says what it is, then a line for each piece with its key and its size.
//! `docs/protocol/dht-values.md` has an example. One list has one text only: a file of the same pieces has the same key, whoever stores it.

use std::fmt::Write;
use std::str::FromStr;

use crate::Id;
use crate::transfer::LONGEST_VALUE;

/// The pieces of a file, in their order. An empty file has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pieces: Vec<Piece>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its key.
    pub key: Id,
    /// Its length in bytes, from 1 to [`LONGEST_VALUE`].
    pub size: u32,
}

/// Bytes are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAManifest {
    /// They are a value of another kind.
    #[error("it is no list of pieces: its first line is another")]
    NotAList,
    /// The list is of a version that we do not know.
    #[error("it is a list of pieces of another version than 1")]
    OtherVersion,
    /// A line is no piece.
    #[error(
        "line {line} names no piece: it must be a key of 64 hexadecimal digits, a blank, and a size from 1 to {LONGEST_VALUE}"
    )]
    NotAPiece {
        /// Which, from 1.
        line: usize,
    },
    /// It ends in the middle of a line.
    #[error("it ends in the middle of a line")]
    Truncated,
    /// It has too many pieces.
    #[error("it has more than {MOST_PIECES} pieces")]
    TooLong,
}

impl Manifest {
    /// The list of these pieces.
    ///
    /// # Errors
    /// [`NotAManifest::TooLong`], or [`NotAManifest::NotAPiece`] if one is empty or longer than a value may be.
    pub fn new(pieces: Vec<Piece>) -> Result<Self, NotAManifest> {
        if pieces.len() > MOST_PIECES {
            return Err(NotAManifest::TooLong);
        }
        match pieces.iter().position(|piece| piece.size == 0 || piece.size > LONGEST_VALUE) {
            Some(index) => Err(NotAManifest::NotAPiece { line: index + 2 }),
            None => Ok(Self { pieces }),
        }
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`NotAManifest`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAManifest> {
        let rest = bytes.strip_prefix(KIND.as_bytes()).ok_or(NotAManifest::NotAList)?;
        let rest = rest.strip_prefix(VERSION.as_bytes()).ok_or(NotAManifest::OtherVersion)?;
        if !bytes.ends_with(b"\n") {
            return Err(NotAManifest::Truncated);
        }
        let mut pieces = Vec::new();
        for (index, line) in rest.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if index == MOST_PIECES {
                return Err(NotAManifest::TooLong);
            }
            pieces.push(Piece::parse(line).ok_or(NotAManifest::NotAPiece { line: index + 2 })?);
        }
        Ok(Self { pieces })
    }

    /// The list as a value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::with_capacity(KIND.len() + VERSION.len() + self.pieces.len() * LONGEST_LINE);
        text.push_str(KIND);
        text.push_str(VERSION);
        for Piece { key, size } in &self.pieces {
            writeln!(text, "{key} {size}").expect("a string takes any text");
        }
        text.into_bytes()
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The length of the file in bytes.
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.size)).sum()
    }

    /// Where each piece begins in the file.
    pub fn offsets(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().scan(0, |next, piece| {
            let offset = *next;
            *next += u64::from(piece.size);
            Some(offset)
        })
    }
}

impl Piece {
    /// The piece that `bytes` are.
    ///
    /// # Panics
    /// If they are longer than any value.
    pub fn of(bytes: &[u8]) -> Self {
        Self { key: Id::of(bytes), size: u32::try_from(bytes.len()).expect("a piece is no longer than a value") }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (key, size) = line.split_once(' ')?;
        let piece = Self { key: Id::from_str(key).ok()?, size: size.parse().ok()? };
        let is_a_size = (1..=LONGEST_VALUE).contains(&piece.size);
        // No other spelling of the same numbers.
        (is_a_size && line == format!("{} {}", piece.key, piece.size)).then_some(piece)
    }
}

/// The length of the pieces that a file of `size` bytes is to be cut into; the last one is what is left. `None`: the file is too long.
pub fn piece_size(size: u64) -> Option<u32> {
    let fits = |&piece: &u32| size.div_ceil(u64::from(piece)) <= COMFORTABLE_PIECES;
    let longest_file = MOST_PIECES as u64 * u64::from(LONGEST_VALUE);
    let sizes = [SHORTEST_PIECE, SHORTEST_PIECE * 2];
    sizes.into_iter().find(fits).or((size <= longest_file).then_some(LONGEST_VALUE))
}

/// A list of so many pieces is no longer than a value may be.
pub const MOST_PIECES: usize = 14_000;

const KIND: &str = "photongate-file ";
const VERSION: &str = "1\n";
const LONGEST_LINE: usize = 64 + " 1048576\n".len();

/// Short enough that several peers can send a small file together, and a broken transfer loses little.
const SHORTEST_PIECE: u32 = 256 << 10;

/// Pieces are made longer rather than more than these.
const COMFORTABLE_PIECES: u64 = 4_096;

#[cfg(test)]
mod tests;
