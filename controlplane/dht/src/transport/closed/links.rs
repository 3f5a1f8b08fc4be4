//! The connections that there are, by where the other end listens.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use s2n_quic::connection::Handle;
use s2n_quic::provider::datagram::default::Sender;
use tokio::sync::watch;

use crate::Id;

/// The connections that there are.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    links: HashMap<SocketAddr, Entry>,
    /// Tells the connections to one address apart.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// What is to be sent once there is a connection.
    waiting: Vec<Bytes>,
    /// The connection, and who has proven to be at its other end.
    peer: watch::Sender<Option<(Handle, Id)>>,
    /// Whether it is only said that this node listens at the address: it has connected to us, and not we to it.
    is_claimed: bool,
}

/// A connection that is there, or will be. Ends for who waits for it when its entry is gone.
#[derive(Clone, Debug)]
pub(super) struct Link {
    number: u64,
    peer: watch::Receiver<Option<(Handle, Id)>>,
}

impl Link {
    /// Waits for the connection. Gives who is at its other end, too.
    ///
    /// # Errors
    /// It does not come about.
    pub(super) async fn connected(&mut self) -> io::Result<(Handle, Id)> {
        let none = || io::Error::from(io::ErrorKind::NotConnected);
        let peer = self.peer.wait_for(Option::is_some).await.map_err(|_| none())?;
        peer.clone().ok_or_else(none)
    }
}

impl Links {
    /// Sends a datagram, now or as soon as there is a connection. If one has to be made, gives what to call [`up`](Self::up) or
    /// [`down`](Self::down) with.
    pub(super) fn send(&self, to: SocketAddr, datagram: Bytes) -> Option<Link> {
        let mut state = self.state();
        if let Some(entry) = state.links.get_mut(&to) {
            match &*entry.peer.borrow() {
                Some((handle, _)) => send_on(handle, datagram),
                None if entry.waiting.len() < WAITING => entry.waiting.push(datagram),
                // The core sends again what matters.
                None => {}
            }
            return None;
        }
        Some(state.insert(to, vec![datagram], None))
    }

    /// The connection to this address; and again, if it has to be made.
    pub(super) fn get(&self, to: SocketAddr) -> (Link, Option<Link>) {
        let mut state = self.state();
        if let Some(entry) = state.links.get(&to) {
            return (entry.link(), None);
        }
        let link = state.insert(to, Vec::new(), None);
        (link.clone(), Some(link))
    }

    /// A connection was made: what waits is sent.
    pub(super) fn up(&self, to: SocketAddr, link: &Link, handle: Handle, id: Id) {
        let mut state = self.state();
        let Some(entry) = state.links.get_mut(&to).filter(|entry| entry.number == link.number) else { return };
        for datagram in entry.waiting.drain(..) {
            send_on(&handle, datagram);
        }
        entry.peer.send_replace(Some((handle, id)));
    }

    /// Another node has connected, and says that it listens at `address`. `None`: we have connected to another node there.
    pub(super) fn adopt(&self, address: SocketAddr, handle: Handle, id: Id) -> Option<Link> {
        let mut state = self.state();
        if let Some(entry) = state.links.get(&address) {
            let link = entry.link();
            // It is listened to, but nothing is sent on it.
            let only_heard = Link { number: link.number.wrapping_sub(1), ..link };
            let other = entry.peer.borrow().as_ref().map(|(_, other)| *other);
            match other {
                // Ours is under way, and will show who is there.
                None => return Some(only_heard),
                // It would not connect if it had the older one still.
                Some(other) if other == id => {}
                // Both say so. The next connection of ours will show who is right.
                Some(_) if entry.is_claimed => {
                    state.links.remove(&address);
                    return Some(only_heard);
                }
                Some(_) => return None,
            }
        }
        Some(state.insert(address, Vec::new(), Some((handle, id))))
    }

    /// A connection has ended, or did not come about.
    pub(super) fn down(&self, to: SocketAddr, link: &Link) {
        let mut state = self.state();
        if state.links.get(&to).is_some_and(|entry| entry.number == link.number) {
            state.links.remove(&to);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, to: SocketAddr, waiting: Vec<Bytes>, peer: Option<(Handle, Id)>) -> Link {
        // By two, so that the number before each is nobody's.
        self.next += 2;
        let is_claimed = peer.is_some();
        let entry = Entry { number: self.next, waiting, peer: watch::Sender::new(peer), is_claimed };
        let link = entry.link();
        self.links.insert(to, entry);
        link
    }
}

impl Entry {
    fn link(&self) -> Link {
        Link { number: self.number, peer: self.peer.subscribe() }
    }
}

fn send_on(handle: &Handle, datagram: Bytes) {
    if datagram.len() <= FITS {
        // On a connection that has ended it is lost, as datagrams are.
        let _ = handle.datagram_mut(|sender: &mut Sender| sender.send_datagram_forced(datagram).is_ok());
        return;
    }
    let mut handle = handle.clone();
    tokio::spawn(async move {
        if let Ok(mut stream) = handle.open_send_stream().await {
            let _ = stream.send(datagram).await;
            let _ = stream.finish();
        }
    });
}

/// Datagrams that wait for a connection.
const WAITING: usize = 64;

/// Fits into the smallest packet that QUIC uses, with all headers.
const FITS: usize = 1_100;
