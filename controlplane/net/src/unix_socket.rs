//! Unix stream sockets that only their owner can open, and that outlive no server.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Makes a socket at `path` and listens there. It never blocks, and nobody but its owner can open it, not even for a
/// moment.
///
/// The last folder of the path is made if it is missing. A socket that a killed process left behind is replaced; one
/// that somebody listens at is not.
///
/// # Errors
/// The socket cannot be made.
pub fn listen_at(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let failed = |source| SocketError::Refused { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        DirBuilder::new().mode(0o755).create(folder).map_err(failed)?;
    }
    let listener = match try_to_listen(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            try_to_listen(path).map_err(failed)?
        }
        other => other.map_err(failed)?,
    };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    Ok((listener, SocketFile { path: path.to_owned(), file: (metadata.dev(), metadata.ino()) }))
}

/// The file of a socket. Dropping it removes the file, unless it is another one by now.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    file: (u64, u64),
}

impl SocketFile {
    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let file = fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if file.is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves every connection to `listener` with `serve`, at most `most` of them at a time; who comes then waits for its turn. Never ends by
/// itself. Dropping it drops all that is being served.
pub async fn serve_each<F>(listener: tokio::net::UnixListener, most: usize, serve: impl Fn(tokio::net::UnixStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(most));
    let mut serving = JoinSet::new();
    loop {
        while serving.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = serve(stream);
                serving.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                // As when there are too many open files: some will be closed.
                tracing::warn!("a connection to a Unix socket fails: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A process listens there.
    #[error("another process listens at {}: stop it, or choose another path", path.display())]
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is no socket: remove it, or choose another path", path.display())]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the socket {} cannot be made: {source}: choose another path", path.display())]
    Refused {
        /// The path of the socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

fn try_to_listen(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // On Linux the file of a socket gets the mode that the socket has when it is bound: at no time can others open it.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let address = UnixAddr::new(path).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => io::Error::other("the path is longer than a socket's may be, 107 bytes"),
        other => other.into(),
    })?;
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(socket))
}

/// Removes a socket that nobody listens at.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Refused { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed(error)),
    }
}

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 64;

/// After a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_socket_is_its_owners_alone_and_goes_with_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/api.sock");
        let (_listener, file) = listen_at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_a_killed_process_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, _file) = listen_at(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_socket_that_somebody_listens_at_is_left_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let (_listener, _file) = listen_at(&path).unwrap();
        assert!(matches!(listen_at(&path), Err(SocketError::InUse { .. })));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(listen_at(&path), Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn as_many_connections_are_served_at_a_time_as_may_be_and_the_next_one_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.sock");
        let (listener, _file) = listen_at(&path).unwrap();
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        let echo = |mut stream: tokio::net::UnixStream| async move {
            let (mut reading, mut writing) = stream.split();
            let _ = tokio::io::copy(&mut reading, &mut writing).await;
        };
        let serving = tokio::spawn(serve_each(listener, 2, echo));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(tokio::net::UnixStream::connect(&path).await.unwrap());
        }
        for client in &mut clients {
            client.write_all(b"a").await.unwrap();
        }
        for client in &mut clients[..2] {
            assert_eq!(client.read_u8().await.unwrap(), b'a');
        }
        let third = tokio::time::timeout(Duration::from_millis(50), clients[2].read_u8());
        assert!(third.await.is_err(), "it waits for its turn");
        drop(clients.remove(0));
        assert_eq!(clients[1].read_u8().await.unwrap(), b'a');
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(clients[0].read_u8().await.is_err(), "nobody is served any more");
    }

    #[test]
    fn the_socket_of_a_successor_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let (listener, file) = listen_at(&path).unwrap();
        drop(listener);
        // Keeps the old file's number in use, so that the successor's is another one.
        fs::rename(&path, folder.path().join("old")).unwrap();
        let _successor = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(UnixStream::connect(&path).is_ok());
    }
}
