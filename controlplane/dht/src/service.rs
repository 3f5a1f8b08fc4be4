//! Carries out what a line asks for.

use std::pin::pin;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Id;
use crate::copies::{self, Copies};
use crate::fetch::{self, Arrived, Effort, FetchError};
use crate::handle::{Handle, Put, PutError, Stopped};
use crate::lines::{Answer, Command, Range};
use crate::node::Wanted;
use crate::store::Keep;

/// As [`carry_out`], and says all the while, so often, that it is under way: who asked need not wonder whether the node hangs.
pub(crate) async fn carry_out_beating(
    command: Command,
    id: Option<&Value>,
    handle: &Handle,
    effort: Effort,
    answers: &mpsc::Sender<Vec<u8>>,
    every: Duration,
) {
    let mut work = pin!(carry_out(command, id, handle, effort, answers));
    while timeout(every.max(SHORTEST_BEAT), &mut work).await.is_err() {
        // A node whose loop stands still is not at work, whatever else it may do.
        if handle.contacts().await.is_ok() {
            let _ = answers.send(Answer::done(json!({ "working": true })).line(id)).await;
        }
    }
}

/// Does what is asked, and sends what came of it to `answers`: one line, or one for each piece of a file and one at the end.
pub(crate) async fn carry_out(
    command: Command,
    id: Option<&Value>,
    handle: &Handle,
    effort: Effort,
    answers: &mpsc::Sender<Vec<u8>>,
) {
    let answer = match command {
        Command::Status => Answer::done(handle.board().status()),
        Command::Peers => peers(handle).await.unwrap_or_else(stopping),
        Command::Lookup { target } => look_up(handle, target).await.unwrap_or_else(stopping),
        Command::Stat { key } => stat(handle, key).await.unwrap_or_else(stopping),
        Command::Put { base64 } => match STANDARD.decode(base64) {
            Ok(value) => put(handle.put(value.into()).await),
            Err(error) => Answer::refused("bad_command", format!("base64: {error}")),
        },
        Command::Spread { key } => put(handle.spread(key).await),
        Command::Confirm { key, wanted, verify } => confirm(handle, key, wanted, verify).await.unwrap_or_else(stopping),
        Command::Value { key } => match fetch::value(handle, key, effort).await {
            Ok(value) => Answer::done(json!({ "key": key, "base64": STANDARD.encode(value) })),
            Err(error) => error.into(),
        },
        Command::Get { key, have } => match get(handle, key, &have, effort, id, answers).await {
            Ok(answer) => answer,
            Err(error) => error.into(),
        },
    };
    // Without anybody who reads it, the answer is of no use.
    let _ = answers.send(answer.line(id)).await;
}

async fn peers(handle: &Handle) -> Result<Answer, Stopped> {
    Ok(Answer::done(json!({ "peers": handle.contacts().await? })))
}

async fn look_up(handle: &Handle, target: Id) -> Result<Answer, Stopped> {
    let begun = Instant::now();
    let found = handle.find(Wanted::Nodes(target)).await?;
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    Ok(Answer::done(json!({ "nodes": found.nearest, "hops": found.hops, "queries": found.queries, "ms": ms })))
}

async fn stat(handle: &Handle, key: Id) -> Result<Answer, Stopped> {
    let here = match handle.store().keep_of(key) {
        Some(Keep::Own) => json!("own"),
        Some(Keep::Held) => json!("held"),
        Some(Keep::Cached) => json!("cached"),
        None => Value::Null,
    };
    let found = handle.find(Wanted::Holders { key, providers: MOST_PROVIDERS }).await?;
    let me = handle.me();
    let providers: Vec<_> = found.providers.iter().filter(|contact| contact.id != me.id).collect();
    let size = handle.store().size_of(key);
    let found_anywhere = size.is_some() || !providers.is_empty() || found.data.is_some();
    if !found_anywhere {
        return Ok(Answer::refused("not_found", format!("no node is found that has {key}")));
    }
    let stat = json!({ "key": key, "here": here, "size": size, "providers": providers, "hops": found.hops });
    Ok(Answer::done(stat))
}

fn put(outcome: Result<Put, PutError>) -> Answer {
    match outcome {
        Ok(Put { key, size, was_here, kept, failed }) => {
            Answer::done(json!({ "key": key, "size": size, "was_here": was_here, "kept": kept, "failed": failed }))
        }
        Err(error) => error.into(),
    }
}

async fn confirm(handle: &Handle, key: Id, wanted: usize, verify: bool) -> Result<Answer, Stopped> {
    let fields = if verify {
        let Copies { verified, claimed } = copies::verified(handle, key, wanted, CONFIRM_WITHIN).await?;
        json!({ "key": key, "have": verified, "claimed": claimed })
    } else {
        json!({ "key": key, "claimed": copies::claimed(handle, key, wanted, CONFIRM_WITHIN).await? })
    };
    Ok(Answer::done(fields))
}

/// Sends a line that says what the file is, then one for each piece that is wanted, and gives the last.
async fn get(
    handle: &Handle,
    key: Id,
    have: &[Range],
    effort: Effort,
    id: Option<&Value>,
    answers: &mpsc::Sender<Vec<u8>>,
) -> Result<Answer, FetchError> {
    let file = fetch::file(handle, key, effort).await?;
    let pieces = file.manifest.pieces();
    let list: Vec<_> = pieces.iter().map(|piece| json!({ "key": piece.key, "size": piece.size })).collect();
    let begin = Answer::done(json!({ "file": key, "size": file.manifest.size(), "pieces": list }));
    answers.send(begin.line(id)).await.map_err(|_| FetchError::GivenUp)?;

    let is_there = |piece: usize| have.iter().any(|range| (range.first..=range.last).contains(&piece));
    let wanted = (0..pieces.len()).filter(|&piece| !is_there(piece));
    let offsets: Vec<_> = file.manifest.offsets().collect();
    let (arrived_in, mut arrived) = mpsc::channel(ARRIVED);
    let fetching = fetch::file_pieces(handle, &file, wanted, effort, arrived_in);
    let handing_on = async {
        let mut count = 0_usize;
        while let Some(Arrived { piece, bytes, from }) = arrived.recv().await {
            count += 1;
            let line = Answer::done(json!({
                "piece": piece, "offset": offsets[piece], "base64": STANDARD.encode(&bytes), "from": from,
            }));
            if answers.send(line.line(id)).await.is_err() {
                // Dropping the receiver ends the fetch.
                return count;
            }
        }
        count
    };
    let (fetched, count) = tokio::join!(fetching, handing_on);
    fetched?;
    Ok(Answer::done(json!({ "done": true, "pieces": count })))
}

fn stopping(stopped: Stopped) -> Answer {
    Answer::refused("stopping", stopped.to_string())
}

/// How long it may take others to fetch what they said they would.
const CONFIRM_WITHIN: Duration = Duration::from_secs(20);
const MOST_PROVIDERS: usize = 32;

/// However often the node is to say that it is at work, there is so much time between.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);

/// Pieces that wait to be handed on.
const ARRIVED: usize = 4;
