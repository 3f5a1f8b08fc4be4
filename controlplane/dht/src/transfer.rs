//! Values between nodes: a line that asks, a line that answers, and the value.
//!
//! The same over TCP and over a stream of QUIC. Who asks sends a key in hexadecimal digits and a newline. The answer is the length in
//! decimal digits, a newline, and so many bytes; or `-1` and a newline, and the end of the connection. After a value another key may
//! be asked for. `docs/protocol/dht-values.md`.

mod ask;
mod serve;

use std::str::FromStr;

pub use ask::{Patience, Refused, ask};
pub use serve::{Served, serve};

use crate::Id;

/// The longest value, in bytes.
pub const LONGEST_VALUE: u32 = 1 << 20;

/// What a node says when it is asked for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// So many bytes follow.
    Value {
        /// How many; at most [`LONGEST_VALUE`].
        size: u32,
    },
    /// It has no such value.
    Miss,
}

/// A line is neither a question nor an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line makes no sense")]
pub struct BadLine;

/// The line that asks for a value, with its newline.
pub fn question(key: Id) -> String {
    format!("{key}\n")
}

/// The key that a line asks for, without its newline. A carriage return before that is borne.
///
/// # Errors
/// [`BadLine`].
pub fn parse_question(line: &[u8]) -> Result<Id, BadLine> {
    text(line).and_then(|line| Id::from_str(line).ok()).ok_or(BadLine)
}

impl Answer {
    /// Reads a line, without its newline. A carriage return before that is borne.
    ///
    /// # Errors
    /// [`BadLine`], also if the value would be longer than any.
    pub fn parse(line: &[u8]) -> Result<Self, BadLine> {
        let line = text(line).ok_or(BadLine)?;
        if line == MISS {
            return Ok(Self::Miss);
        }
        let is_a_number = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        let size = line.parse().ok().filter(|&size| is_a_number && size <= LONGEST_VALUE).ok_or(BadLine)?;
        Ok(Self::Value { size })
    }

    /// The line, with its newline.
    pub fn line(self) -> String {
        match self {
            Self::Value { size } => format!("{size}\n"),
            Self::Miss => format!("{MISS}\n"),
        }
    }
}

fn text(line: &[u8]) -> Option<&str> {
    std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()
}

const MISS: &str = "-1";

/// A question is 64 digits, an answer less; and a carriage return.
const LONGEST_LINE: usize = 80;

#[cfg(test)]
mod tests;
