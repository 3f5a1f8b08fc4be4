//! The Unix socket: commands as lines, results as lines.
//!
//! Commands of one connection are carried out beside each other, so results may come in another order; each has the `id` of its
//! command. Who needs an order waits for the result.

use std::io;
use std::sync::Arc;

use photongate_net::http::Audit;
use photongate_net::unix_socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::frame::{Frames, NEWLINE, TooLong};
use crate::handle::Handle;
use crate::lines::{Answered, Asked, LONGEST_LINE, Operation, changed_fields};
use crate::service::Asker;

/// Serves the socket. Never ends by itself.
pub(crate) async fn serve(listener: UnixListener, handle: Handle, audit: Audit) {
    let converse = |stream| {
        let (handle, audit) = (handle.clone(), audit.clone());
        async move {
            // Its client has hung up: there is nobody to tell.
            let _ = converse(stream, handle, audit).await;
        }
    };
    unix_socket::serve_each(listener, CONNECTIONS, converse).await;
}

async fn converse(stream: UnixStream, handle: Handle, audit: Audit) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let process = credentials.pid().map_or_else(String::new, |pid| format!(", process {pid}"));
    let asker = Asker {
        author: format!("user {}", credentials.uid()).into(),
        from: format!("unix socket{process}").into(),
        audit,
        is_patient: false,
    };
    let (reading, writing) = stream.into_split();
    let (results, waiting) = mpsc::channel(RESULTS);
    // Whichever ends first ends the other: without a reader results are of no use.
    tokio::select! {
        outcome = answer_all(reading, &handle, asker, results) => outcome,
        outcome = write_all(writing, waiting) => outcome,
    }
}

async fn answer_all(
    mut reading: OwnedReadHalf,
    handle: &Handle,
    asker: Asker,
    results: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut tasks = JoinSet::new();
    let mut frames = Frames::new(NEWLINE, LONGEST_LINE);
    let mut buffer = vec![0; BUFFER];
    let mut lines = Vec::new();
    loop {
        let length = reading.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        frames.push(&buffer[..length], |line| lines.push(parse(line)));
        for line in lines.drain(..) {
            let place = Arc::clone(&under_way).acquire_owned().await.map_err(io::Error::other)?;
            let (handle, asker, results) = (handle.clone(), asker.clone(), results.clone());
            tasks.spawn(async move {
                carry_out(line, &handle, &asker, &results).await;
                drop(place);
            });
        }
        while tasks.try_join_next().is_some() {}
    }
    // The client has said all. What it asked for is still answered.
    while tasks.join_next().await.is_some() {}
    drop(results);
    std::future::pending().await
}

async fn carry_out(line: Result<Operation, Answered>, handle: &Handle, asker: &Asker, results: &mpsc::Sender<Vec<u8>>) {
    let answered = match line {
        Ok(mut operation) => {
            let id = operation.take_id();
            match operation.asks() {
                Ok(Asked::Watch { prefix, from }) => {
                    let mut watch = handle.watches().watch(prefix, from);
                    loop {
                        match watch.next(WATCHED_AT_ONCE).await {
                            Ok(changes) => {
                                for change in changes {
                                    let line = Answered::done(changed_fields(&change)).with_id(id.clone()).into_line();
                                    if results.send(line).await.is_err() {
                                        return;
                                    }
                                }
                            }
                            Err(compacted) => {
                                let mut answered = Answered::refused("compacted", compacted.to_string());
                                answered.set("oldest", compacted.oldest.0.into());
                                break answered.with_id(id);
                            }
                        }
                    }
                }
                Ok(asked) => asker.carry_out(handle, asked).await.with_id(id),
                Err(refused) => refused.with_id(id),
            }
        }
        Err(refused) => refused,
    };
    // Without anybody who reads it, the result is of no use.
    let _ = results.send(answered.into_line()).await;
}

fn parse(line: Result<&[u8], TooLong>) -> Result<Operation, Answered> {
    line.map_err(|error| Answered::refused("bad_command", error.to_string())).and_then(Operation::parse)
}

async fn write_all(mut writing: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut lines = Vec::new();
    while waiting.recv_many(&mut lines, RESULTS).await > 0 {
        let together = lines.concat();
        lines.clear();
        writing.write_all(&together).await?;
    }
    Ok(())
}

const CONNECTIONS: usize = 256;

/// Commands of one connection that are carried out at the same time.
const UNDER_WAY: usize = 256;
const RESULTS: usize = 256;
const WATCHED_AT_ONCE: usize = 100;
const BUFFER: usize = 16 << 10;
