//! In the clear: datagrams over UDP, values over TCP, both at the same port.

mod idle;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use self::idle::Idle;
use super::{CONNECT_WITHIN, PAUSE, SILENCE, Surroundings, Traffic, TransportError};
use crate::Id;
use crate::message::LARGEST;
use crate::node::Source;
use crate::transfer::{self, Refused};

/// UDP and TCP at one port. Dropping it closes both.
#[derive(Debug)]
pub(crate) struct Plain {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    surroundings: Surroundings,
    idle: Arc<Idle>,
    _receiving: AbortOnDropHandle<()>,
    _accepting: AbortOnDropHandle<()>,
    _tidying: AbortOnDropHandle<()>,
}

impl Plain {
    /// Listens at `address`. Must be called within a runtime.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(crate) async fn start(address: SocketAddr, surroundings: Surroundings) -> Result<Self, TransportError> {
        let refused = |error: io::Error| TransportError::Bind { address, why: error.to_string() };
        let (socket, listener) = bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        let socket = Arc::new(socket);
        let receiving = tokio::spawn(receive(Arc::clone(&socket), surroundings.clone()));
        let accepting = tokio::spawn(accept(listener, surroundings.clone()));
        let idle = Arc::<Idle>::default();
        let tidying = tokio::spawn(tidy_up(Arc::clone(&idle)));
        Ok(Self {
            socket,
            address,
            surroundings,
            idle,
            _receiving: AbortOnDropHandle::new(receiving),
            _accepting: AbortOnDropHandle::new(accepting),
            _tidying: AbortOnDropHandle::new(tidying),
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        match self.socket.try_send_to(datagram, to) {
            Ok(_) => self.traffic().sent(datagram.len()),
            // The core sends again what matters.
            Err(_) => self.traffic().datagrams_dropped.add(1),
        }
    }

    pub(super) async fn ask(&self, from: SocketAddr, key: Id, size: Option<u32>) -> Result<Bytes, Refused> {
        if let Some(stream) = self.idle.take(from) {
            match self.ask_on(stream, from, key, size).await {
                // The other end may have closed it just now: that says nothing about the value.
                Err(Refused::Broken(_)) => {}
                asked => return asked,
            }
        }
        let connected = timeout(CONNECT_WITHIN, TcpStream::connect(from)).await;
        let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        self.ask_on(stream, from, key, size).await
    }

    /// Asks on a connection, which is kept if it brought the value: after anything else it is not at the beginning of a line.
    async fn ask_on(
        &self,
        mut stream: TcpStream,
        to: SocketAddr,
        key: Id,
        size: Option<u32>,
    ) -> Result<Bytes, Refused> {
        let value = transfer::ask(&mut stream, key, size, self.surroundings.patience).await?;
        self.idle.keep(to, stream);
        Ok(value)
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.surroundings.traffic
    }
}

/// Both sockets at the same port. If the system is to choose it, the first that it gives to one may be taken for the other.
async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = 0;
    loop {
        let listener = TcpListener::bind(address).await?;
        let chosen = SocketAddr::new(address.ip(), listener.local_addr()?.port());
        match UdpSocket::bind(chosen).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && attempts < ATTEMPTS => {
                attempts += 1;
            }
            socket => return Ok((socket?, listener)),
        }
    }
}

async fn receive(socket: Arc<UdpSocket>, surroundings: Surroundings) {
    // One byte more than any message has, so that longer ones are seen to be longer.
    let mut buffer = [0; LARGEST + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let address = SocketAddr::new(from.ip().to_canonical(), from.port());
                surroundings.take(Source { address, proven: None }, Bytes::copy_from_slice(&buffer[..length]));
            }
            // What the network says about an earlier datagram, mostly.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::warn!("receiving datagrams fails: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(listener: TcpListener, surroundings: Surroundings) {
    let places = Places::default();
    let mut serving = JoinSet::new();
    loop {
        while serving.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, from)) => {
                let place = Places::take(&places, from.ip(), surroundings.connections);
                let Some(place) = place else {
                    surroundings.traffic.connections_refused.add(1);
                    continue;
                };
                let surroundings = surroundings.clone();
                serving.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let Surroundings { find, traffic, .. } = &surroundings;
                    transfer::serve(stream, SILENCE, |key| find(key), |served| traffic.served(served)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("a connection cannot be taken: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Closes connections that nobody has used for a while.
async fn tidy_up(idle: Arc<Idle>) {
    loop {
        sleep(idle::KEPT).await;
        idle.close_old();
    }
}

/// Connections that are there, by who has them: nobody may have more than a quarter of all. Clones are the same.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place that is taken, until it is dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    by: IpAddr,
}

impl Places {
    fn take(places: &Self, by: IpAddr, most: usize) -> Option<Place> {
        let mut taken = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        // Whoever has an account on this machine can do worse.
        let share = if by.is_loopback() { most } else { most.div_ceil(4) };
        if all >= most || taken.get(&by).is_some_and(|&theirs| theirs >= share) {
            return None;
        }
        *taken.entry(by).or_default() += 1;
        Some(Place { places: places.clone(), by })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.by) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.by);
            }
        }
    }
}

/// How often another port is tried for.
const ATTEMPTS: u32 = 20;
