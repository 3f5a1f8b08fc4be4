//! Whole Ethernet frames, sent and received on an interface.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    self, AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// A packet socket, bound to an interface.
#[derive(Debug)]
pub(crate) struct RawSocket {
    socket: OwnedFd,
    interface: String,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// It came in by the interface.
    In,
    /// It left by the interface.
    Out,
}

impl RawSocket {
    /// Binds a socket to `interface` of the namespace that the calling thread is in.
    ///
    /// # Errors
    /// There is no such interface, or no permission.
    pub(crate) fn open(interface: &str) -> Result<Self> {
        let name = interface.to_owned();
        // Until it is bound, a socket with a protocol hears all interfaces; `drain` takes care of that.
        let socket =
            socket::socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, Some(SockProtocol::EthAll))
                .context("a packet socket")?;
        socket::bind(socket.as_raw_fd(), &link_address(interface)?).with_context(|| name.clone())?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("a large receive buffer")?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(RECEIVE_TIMEOUT_MS))?;
        let socket = Self { socket, interface: name };
        socket.drain()?;
        Ok(socket)
    }

    /// Sends a frame, beginning with its Ethernet header.
    ///
    /// # Errors
    /// The interface does not take it.
    pub(crate) fn send(&self, frame: &[u8]) -> Result<()> {
        for _ in 0..SEND_ATTEMPTS {
            match socket::send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                // The interface's queue is full.
                Err(Errno::ENOBUFS) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => bail!("sending {} bytes by {}: {error}", frame.len(), self.interface),
            }
        }
        bail!("{} takes no frames", self.interface)
    }

    /// The next frame, and which way it went; nothing when none comes for a tenth of a second.
    ///
    /// The kernel has taken off a VLAN tag that the frame had.
    ///
    /// # Errors
    /// The interface is gone.
    pub(crate) fn receive(&self) -> Result<Option<(Direction, Vec<u8>)>> {
        let mut buffer = vec![0; LARGEST_FRAME];
        match socket::recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            Ok((length, from)) => {
                buffer.truncate(length);
                let outgoing = from.is_some_and(|from| from.pkttype() == PACKET_OUTGOING);
                Ok(Some((if outgoing { Direction::Out } else { Direction::In }, buffer)))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => bail!("receiving on {}: {error}", self.interface),
        }
    }

    /// Forgets what has come in so far.
    ///
    /// # Errors
    /// The interface is gone.
    pub(crate) fn drain(&self) -> Result<()> {
        loop {
            match socket::recv(self.socket.as_raw_fd(), &mut [0; 64], MsgFlags::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => bail!("receiving on {}: {error}", self.interface),
            }
        }
    }
}

/// The address that a packet socket is bound to.
fn link_address(interface: &str) -> Result<LinkAddr> {
    getifaddrs()
        .context("listing interfaces")?
        .filter(|found| found.interface_name == interface)
        .filter_map(|found| found.address)
        .find(|address| address.family() == Some(AddressFamily::Packet))
        .and_then(|address| address.as_link_addr().copied())
        .with_context(|| format!("there is no interface {interface} here"))
}

/// Enough for some seconds of what tests send.
const RECEIVE_BUFFER: usize = 16 << 20;

const RECEIVE_TIMEOUT_MS: i64 = 100;

const LARGEST_FRAME: usize = 1 << 14;

/// A second in all.
const SEND_ATTEMPTS: usize = 1_000;

/// The kernel's name for a packet that this machine sent (packet(7)).
const PACKET_OUTGOING: u8 = 4;
