//! The connection that this node makes to another, on which it sends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use s2n_quic::Client;
use s2n_quic::client::Connect;
use s2n_quic::connection::StreamAcceptor;
use s2n_quic::stream::SendStream;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::PeerMessage;
use super::backoff::Backoff;
use super::link::Link;

/// Connects to the other node, and again whenever the connection breaks. Never ends by itself.
pub(super) async fn keep_connected<M: PeerMessage>(link: Arc<Link<M>>, client: Client) {
    let mut backoff = Backoff::new(link.options.retry_delay);
    loop {
        let ended = connect_and_send(&link, &client).await;
        link.outbox.close();
        if link.proven.swap(false, Ordering::Relaxed) {
            backoff.reset();
        }
        let (reason, is_over) = match ended {
            Ended::Renewed => ("the other node has started anew".to_owned(), false),
            Ended::Failed(reason) => (reason, true),
        };
        if link.failed(&reason) {
            tracing::warn!(peer = %link.name, address = %link.address, "not connected: {reason}");
        }
        link.lose(reason).await;
        if is_over {
            let random = getrandom::u32().unwrap_or_default();
            tokio::select! {
                () = sleep(backoff.next(random)) => {}
                () = link.seen.notified() => {}
            }
        }
    }
}

/// Why a connection is over.
enum Ended {
    /// The other node is another process by now: there is nothing to wait for.
    Renewed,
    /// It could not be made, or broke.
    Failed(String),
}

async fn connect_and_send<M: PeerMessage>(link: &Link<M>, client: &Client) -> Ended {
    let (stream, acceptor) = match connect(link, client).await {
        Ok(connected) => connected,
        Err(reason) => return Ended::Failed(reason),
    };
    link.counters.connects.fetch_add(1, Ordering::Relaxed);
    link.outbox.open();
    link.begin().await;
    tokio::select! {
        reason = send_all(link, stream) => Ended::Failed(reason),
        reason = closed(acceptor) => Ended::Failed(reason),
        reason = keep_measuring(link) => Ended::Failed(reason),
        () = link.outbox.overflow() => Ended::Failed("it takes too little: too much waited to be sent".to_owned()),
        () = link.renew.notified() => Ended::Renewed,
    }
}

/// Makes a connection with one stream, on which nothing was sent yet.
async fn connect<M>(link: &Link<M>, client: &Client) -> Result<(SendStream, StreamAcceptor), String> {
    let address = link.address.resolve().await.map_err(|error| format!("its address: {error}"))?[0];
    let attempt = Connect::new(address).with_server_name(&*link.name);
    let mut connection = client.connect(attempt).await.map_err(|error| in_words(&error))?;
    link.leads_to(address);
    connection.keep_alive(true).map_err(|error| in_words(&error))?;
    let (mut handle, acceptor) = connection.split();
    let stream = handle.open_send_stream().await.map_err(|error| in_words(&error))?;
    Ok((stream, acceptor))
}

async fn send_all<M>(link: &Link<M>, mut stream: SendStream) -> String {
    loop {
        let waiting = link.outbox.take().await;
        if let Err(error) = stream.send(waiting).await {
            return error.to_string();
        }
    }
}

/// Waits until the connection is closed. The other end opens no streams on it.
async fn closed(mut acceptor: StreamAcceptor) -> String {
    loop {
        match acceptor.accept().await {
            Ok(Some(_)) => {}
            Ok(None) => return "it has closed the connection".to_owned(),
            Err(error) => return in_words(&error),
        }
    }
}

async fn keep_measuring<M>(link: &Link<M>) -> String {
    let mut due = interval(link.options.ping);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        if link.is_silent() {
            return "pings are not answered: is it stopped, or cannot it connect to this node?".to_owned();
        }
        link.ping();
    }
}

/// What the error means to an operator.
fn in_words(error: &s2n_quic::connection::Error) -> String {
    use s2n_quic::connection::Error;
    match error {
        Error::IdleTimerExpired { .. } | Error::MaxHandshakeDurationExceeded { .. } => "it does not answer".to_owned(),
        Error::Transport { code, .. } if TLS_ERRORS.contains(&code.as_u64()) => format!(
            "TLS fails (alert {}): is its certificate, or ours, of another authority, for another name, or over?",
            code.as_u64() & 0xff
        ),
        other => other.to_string(),
    }
}

/// QUIC's codes for the alerts of TLS (RFC 9001, section 4.8).
const TLS_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;
