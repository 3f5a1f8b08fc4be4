//! Connections that have brought a value, and can be asked for another one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// Connections that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<Connection>>);

#[derive(Debug)]
struct Connection {
    to: SocketAddr,
    stream: TcpStream,
    since: Instant,
}

impl Idle {
    /// A connection to this address that is still open, as far as can be seen.
    pub(super) fn take(&self, to: SocketAddr) -> Option<TcpStream> {
        let mut connections = self.connections();
        while let Some(at) = connections.iter().rposition(|connection| connection.to == to) {
            let Connection { stream, since, .. } = connections.remove(at);
            if since.elapsed() < KEPT && is_quiet(&stream) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for a while. If there are too many, the oldest one is closed.
    pub(super) fn keep(&self, to: SocketAddr, stream: TcpStream) {
        let mut connections = self.connections();
        let is_old = connections.iter().filter(|connection| connection.to == to).count() >= OF_ONE;
        if is_old && let Some(oldest) = connections.iter().position(|connection| connection.to == to) {
            connections.remove(oldest);
        }
        if connections.len() >= OF_ALL {
            connections.remove(0);
        }
        connections.push(Connection { to, stream, since: Instant::now() });
    }

    /// Closes those that nobody has used for long: at the other end each takes a place.
    pub(super) fn close_old(&self) {
        self.connections().retain(|connection| connection.since.elapsed() < KEPT);
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other end has neither closed it nor said something that nobody asked for.
fn is_quiet(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// How long a connection is kept: shorter than the other end waits for a question.
pub(super) const KEPT: Duration = Duration::from_secs(2);

/// Connections to one address, and to all.
const OF_ONE: usize = 2;
const OF_ALL: usize = 64;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_used_again_unless_the_other_end_has_closed_it_or_talks_unasked() {
        let (idle, listener) = (Idle::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (near, mut far) = connected(&listener).await;
        let to = near.peer_addr().unwrap();
        idle.keep(to, near);
        assert!(idle.take("127.0.0.1:9".parse().unwrap()).is_none());
        let near = idle.take(to).unwrap();
        assert!(idle.take(to).is_none(), "one that is in use is not given to a second");
        far.write_all(b"unasked").await.unwrap();
        near.readable().await.unwrap();
        idle.keep(to, near);
        assert!(idle.take(to).is_none());

        let (near, far) = connected(&listener).await;
        drop(far);
        near.readable().await.unwrap();
        idle.keep(to, near);
        assert!(idle.take(to).is_none());
    }

    #[tokio::test]
    async fn only_a_few_are_kept_and_the_oldest_give_way() {
        let (idle, listener) = (Idle::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut far = Vec::new();
        let mut local = Vec::new();
        for _ in 0..OF_ONE + 1 {
            let (near, other) = connected(&listener).await;
            local.push(near.local_addr().unwrap());
            idle.keep(near.peer_addr().unwrap(), near);
            far.push(other);
        }
        let to = far[0].local_addr().unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| idle.take(to)).map(|stream| stream.local_addr().unwrap()).collect();
        assert_eq!(taken, local[1..].iter().rev().copied().collect::<Vec<_>>());
    }

    async fn connected(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }
}
