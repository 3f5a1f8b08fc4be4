//! A client's connection to a node of px: lines of JSON by its Unix socket, several commands under way at a time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::load::Writer;

/// A connection to a node. Clones share it.
#[derive(Clone)]
pub(super) struct Connection(Arc<Inner>);

struct Inner {
    lines: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<Waiting>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// Who waits for which answer.
#[derive(Default)]
struct Waiting(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    next: u64,
    by_id: HashMap<u64, oneshot::Sender<Answer>>,
}

/// What is looked at in an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    id: u64,
    ok: bool,
    detail: Option<String>,
    /// Of a status: who leads, as far as the node knows.
    pub(super) leader: Option<String>,
    /// Of a status: in which ballot.
    #[serde(default)]
    pub(super) ballot: u32,
    /// Of a status: up to where the state is.
    #[serde(default)]
    pub(super) revision: u64,
    /// Of a status: the other nodes.
    #[serde(default)]
    pub(super) peers: Vec<Peer>,
}

/// Another node, as one sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Peer {
    pub(super) up: bool,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> Result<Self> {
        let (reading, writing) = UnixStream::connect(socket).await.context("a node does not answer")?.into_split();
        let (lines, to_write) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let tasks = [tokio::spawn(read(reading, Arc::clone(&waiting))), tokio::spawn(write(writing, to_write))];
        Ok(Self(Arc::new(Inner { lines, waiting, _tasks: tasks.map(AbortOnDropHandle::new) })))
    }

    /// How the node is.
    pub(super) async fn status(&self) -> Result<Answer> {
        self.ask(|id| json!({ "op": "status", "id": id }).to_string().into_bytes()).await
    }

    async fn ask(&self, line: impl FnOnce(u64) -> Vec<u8>) -> Result<Answer> {
        let (tell, answer) = oneshot::channel();
        let id = {
            let mut answers = self.0.waiting.answers();
            answers.next += 1;
            let id = answers.next;
            answers.by_id.insert(id, tell);
            id
        };
        let mut line = line(id);
        line.push(b'\n');
        let sent = self.0.lines.send(line);
        let answer = if sent.is_ok() { answer.await.ok() } else { None };
        answer.context("a node has closed its socket")
    }
}

impl Writer for Connection {
    async fn put(&self, name: &str, value: &str) -> Result<()> {
        #[derive(serde::Serialize)]
        struct Put<'p> {
            op: &'static str,
            id: u64,
            name: &'p str,
            value: &'p str,
        }
        let line =
            |id| serde_json::to_vec(&Put { op: "put", id, name, value }).expect("text and numbers can be written");
        let answer = self.ask(line).await?;
        if !answer.ok {
            bail!("a node refuses: {}", answer.detail.unwrap_or_default());
        }
        Ok(())
    }
}

impl Waiting {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(reading: OwnedReadHalf, waiting: Arc<Waiting>) {
    let mut reading = BufReader::new(reading);
    let mut line = Vec::new();
    while reading.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        let Ok(answer) = serde_json::from_slice::<Answer>(&line) else { break };
        line.clear();
        if let Some(tell) = waiting.answers().by_id.remove(&answer.id) {
            // Who does not wait any more has given up.
            let _ = tell.send(answer);
        }
    }
    // Nobody will answer any more.
    waiting.answers().by_id.clear();
}

async fn write(mut writing: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    let mut together = Vec::new();
    while lines.recv_many(&mut together, AT_ONCE).await > 0 {
        if writing.write_all(&together.concat()).await.is_err() {
            return;
        }
        together.clear();
    }
}

const AT_ONCE: usize = 1_024;
