//! Asking a node for a value.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Answer, LONGEST_LINE, question};
use crate::Id;

/// How slow a node may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long it may send nothing.
    pub silence: Duration,
    /// How many bytes of a value a second it must send on average, after the first [`silence`](Self::silence).
    pub bytes_per_second: u32,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The node has none.
    #[error("it does not have the value")]
    Miss,
    /// What it sends is not what was asked for. It is broken, or lies.
    #[error("it sends something else: {0}")]
    Wrong(&'static str),
    /// It is too slow.
    #[error("it stalls")]
    Slow,
    /// The connection fails.
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl Default for Patience {
    fn default() -> Self {
        Self { silence: Duration::from_secs(3), bytes_per_second: 32 << 10 }
    }
}

/// Asks for the value of `key` on `stream`, which is spoken on from its beginning. The value has this hash, and this size if one is given.
///
/// # Errors
/// [`Refused`].
pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    key: Id,
    size: Option<u32>,
    patience: Patience,
) -> Result<Bytes, Refused> {
    let slow = |_| Refused::Slow;
    timeout(patience.silence, stream.write_all(question(key).as_bytes())).await.map_err(slow)??;
    timeout(patience.silence, stream.flush()).await.map_err(slow)??;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut start = (&mut stream).take(LONGEST_LINE as u64);
    timeout(patience.silence, start.read_until(b'\n', &mut line)).await.map_err(slow)??;
    if line.pop() != Some(b'\n') {
        return Err(if line.len() < LONGEST_LINE - 1 {
            io::Error::from(io::ErrorKind::UnexpectedEof).into()
        } else {
            Refused::Wrong("the line with the size is too long")
        });
    }
    let promised = match Answer::parse(&line) {
        Ok(Answer::Value { size }) => size,
        Ok(Answer::Miss) => return Err(Refused::Miss),
        Err(_) => return Err(Refused::Wrong("the line with the size makes no sense")),
    };
    if size.is_some_and(|size| size != promised) {
        return Err(Refused::Wrong("the size is another one"));
    }
    let value = read_value(&mut stream, promised as usize, patience).await?;
    // A node that lies about what it has is found out here, and nowhere else.
    if Id::of(&value) != key { Err(Refused::Wrong("the hash is another one")) } else { Ok(value) }
}

async fn read_value<S: AsyncRead + Unpin>(stream: &mut S, size: usize, patience: Patience) -> Result<Bytes, Refused> {
    let longest = Duration::from_secs_f64(size as f64 / f64::from(patience.bytes_per_second.max(1)));
    let end = Instant::now() + patience.silence + longest;
    let mut value = BytesMut::with_capacity(size);
    let mut stream = stream.take(size as u64);
    while value.len() < size {
        let until = end.min(Instant::now() + patience.silence);
        let read = timeout_at(until, stream.read_buf(&mut value)).await.map_err(|_| Refused::Slow)??;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(value.freeze())
}
