//! Traces that the filter keeps until somebody fetches them.
//!
//! Each is a file that only the filter's user can read. There are never more than [`MOST_KEPT`], of [`MOST_BYTES`]
//! each, and none outlives the filter: a start removes what an earlier run has left.

mod request;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::fs::File;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::api::{TraceInfo, TraceRequest, TraceState};
use crate::{Observer, TraceEnd, TraceError};

/// The traces of a filter. Clones mean the same ones.
#[derive(Clone)]
pub struct Traces {
    shared: Arc<Shared>,
}

/// Why something cannot be done with a trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceRefused {
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// As many run as can.
    #[error("as many traces run already as can at the same time ({MOST_RUNNING}): stop one")]
    TooMany,
    /// There is no trace with this number.
    #[error("there is no trace {0}: it was never started, deleted, or made room for newer ones")]
    Unknown(u64),
    /// It has not ended.
    #[error("trace {0} still runs: stop it, or wait for its end")]
    Running(u64),
    /// It has nothing to show.
    #[error("trace {0} failed: {1}")]
    Failed(u64, String),
    /// The folder cannot be written.
    #[error("the folder of traces: {0}")]
    Storage(#[from] io::Error),
}

impl Traces {
    /// Traces of what `observer` sees, kept in `folder`, which is made if need be. What an earlier run has left there
    /// is removed.
    ///
    /// # Errors
    /// The folder cannot be made or emptied.
    pub fn at(folder: PathBuf, observer: Arc<dyn Observer>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { shared: Arc::new(Shared { folder, observer, desk: Mutex::default() }) })
    }

    /// All traces, in the order in which they were started.
    pub fn list(&self) -> Vec<TraceInfo> {
        self.shared.desk().traces.values().map(Trace::info).collect()
    }

    /// One trace.
    ///
    /// # Errors
    /// [`TraceRefused::Unknown`].
    pub fn one(&self, id: u64) -> Result<TraceInfo, TraceRefused> {
        self.shared.desk().trace(id).map(Trace::info)
    }

    /// Starts a trace for `by`. Must be called within a runtime.
    ///
    /// # Errors
    /// [`TraceRefused`].
    pub fn start(&self, request: TraceRequest, by: &str) -> Result<TraceInfo, TraceRefused> {
        let request = request::checked(request)?;
        let mut desk = self.shared.desk();
        if desk.traces.values().filter(|trace| trace.is_running()).count() >= MOST_RUNNING {
            return Err(TraceRefused::TooMany);
        }
        self.shared.make_room(&mut desk);
        // Numbers are not used again: who has one from before must not get somebody else's trace.
        desk.last_id += 1;
        let id = desk.last_id;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.shared.path(id))?;
        let trace = Trace::new(id, request.clone(), by);
        let info = trace.info();
        let mut output =
            Bounded { output: BufWriter::new(file), size: Arc::clone(&trace.size), stop: Arc::clone(&trace.stop) };
        desk.traces.insert(id, trace);
        let (shared, observer) = (Arc::clone(&self.shared), Arc::clone(&self.shared.observer));
        let recording = spawn_blocking(move || {
            let stop = Arc::clone(&output.stop);
            let end = observer.trace(&request, &mut output, &stop)?;
            output.flush()?;
            Ok(end)
        });
        tokio::spawn(async move {
            // What it panicked about is in the log.
            let broken = |_| Err(TraceError::Write(io::Error::other("the trace has broken down")));
            shared.end(id, recording.await.unwrap_or_else(broken));
        });
        Ok(info)
    }

    /// Ends a trace, and waits a while until it has ended.
    ///
    /// # Errors
    /// [`TraceRefused::Unknown`].
    pub async fn stop(&self, id: u64) -> Result<TraceInfo, TraceRefused> {
        let mut ended = {
            let desk = self.shared.desk();
            let trace = desk.trace(id)?;
            trace.stop.store(true, Ordering::Relaxed);
            trace.ended.subscribe()
        };
        // Whichever comes first, how it stands then is the answer.
        let _ = timeout(LONGEST_END, ended.wait_for(|ended| *ended)).await;
        self.one(id)
    }

    /// The file of a trace that has ended, and its size in bytes.
    ///
    /// # Errors
    /// [`TraceRefused`].
    pub async fn file(&self, id: u64) -> Result<(File, u64), TraceRefused> {
        let info = self.one(id)?;
        match info.state {
            TraceState::Running => Err(TraceRefused::Running(id)),
            TraceState::Failed => Err(TraceRefused::Failed(id, info.error.unwrap_or_default())),
            TraceState::Finished => {
                let file = File::open(self.shared.path(id)).await?;
                let size = file.metadata().await?.len();
                Ok((file, size))
            }
        }
    }

    /// Deletes a trace. One that runs is ended first.
    ///
    /// # Errors
    /// [`TraceRefused`].
    pub async fn delete(&self, id: u64) -> Result<(), TraceRefused> {
        if self.stop(id).await?.state == TraceState::Running {
            return Err(TraceRefused::Running(id));
        }
        self.shared.remove(&mut self.shared.desk(), id);
        Ok(())
    }

    /// Ends all traces, as when the filter stops.
    pub fn stop_all(&self) {
        for trace in self.shared.desk().traces.values() {
            trace.stop.store(true, Ordering::Relaxed);
        }
    }
}

struct Shared {
    folder: PathBuf,
    observer: Arc<dyn Observer>,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    traces: BTreeMap<u64, Trace>,
    last_id: u64,
}

struct Trace {
    info: TraceInfo,
    stop: Arc<AtomicBool>,
    /// Bytes written so far.
    size: Arc<AtomicU64>,
    ended: watch::Sender<bool>,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("trace-{id}.{EXTENSION}"))
    }

    fn end(&self, id: u64, end: Result<TraceEnd, TraceError>) {
        let mut desk = self.desk();
        let Some(trace) = desk.traces.get_mut(&id) else { return };
        match end {
            Ok(TraceEnd { packets, left_out }) => {
                trace.info.state = TraceState::Finished;
                (trace.info.packets, trace.info.left_out) = (Some(packets), Some(left_out));
            }
            Err(error) => {
                tracing::warn!(trace = id, "a trace failed: {error}");
                trace.info.state = TraceState::Failed;
                trace.info.error = Some(error.to_string());
            }
        }
        trace.ended.send_replace(true);
    }

    /// Removes the oldest traces that have ended, so that one more can be kept.
    fn make_room(&self, desk: &mut Desk) {
        let surplus = (desk.traces.len() + 1).saturating_sub(MOST_KEPT);
        let ended = desk.traces.values().filter(|trace| !trace.is_running()).map(|trace| trace.info.id);
        for id in ended.take(surplus).collect::<Vec<_>>() {
            self.remove(desk, id);
        }
    }

    fn remove(&self, desk: &mut Desk, id: u64) {
        if desk.traces.remove(&id).is_some()
            && let Err(error) = fs::remove_file(self.path(id))
        {
            tracing::warn!(trace = id, "the file of a trace cannot be removed: {error}");
        }
    }
}

impl Desk {
    fn trace(&self, id: u64) -> Result<&Trace, TraceRefused> {
        self.traces.get(&id).ok_or(TraceRefused::Unknown(id))
    }
}

impl Trace {
    fn new(id: u64, request: TraceRequest, by: &str) -> Self {
        let info = TraceInfo {
            id,
            request,
            started_by: by.to_owned(),
            started_at: Timestamp::now().to_string(),
            state: TraceState::Running,
            size_bytes: 0,
            packets: None,
            left_out: None,
            error: None,
        };
        Self { info, stop: Arc::default(), size: Arc::default(), ended: watch::channel(false).0 }
    }

    fn info(&self) -> TraceInfo {
        TraceInfo { size_bytes: self.size.load(Ordering::Relaxed), ..self.info.clone() }
    }

    fn is_running(&self) -> bool {
        self.info.state == TraceState::Running
    }
}

/// A file that ends the trace when it is full: packets are bounded by themselves, what is said about each of them is
/// not.
struct Bounded<W> {
    output: W,
    size: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        let before = self.size.fetch_add(count as u64, Ordering::Relaxed);
        if before + count as u64 >= MOST_BYTES {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

const EXTENSION: &str = "pcapng";

/// The packet path has four places, one of which is left to `photongate trace`.
const MOST_RUNNING: usize = 3;

/// Ended ones included.
const MOST_KEPT: usize = 16;

/// Of a trace, in its file.
const MOST_BYTES: u64 = 64 << 20;

/// A trace looks up every few milliseconds.
const LONGEST_END: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
