//! Puts together the two connections of a session, of all that come to one port.
//!
//! Each begins with what it is for, and with a token that the two have in common. That proves nothing: it is there so that the
//! connections of one end do not mix with those of another, or of its own earlier attempts.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages.
    Classical,
    /// What stands for light.
    Quantum,
}

/// Accepts connections. Any number of slow ones hold nobody up.
pub(super) struct Pairing {
    listener: TcpListener,
    patience: Duration,
    openings: JoinSet<Option<Opened>>,
    /// Those that wait for their other half.
    halves: HashMap<[u8; TOKEN_LEN], (Instant, Kind, TcpStream)>,
}

type Opened = (Kind, [u8; TOKEN_LEN], TcpStream);

impl Pairing {
    pub(super) fn new(listener: TcpListener, patience: Duration) -> Self {
        Self { listener, patience, openings: JoinSet::new(), halves: HashMap::new() }
    }

    /// The next two that belong together: the classical connection and the quantum one. Nothing is lost if the future is
    /// dropped before it is done.
    pub(super) async fn next(&mut self) -> (TcpStream, TcpStream) {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.openings.len() < MOST_OPENINGS => match accepted {
                    Ok((stream, _)) => {
                        self.openings.spawn(opened(stream, self.patience));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection for the link cannot be accepted");
                        sleep(PAUSE_AFTER_FAILURE).await;
                    }
                },
                Some(opened) = self.openings.join_next() => {
                    if let Ok(Some((kind, token, stream))) = opened
                        && let Some(pair) = self.pair(kind, token, stream)
                    {
                        return pair;
                    }
                }
            }
        }
    }

    fn pair(&mut self, kind: Kind, token: [u8; TOKEN_LEN], stream: TcpStream) -> Option<(TcpStream, TcpStream)> {
        let now = Instant::now();
        self.halves.retain(|_, (since, ..)| now.duration_since(*since) < self.patience);
        match (self.halves.remove(&token), kind) {
            (Some((_, Kind::Classical, classical)), Kind::Quantum) => Some((classical, stream)),
            (Some((_, Kind::Quantum, quantum)), Kind::Classical) => Some((stream, quantum)),
            // Two of one kind are a mistake, and both are dropped.
            (Some(_), _) => None,
            (None, _) => {
                if self.halves.len() < MOST_OPENINGS {
                    self.halves.insert(token, (now, kind, stream));
                }
                None
            }
        }
    }
}

/// The first bytes of a connection.
pub(super) fn preamble(kind: Kind, token: &[u8; TOKEN_LEN]) -> Vec<u8> {
    let kind = match kind {
        Kind::Classical => b'c',
        Kind::Quantum => b'q',
    };
    [&MAGIC[..], &[kind], token].concat()
}

async fn opened(mut stream: TcpStream, patience: Duration) -> Option<Opened> {
    stream.set_nodelay(true).ok()?;
    let mut preamble = [0; PREAMBLE_LEN];
    timeout(patience, stream.read_exact(&mut preamble)).await.ok()?.ok()?;
    let [kind, token @ ..] = preamble.strip_prefix(MAGIC)? else { return None };
    let kind = match kind {
        b'c' => Kind::Classical,
        b'q' => Kind::Quantum,
        _ => return None,
    };
    Some((kind, token.try_into().ok()?, stream))
}

/// Bytes of a token.
pub(super) const TOKEN_LEN: usize = 16;
const MAGIC: &[u8; 8] = b"pg-bb84\n";
const PREAMBLE_LEN: usize = MAGIC.len() + 1 + TOKEN_LEN;
/// How many connections may be about to begin, and how many may wait for their other half.
const MOST_OPENINGS: usize = 64;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
