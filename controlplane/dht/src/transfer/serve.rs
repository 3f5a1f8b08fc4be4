//! Answering nodes that ask for values.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::{Answer, LONGEST_LINE, parse_question};
use crate::Id;

/// What came of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Values that were sent whole.
    pub values: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys of which there is no value.
    pub misses: u64,
    /// Whether it ended with a line that made no sense.
    pub nonsense: bool,
}

/// Answers questions on `stream` from what `find` finds, until the other end has enough, asks for what is not there, makes no sense, or
/// does nothing for as long as `silence`. After each value and each miss `tell` is told of it, as a connection may last long; all of it
/// is given at the end.
pub async fn serve<S, F>(stream: S, silence: Duration, find: impl Fn(Id) -> F, tell: impl Fn(Served)) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Option<Bytes>>,
{
    let mut served = Served::default();
    let mut count = |more: Served| {
        tell(more);
        served.values += more.values;
        served.bytes += more.bytes;
        served.misses += more.misses;
        served.nonsense |= more.nonsense;
    };
    // That the other end goes away in the middle is its own affair.
    let _ = converse(&mut BufReader::new(stream), silence, find, &mut count).await;
    served
}

async fn converse<S, F>(
    stream: &mut BufReader<S>,
    silence: Duration,
    find: impl Fn(Id) -> F,
    count: &mut impl FnMut(Served),
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Option<Bytes>>,
{
    let mut line = Vec::new();
    loop {
        line.clear();
        timeout(silence, (&mut *stream).take(LONGEST_LINE as u64).read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return stream.shutdown().await;
        }
        let key = if line.pop() == Some(b'\n') { parse_question(&line).ok() } else { None };
        let value = match key {
            Some(key) => find(key).await,
            None => None,
        };
        let Some(value) = value else {
            count(Served { misses: key.is_some().into(), nonsense: key.is_none(), ..Served::default() });
            timeout(silence, stream.write_all(Answer::Miss.line().as_bytes())).await??;
            timeout(silence, stream.shutdown()).await??;
            // What was sent and not read would reset a TCP connection, and the answer be lost.
            let rest = stream.take(LONGEST_REST);
            let _ = timeout(REST_WITHIN, tokio::io::copy(&mut { rest }, &mut tokio::io::sink())).await;
            return Ok(());
        };
        let size = u32::try_from(value.len()).map_err(io::Error::other)?;
        timeout(silence, stream.write_all(Answer::Value { size }.line().as_bytes())).await??;
        for part in value.chunks(PART) {
            timeout(silence, stream.write_all(part)).await??;
        }
        timeout(silence, stream.flush()).await??;
        count(Served { values: 1, bytes: size.into(), ..Served::default() });
    }
}

/// What the other end may still say that is not heard.
const LONGEST_REST: u64 = 64 << 10;
const REST_WITHIN: Duration = Duration::from_secs(1);

/// Bytes of which the other end must take all within the time that it may do nothing.
const PART: usize = 64 << 10;
