//! Traces that the filter keeps until somebody fetches them.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::fs::File;
use tokio::time::sleep;

use crate::api::{TraceInfo, TraceRequest, TraceState};
use crate::{Observer, TraceEnd, TraceError};

/// The traces of a filter. Clones mean the same ones.
#[derive(Clone)]
pub struct Traces {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    observer: Arc<dyn Observer>,
    traces: Mutex<BTreeMap<u64, Trace>>,
}

struct Trace {
    info: TraceInfo,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
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
    #[error("{0}")]
    Storage(#[from] io::Error),
}

impl Traces {
    /// Traces of what `observer` sees, kept in `folder`, which is made if need be. What an earlier run has left there is removed.
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
        Ok(Self { shared: Arc::new(Shared { folder, observer, traces: Mutex::default() }) })
    }

    /// All traces, in the order in which they were started.
    pub fn list(&self) -> Vec<TraceInfo> {
        self.shared.traces().values().map(Trace::info).collect()
    }

    /// One trace.
    ///
    /// # Errors
    /// [`TraceRefused::Unknown`].
    pub fn one(&self, id: u64) -> Result<TraceInfo, TraceRefused> {
        self.shared.traces().get(&id).map(Trace::info).ok_or(TraceRefused::Unknown(id))
    }

    /// Starts a trace for `by`.
    ///
    /// # Errors
    /// [`TraceRefused`].
    pub fn start(&self, request: TraceRequest, by: &str) -> Result<TraceInfo, TraceRefused> {
        let request = bounded(request)?;
        let mut traces = self.shared.traces();
        let running = traces.values().filter(|trace| trace.info.state == TraceState::Running).count();
        if running >= MOST_RUNNING {
            return Err(TraceRefused::TooMany);
        }
        self.shared.make_room(&mut traces);
        let id = traces.last_key_value().map_or(0, |(id, _)| *id) + 1;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.shared.path(id))?;
        let info = TraceInfo {
            id,
            request: request.clone(),
            started_by: by.to_owned(),
            started_at: Timestamp::now().to_string(),
            state: TraceState::Running,
            size_bytes: 0,
            packets: None,
            left_out: None,
            error: None,
        };
        let (stop, written): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let trace = Trace { info: info.clone(), stop: Arc::clone(&stop), written: Arc::clone(&written) };
        traces.insert(id, trace);
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let mut output = Counted { output: BufWriter::new(file), written };
            let ended = shared.observer.trace(&request, &mut output, &stop);
            let flushed = output.flush();
            shared.end(id, ended.and_then(|ended| flushed.map(|()| ended).map_err(TraceError::Write)));
        });
        Ok(info)
    }

    /// Ends a trace, and waits until it has ended.
    ///
    /// # Errors
    /// [`TraceRefused::Unknown`].
    pub async fn stop(&self, id: u64) -> Result<TraceInfo, TraceRefused> {
        self.shared.traces().get(&id).ok_or(TraceRefused::Unknown(id))?.stop.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        loop {
            let info = self.one(id)?;
            if info.state != TraceState::Running || begun.elapsed() > LONGEST_END {
                return Ok(info);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The file of a trace that has ended, and its size in bytes.
    ///
    /// # Errors
    /// [`TraceRefused`].
    pub async fn open(&self, id: u64) -> Result<(File, u64), TraceRefused> {
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
        self.shared.remove(&mut self.shared.traces(), id);
        Ok(())
    }

    /// Ends all traces, as when the filter stops.
    pub fn stop_all(&self) {
        for trace in self.shared.traces().values() {
            trace.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn traces(&self) -> MutexGuard<'_, BTreeMap<u64, Trace>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("trace-{id}.{EXTENSION}"))
    }

    fn end(&self, id: u64, ended: Result<TraceEnd, TraceError>) {
        let mut traces = self.traces();
        let Some(trace) = traces.get_mut(&id) else { return };
        match ended {
            Ok(TraceEnd { packets, left_out }) => {
                trace.info.state = TraceState::Finished;
                (trace.info.packets, trace.info.left_out) = (Some(packets), Some(left_out));
            }
            Err(error) => {
                trace.info.state = TraceState::Failed;
                trace.info.error = Some(error.to_string());
            }
        }
    }

    /// Removes the oldest ended traces, so that one more can be kept.
    fn make_room(&self, traces: &mut BTreeMap<u64, Trace>) {
        let mut ended =
            traces.values().filter(|trace| trace.info.state != TraceState::Running).map(|trace| trace.info.id);
        let surplus = (traces.len() + 1).saturating_sub(MOST_KEPT);
        let oldest: Vec<_> = ended.by_ref().take(surplus).collect();
        for id in oldest {
            self.remove(traces, id);
        }
    }

    fn remove(&self, traces: &mut BTreeMap<u64, Trace>, id: u64) {
        traces.remove(&id);
        if let Err(error) = fs::remove_file(self.path(id)) {
            tracing::warn!("the file of trace {id} cannot be removed: {error}");
        }
    }
}

impl Trace {
    fn info(&self) -> TraceInfo {
        TraceInfo { size_bytes: self.written.load(Ordering::Relaxed), ..self.info.clone() }
    }
}

/// A file, and how much was written to it.
struct Counted<W: Write> {
    output: W,
    written: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The request with its defaults, or what is wrong with it.
fn bounded(request: TraceRequest) -> Result<TraceRequest, TraceRefused> {
    let bytes = request.bytes.unwrap_or(MOST_BYTES);
    let duration_ms = request.duration_ms.unwrap_or(USUAL_DURATION_MS);
    if bytes > MOST_BYTES {
        return Err(TraceRefused::Invalid(format!("bytes is {bytes}: at most {MOST_BYTES}")));
    }
    if duration_ms > LONGEST_DURATION_MS {
        return Err(TraceRefused::Invalid(format!("duration_ms is {duration_ms}: at most {LONGEST_DURATION_MS}")));
    }
    if request.sample == 0 {
        return Err(TraceRefused::Invalid("sample is 0: it must be 1 (every packet) or more".to_owned()));
    }
    if !(1..=LARGEST_SNAP_LEN).contains(&request.snap_len) {
        let snap_len = request.snap_len;
        return Err(TraceRefused::Invalid(format!("snap_len is {snap_len}: it must be from 1 to {LARGEST_SNAP_LEN}")));
    }
    let verdicts: Vec<_> = photongate_pipeline::Verdict::all().collect();
    if let Some(word) = request.verdicts.iter().find(|word| !verdicts.iter().any(|verdict| verdict.name() == **word)) {
        let names = "accepted, best_effort, control, outbound and dropped";
        return Err(TraceRefused::Invalid(format!("there is no verdict {word:?}: there are {names}")));
    }
    let reasons = photongate_pipeline::DropReason::ALL;
    if let Some(word) = request.reasons.iter().find(|word| !reasons.iter().any(|reason| reason.name() == **word)) {
        return Err(TraceRefused::Invalid(format!("there is no reason {word:?} to drop a packet")));
    }
    Ok(TraceRequest { bytes: Some(bytes), duration_ms: Some(duration_ms), ..request })
}

const EXTENSION: &str = "pcapng";
const MOST_RUNNING: usize = 3;
const MOST_KEPT: usize = 16;
const MOST_BYTES: u64 = 64 << 20;
const USUAL_DURATION_MS: u64 = 60_000;
const LONGEST_DURATION_MS: u64 = 3_600_000;
const LARGEST_SNAP_LEN: u32 = 9_728;

/// A trace looks up every few milliseconds.
const LONGEST_END: Duration = Duration::from_secs(5);
