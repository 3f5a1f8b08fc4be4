//! What ordinary hosts do: ping, TCP and UDP through the kernel's own stack.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::lab::Namespace;

/// Has `from` ping `to`, `count` times.
///
/// # Errors
/// Not all answers came.
pub(crate) fn ping(from: &Namespace, to: IpAddr, count: u32) -> Result<()> {
    from.run(&format!("ping -n -q -c {count} -i 0.02 -W 3 {to}")).map(drop)
}

/// Sends `length` bytes over TCP to a listener at `to` in the namespace `server`.
///
/// # Errors
/// They do not arrive as they were sent.
pub(crate) fn tcp(client: &Namespace, server: &Namespace, to: IpAddr, length: usize) -> Result<()> {
    let listener = server.enter(|| Ok(TcpListener::bind(SocketAddr::new(to, 0))?))?;
    let address = listener.local_addr()?;
    let sent: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    let mut received = Vec::new();
    let mut stream = client
        .enter(|| Ok(TcpStream::connect_timeout(&address, TIMEOUT)?))
        .context("host A cannot connect to host B over TCP")?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let (mut accepted, _) = listener.accept()?;
    accepted.set_read_timeout(Some(TIMEOUT))?;
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            stream.write_all(&sent)?;
            drop(stream);
            Ok::<_, std::io::Error>(())
        });
        accepted.read_to_end(&mut received).context("receiving over TCP")?;
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).context("sending over TCP")
    })?;
    ensure!(sent == received, "TCP delivered {} bytes other than the {length} that were sent", received.len());
    Ok(())
}

/// Binds a UDP port of a host, so that it does not answer "port unreachable".
///
/// # Errors
/// It is in use.
pub(crate) fn listen_udp(at: &Namespace, addresses: &[IpAddr], port: u16) -> Result<Vec<UdpSocket>> {
    at.enter(|| addresses.iter().map(|address| Ok(UdpSocket::bind(SocketAddr::new(*address, port))?)).collect())
}

/// Sends `count` datagrams to each of `to`, port `port`, one after the other and not too fast for anybody.
///
/// # Errors
/// The kernel does not take them.
pub(crate) fn udp(from: &Namespace, to: &[IpAddr], port: u16, count: usize) -> Result<()> {
    let pairs: Vec<(UdpSocket, SocketAddr)> = from.enter(|| {
        let bind = |address: &IpAddr| {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            Ok((UdpSocket::bind(any)?, SocketAddr::new(*address, port)))
        };
        to.iter().map(bind).collect()
    })?;
    for number in 0..count {
        for (socket, to) in &pairs {
            socket.send_to(format!("datagram {number:05} from host A to host B").as_bytes(), to)?;
        }
        if number % 16 == 15 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

const TIMEOUT: Duration = Duration::from_secs(10);
