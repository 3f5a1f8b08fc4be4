//! Commands of another application by a named pipe; results by a companion pipe, or into the log.
//!
//! A line is a command ([`crate::lines`]). Changes of one document, and commands of one client that counts them, are made in the order of
//! their lines, one when the one before is known to be made; others beside each other. A command is tried until it is known what came of
//! it. Each is applied once: the node counts them for itself, or the application does, with `client` and `sequence`. Only the
//! latter survives that this node dies: the application sends again what it has no result of.
//!
//! Writers come and go. What the last one left unfinished is reported, and skipped.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::config::PipeConfig;
use crate::frame::{Frames, NEWLINE};
use crate::handle::Handle;
use crate::lines::{Answered, LONGEST_LINE, Operation};
use crate::service::Asker;

/// Reads a named pipe until it is dropped.
#[derive(Debug)]
pub struct Pipe {
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// A named pipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// Something else is there.
    #[error("{} is no named pipe: remove it, or choose another path", path.display())]
    NotAPipe {
        /// Where.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("the named pipe {} cannot be used: {source}: choose another path", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl Pipe {
    /// Makes the pipes that are not there, for their owner only, and begins to read. Must be called within a runtime.
    ///
    /// # Errors
    /// [`PipeError`].
    pub fn open(config: &PipeConfig, handle: &Handle, asker: &Asker) -> Result<Self, PipeError> {
        make(&config.commands)?;
        let receiver = receiver(&config.commands)?;
        let mut tasks = Vec::new();
        let results = match &config.results {
            Some(path) => {
                make(path)?;
                let refused = |source| PipeError::Refused { path: path.clone(), source };
                // With a reader of our own, results wait in the pipe for one that comes late.
                let sender = pipe::OpenOptions::new().read_write(true).open_sender(path).map_err(refused)?;
                let (results, waiting) = mpsc::channel(RESULTS);
                tasks.push(spawn(write_results(sender, waiting)));
                Results(Some(results))
            }
            None => Results(None),
        };
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                let (lane, work) = mpsc::channel(WAITING);
                tasks.push(spawn(carry_out_all(work, handle.clone(), asker.clone(), results.clone())));
                lane
            })
            .collect();
        tasks.push(spawn(read_all(
            receiver,
            config.commands.clone(),
            Lanes { lanes, hash: RandomState::new() },
            results,
        )));
        Ok(Self { _tasks: tasks })
    }
}

/// A line of the pipe that was read.
struct Line {
    number: u64,
    operation: Operation,
}

/// Commands side by side, but for those whose order matters.
struct Lanes {
    lanes: Vec<mpsc::Sender<Line>>,
    hash: RandomState,
}

impl Lanes {
    /// Waits while too many commands of the same lane wait: then the pipe fills, and its writer waits, too.
    async fn give(&self, line: Line) {
        let lane = match line.operation.order() {
            Some(order) => self.hash.hash_one(order) as usize % self.lanes.len(),
            None => 0,
        };
        // Lanes end with the pipe.
        let _ = self.lanes[lane].send(line).await;
    }
}

/// Where results go.
#[derive(Clone)]
struct Results(Option<mpsc::Sender<Vec<u8>>>);

impl Results {
    fn tell(&self, number: u64, mut answered: Answered) {
        answered.set("line", number.into());
        let is_ok = answered.is_ok();
        let line = answered.into_line();
        let unread = match &self.0 {
            Some(pipe) => match pipe.try_send(line) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(line) | mpsc::error::TrySendError::Closed(line)) => line,
            },
            None => line,
        };
        let result = String::from_utf8_lossy(unread.trim_ascii_end());
        if is_ok { tracing::info!(%result, "pipe") } else { tracing::warn!(%result, "pipe") }
    }
}

async fn read_all(mut receiver: pipe::Receiver, path: PathBuf, lanes: Lanes, results: Results) {
    let mut frames = Frames::new(NEWLINE, LONGEST_LINE);
    let mut buffer = vec![0; BUFFER];
    let mut lines = Vec::new();
    let mut number = 0;
    loop {
        match receiver.read(&mut buffer).await {
            Ok(0) => {
                let lost = frames.give_up();
                if lost > 0 {
                    number += 1;
                    let detail = format!("the writer went away in the middle of a line: {lost} bytes are skipped");
                    results.tell(number, Answered::refused("bad_command", detail));
                }
                // The next writer may be there already: the pipe must not be without a reader for a moment.
                receiver = reopen(&path).await;
            }
            Ok(length) => frames.push(&buffer[..length], |line| {
                number += 1;
                let parsed = line
                    .map_err(|error| Answered::refused("bad_command", error.to_string()))
                    .and_then(Operation::parse);
                lines.push((number, parsed));
            }),
            Err(error) => {
                tracing::warn!(path = %path.display(), "the pipe cannot be read: {error}");
                receiver = reopen(&path).await;
            }
        }
        for (number, parsed) in lines.drain(..) {
            match parsed {
                Ok(operation) => lanes.give(Line { number, operation }).await,
                Err(refused) => results.tell(number, refused),
            }
        }
    }
}

async fn carry_out_all(mut work: mpsc::Receiver<Line>, handle: Handle, asker: Asker, results: Results) {
    while let Some(Line { number, mut operation }) = work.recv().await {
        let id = operation.take_id();
        let answered = match operation.asks() {
            Ok(asked) => asker.carry_out(&handle, asked).await,
            Err(refused) => refused,
        };
        results.tell(number, answered.with_id(id));
    }
}

async fn write_results(mut sender: pipe::Sender, mut waiting: mpsc::Receiver<Vec<u8>>) {
    let mut lines = Vec::new();
    while waiting.recv_many(&mut lines, RESULTS).await > 0 {
        let together = lines.concat();
        lines.clear();
        if let Err(error) = sender.write_all(&together).await {
            tracing::warn!("results cannot be written to the pipe: {error}");
            return;
        }
    }
}

fn make(path: &Path) -> Result<(), PipeError> {
    let refused = |source| PipeError::Refused { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(()),
        Ok(_) => Err(PipeError::NotAPipe { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|errno| refused(errno.into()))
        }
        Err(error) => Err(refused(error)),
    }
}

fn receiver(path: &Path) -> Result<pipe::Receiver, PipeError> {
    pipe::OpenOptions::new().open_receiver(path).map_err(|source| PipeError::Refused { path: path.to_owned(), source })
}

/// Opens the pipe again, however long that takes: somebody may have removed it.
async fn reopen(path: &Path) -> pipe::Receiver {
    loop {
        match make(path).and_then(|()| receiver(path)) {
            Ok(receiver) => return receiver,
            Err(error) => {
                tracing::error!("{error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// Commands that are carried out at the same time.
const LANES: usize = 64;

/// Commands that wait for the one before in their lane.
const WAITING: usize = 16;

/// Results that wait to be read; more go to the log.
const RESULTS: usize = 4_096;
const BUFFER: usize = 64 << 10;
const PAUSE: Duration = Duration::from_secs(1);
