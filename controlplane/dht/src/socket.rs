//! The Unix socket: commands as lines, answers as lines.
//!
//! Commands of one connection are carried out beside each other, so answers may come in another order; each has the `id` of its command.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use photongate_net::unix_socket;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::fetch::Effort;
use crate::handle::Handle;
use crate::lines::{Answer, LONGEST_LINE, Line};
use crate::service;

/// Serves the socket. Never ends by itself.
pub(crate) async fn serve(listener: UnixListener, handle: Handle, effort: Effort) {
    let converse = |stream| {
        let handle = handle.clone();
        async move {
            // Its client has hung up: there is nobody to tell.
            let _ = converse(stream, handle, effort).await;
        }
    };
    unix_socket::serve_each(listener, CONNECTIONS, converse).await;
}

async fn converse(stream: UnixStream, handle: Handle, effort: Effort) -> io::Result<()> {
    let (reading, writing) = stream.into_split();
    let (answers, waiting) = mpsc::channel(ANSWERS);
    // Whichever ends first ends the other: without a reader answers are of no use.
    tokio::select! {
        outcome = answer_all(reading, &handle, effort, answers) => outcome,
        outcome = write_all(writing, waiting) => outcome,
    }
}

async fn answer_all(
    reading: OwnedReadHalf,
    handle: &Handle,
    effort: Effort,
    answers: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut tasks = JoinSet::new();
    let mut reading = BufReader::new(reading);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut reading).take(LONGEST_LINE as u64).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            break;
        }
        let is_whole = line.ends_with(b"\n");
        let parsed =
            if is_whole { Line::parse(&line) } else { Err(Answer::refused("bad_command", "the line is too long")) };
        match parsed {
            Ok(Line { id, beat_ms, command }) => {
                let place = Arc::clone(&under_way).acquire_owned().await.map_err(io::Error::other)?;
                let (handle, answers) = (handle.clone(), answers.clone());
                tasks.spawn(async move {
                    let id = id.as_ref();
                    match beat_ms.map(Duration::from_millis) {
                        None => service::carry_out(command, id, &handle, effort, &answers).await,
                        Some(every) => {
                            service::carry_out_beating(command, id, &handle, effort, &answers, every).await;
                        }
                    }
                    drop(place);
                });
            }
            Err(refused) => answers.send(refused.line(None)).await.map_err(io::Error::other)?,
        }
        if !is_whole {
            // Where the next command begins is not known.
            break;
        }
        while tasks.try_join_next().is_some() {}
    }
    // The client has said all. What it asked for is still answered.
    while tasks.join_next().await.is_some() {}
    drop(answers);
    std::future::pending().await
}

async fn write_all(mut writing: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(line) = waiting.recv().await {
        writing.write_all(&line).await?;
    }
    Ok(())
}

const CONNECTIONS: usize = 64;

/// Commands of one connection that are carried out at the same time.
const UNDER_WAY: usize = 64;

/// Answers that wait to be taken. Pieces are long.
const ANSWERS: usize = 4;
