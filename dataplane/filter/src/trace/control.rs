//! The control socket: where `photongate trace` meets a running filter.
//!
//! A Unix stream socket that only the filter's own user may open. A client sends one line, a [`Request`]; the answer is
//! one line too, `{"ok":true,…}` or `{"error":"…"}`, and behind it, for a trace, pcapng until the trace ends. A client ends its
//! trace by closing its sending side, and then gets the rest of the file. Every client has a thread of its own, so one
//! that does not read holds up nobody but itself.

mod client;

use crate::trace::TraceDesk;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use serde_json::Value;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A socket that clients are served at, until this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Which file the socket is, so that another filter's is not removed.
    file: (u64, u64),
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// What a control socket is made of.
pub struct ControlOptions {
    /// Where the socket is to be. The last folder of the path is made if it is missing.
    pub path: PathBuf,
    /// Where traces come from.
    pub traces: Arc<TraceDesk>,
    /// What the filter counts, for whoever asks.
    pub status: Box<dyn Fn() -> Value + Send + Sync>,
}

impl ControlSocket {
    /// Makes the socket and starts to serve clients.
    ///
    /// A socket that a filter left behind when it was killed is replaced; one that is listened at is not.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(options: ControlOptions) -> Result<Self, ControlError> {
        let ControlOptions { path, traces, status } = options;
        let listener = bind_to(&path)?;
        let failed = |source| ControlError::Bind { path: path.clone(), source };
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        let shared = Arc::new(Shared { traces, status, stopping: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || serve(&listener, &serving));
        let listener = thread.map_err(failed)?;
        Ok(Self { path, file: (metadata.dev(), metadata.ino()), shared, listener: Some(listener) })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    /// Ends all traces, whose clients get the end of their files, and removes the socket.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let file = fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if file.is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A filter listens there.
    #[error("another filter listens at {}: stop it, or give this one a [control] socket of its own", path.display())]
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is no socket: remove it, or choose another path for [control] socket", path.display())]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the control socket {} cannot be made: {source}: choose another path for [control] socket", path.display())]
    Bind {
        /// The path of the socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// What the threads of the socket share.
struct Shared {
    traces: Arc<TraceDesk>,
    status: Box<dyn Fn() -> Value + Send + Sync>,
    stopping: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("traces", &self.traces).finish_non_exhaustive()
    }
}

fn bind_to(path: &Path) -> Result<UnixListener, ControlError> {
    let failed = |source| ControlError::Bind { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        DirBuilder::new().mode(0o755).create(folder).map_err(failed)?;
    }
    match try_to_bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            try_to_bind(path).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

fn try_to_bind(path: &Path) -> io::Result<UnixListener> {
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
fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let failed = |source| ControlError::Bind { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(ControlError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Ok(_) => Err(ControlError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed(error)),
    }
}

fn serve(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    while !shared.stopping.load(Ordering::Relaxed) {
        clients.retain(|client| !client.is_finished());
        let mut waiting = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut waiting, PollTimeout::from(POLL_MILLIS));
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => {
                // Out of file descriptors, most likely: the client waits, and so must we.
                thread::sleep(Duration::from_millis(POLL_MILLIS.into()));
                continue;
            }
        };
        if clients.len() >= MAX_CLIENTS {
            client::refuse(&stream, "the filter serves as many clients as it can: try again later");
            continue;
        }
        let serving = Arc::clone(shared);
        let thread = thread::Builder::new().name("control-client".to_owned());
        match thread.spawn(move || client::serve(&stream, &serving)) {
            Ok(client) => clients.push(client),
            Err(error) => tracing::warn!(%error, "a client of the control socket cannot be served"),
        }
    }
    for client in clients {
        let _ = client.join();
    }
}

/// Clients served at the same time.
const MAX_CLIENTS: usize = 8;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 8;

/// How soon the socket notices that the filter stops.
const POLL_MILLIS: u8 = 100;

#[cfg(test)]
mod tests;
