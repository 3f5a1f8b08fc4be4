//! The control socket: where `photongate trace` meets a running filter.
//!
//! A Unix stream socket that only the filter's own user may open. A client sends one line, a [`Request`]; the answer is
//! one line too, `{"ok":true,…}` or `{"error":"…"}`, and behind it, for a trace, pcapng until the trace ends. A client ends its
//! trace by closing its sending side, and then gets the rest of the file. Every client has a thread of its own, so one
//! that does not read holds up nobody but itself.

mod client;

use crate::trace::TraceDesk;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use photongate_net::unix_socket::{self, SocketError, SocketFile};
use serde_json::Value;
use std::fmt;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A socket that clients are served at, until this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    /// Goes when the socket does.
    file: SocketFile,
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
        let (listener, file) = unix_socket::listen_at(&path)?;
        let shared = Arc::new(Shared { traces, status, stopping: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || serve(&listener, &serving));
        let listener = thread.map_err(|source| SocketError::Refused { path, source })?;
        Ok(Self { file, shared, listener: Some(listener) })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Drop for ControlSocket {
    /// Ends all traces, whose clients get the end of their files, before the socket goes.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// Why there is no control socket, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0} for [control] socket")]
pub struct ControlError(#[from] pub SocketError);

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

/// How soon the socket notices that the filter stops.
const POLL_MILLIS: u8 = 100;

#[cfg(test)]
mod tests;
