//! The connections that other nodes make to this one, on which it receives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use photongate_net::quic::PeerSubject;
use s2n_quic::stream::{PeerStream, ReceiveStream};
use s2n_quic::{Connection, Server};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::link::{Beat, Link};
use super::{LONGEST_MESSAGE, PeerEvent, PeerMessage, Shared};
use crate::frame::{END, Frames, TooLong};

/// Takes connections of other nodes. Ends when the endpoint does.
pub(super) async fn accept<M: PeerMessage>(shared: Arc<Shared<M>>, mut server: Server) {
    let mut receiving = JoinSet::new();
    while let Some(connection) = server.accept().await {
        while receiving.try_join_next().is_some() {}
        if receiving.len() == CONNECTIONS {
            tracing::warn!("a connection is refused: there are {CONNECTIONS} already");
            continue;
        }
        let shared = Arc::clone(&shared);
        receiving.spawn(async move { receive(&shared, connection).await });
    }
}

async fn receive<M: PeerMessage>(shared: &Shared<M>, mut connection: Connection) {
    let from = connection.remote_addr().map_or_else(|_| "somewhere".to_owned(), |address| address.to_string());
    let link = match whose(shared, &connection) {
        Ok(link) => link,
        Err(reason) => {
            tracing::warn!(%from, "a connection is refused: {reason}");
            connection.close(REFUSED.into());
            return;
        }
    };
    // A node that has connected anew will not use its connection before. This one is the one that counts from now on.
    let mut mine = 0;
    link.incoming.send_modify(|number| {
        *number += 1;
        mine = *number;
    });
    let mut latest = link.incoming.subscribe();
    let reason = tokio::select! {
        reason = receive_from(&link, &mut connection) => reason,
        _ = latest.wait_for(|&number| number != mine) => return,
    };
    link.lose(reason).await;
}

/// The node that the certificate names.
fn whose<M>(shared: &Shared<M>, connection: &Connection) -> Result<Arc<Link<M>>, String> {
    let subject = connection.query_event_context(|subject: &PeerSubject| subject.0.clone()).ok().flatten();
    let subject = subject.ok_or("its certificate cannot be read")?;
    let mut links = subject.dns_names().filter_map(|name| shared.link(&name.to_ascii_lowercase()));
    match (links.next(), links.next()) {
        (Some(link), None) => Ok(link),
        (None, _) => Err(format!("its certificate is no other node's: {subject}")),
        (Some(_), Some(_)) => {
            Err(format!("its certificate names several nodes, and each needs one of its own: {subject}"))
        }
    }
}

async fn receive_from<M: PeerMessage>(link: &Arc<Link<M>>, connection: &mut Connection) -> String {
    let mut stream = match timeout(link.options.silence, connection.accept()).await {
        Ok(Ok(Some(stream))) => receiving_half(stream),
        Ok(Ok(None)) => return "it has closed its connection".to_owned(),
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "it has connected and says nothing".to_owned(),
    };
    link.begin().await;
    link.seen.notify_one();
    let mut frames = Frames::new(END, LONGEST_MESSAGE);
    let mut whole = Vec::new();
    loop {
        match stream.receive().await {
            Ok(Some(bytes)) => frames.push(&bytes, |message| whole.push(read(message))),
            Ok(None) => return "it has ended its stream".to_owned(),
            Err(error) => return error.to_string(),
        }
        for message in whole.drain(..) {
            link.counters.received.fetch_add(1, Ordering::Relaxed);
            match message {
                Ok(Received::Message(message)) => {
                    link.tell(PeerEvent::Message(Arc::clone(&link.name), message)).await;
                }
                Ok(Received::Beat(beat)) => link.beat(beat).await,
                Err(why) => {
                    let before = link.counters.bad_messages.fetch_add(1, Ordering::Relaxed);
                    // The count tells the rest; a peer must not fill the log.
                    if before < BAD_MESSAGES_TOLD {
                        tracing::warn!(peer = %link.name, "a message is skipped: {why}");
                    }
                }
            }
        }
    }
}

enum Received<M> {
    Message(M),
    Beat(Beat),
}

fn read<M: PeerMessage>(message: Result<&[u8], TooLong>) -> Result<Received<M>, String> {
    let message = message.map_err(|error| error.to_string())?;
    // Nearly all are messages of the node: the others cost a second look.
    serde_json::from_slice(message).map(Received::Message).or_else(|why| {
        serde_json::from_slice(message).map(Received::Beat).map_err(|_| {
            let start: String = String::from_utf8_lossy(message).chars().take(SHOWN).collect();
            format!("it makes no sense: {why}: {start:?}")
        })
    })
}

fn receiving_half(stream: PeerStream) -> ReceiveStream {
    match stream {
        PeerStream::Receive(stream) => stream,
        PeerStream::Bidirectional(stream) => stream.split().0,
    }
}

/// Far more than a cluster has nodes.
const CONNECTIONS: usize = 64;
const BAD_MESSAGES_TOLD: u64 = 10;

/// Characters of a message that makes no sense.
const SHOWN: usize = 80;

/// What a connection is closed with that is refused.
const REFUSED: u32 = 1;
