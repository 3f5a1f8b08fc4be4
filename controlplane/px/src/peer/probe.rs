//! Asks a machine whether anybody still listens at the address of a peer, without a word to the peer itself.
//!
//! A datagram to a port where nobody listens is answered by the machine itself, at once (ICMP, "port unreachable"). A process that lives and
//! merely has no time never causes that: so the answer tells an end from a pause. No answer tells nothing: a machine may be off, or a
//! wall in between.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Whether the machine at `peer` says that nobody listens there. Sends from `own`.
pub(super) async fn is_refused(own: IpAddr, peer: SocketAddr) -> bool {
    let Ok(socket) = UdpSocket::bind((own, 0)).await else { return false };
    // Only a connected socket is told what a machine answers.
    if socket.connect(peer).await.is_err() {
        return false;
    }
    // Who was slow may end while it is looked for: so it is asked more than once.
    for _ in 0..ATTEMPTS {
        let outcome = match socket.send(&NO_QUIC).await {
            Ok(_) => timeout(BETWEEN, socket.recv(&mut [0])).await,
            Err(error) => Ok(Err(error)),
        };
        if let Ok(Err(error)) = outcome {
            return error.kind() == ErrorKind::ConnectionRefused;
        }
    }
    false
}

/// Too short for a packet of QUIC: who lives passes over it.
const NO_QUIC: [u8; 1] = [0];

/// An answer to an earlier question counts as well: round trips may be longer than this.
const BETWEEN: Duration = Duration::from_millis(25);
const ATTEMPTS: u32 = 10;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn a_port_where_nobody_listens_any_more_is_told_from_one_that_is_merely_silent() {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = silent.local_addr().unwrap();
        assert!(!is_refused(Ipv4Addr::LOCALHOST.into(), address).await);
        drop(silent);
        assert!(is_refused(Ipv4Addr::LOCALHOST.into(), address).await);
    }
}
