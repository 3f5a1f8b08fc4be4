//! The audit log: who changed what, from where, and how it ended.
//!
//! One JSON object a line, in a file that only its owner can read. A change has two lines with the same `change`
//! number: `begun` is written before anything happens, and how it ended after it. A change whose first line cannot be
//! written is not made, so nobody can act unseen by filling the disk. If the second line is missing, the process
//! ended in the middle of the change.
//!
//! Who shows who they are and is refused has one line.
//!
//! A line is handed to the operating system before the change goes on: it outlives the process, not a power cut.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Caller, Problem, Role};

/// The audit log. Clones write to the same file.
#[derive(Clone, Debug)]
pub struct Audit {
    log: Arc<Log>,
}

/// A change that was announced in the log and has not ended. If it is dropped before its end was recorded, as when
/// the caller hangs up in the middle, the log says that it was interrupted.
#[derive(Debug)]
#[must_use = "dropping it records an interrupted change"]
pub struct Intent {
    log: Arc<Log>,
    change: u64,
    caller: Caller,
    action: &'static str,
    target: String,
    ended: bool,
}

/// How a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is about to be made.
    Begun,
    /// It was made.
    Done,
    /// It was not made, because what was asked for cannot be.
    Refused,
    /// It was not made, or not wholly, because something went wrong.
    Failed,
    /// Nobody waited for its end. It may have been made.
    Interrupted,
}

/// The audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the audit log {} cannot be opened: {source}: let this program write in its folder", path.display())]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: io::Error,
}

impl Audit {
    /// Opens the log at `path`, and makes it with mode 0600 if there is none.
    ///
    /// # Errors
    /// The file cannot be opened for writing.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let file = open(path).map_err(|source| AuditError { path: path.to_owned(), source })?;
        let log = Log { path: path.to_owned(), file: Mutex::new(file), changes: AtomicU64::new(1) };
        Ok(Self { log: Arc::new(log) })
    }

    /// Opens the file anew by its name, after something like logrotate has given it another one. Lines go on to the
    /// old file if that fails.
    ///
    /// # Errors
    /// The file cannot be opened for writing.
    pub fn reopen(&self) -> Result<(), AuditError> {
        let source = |source| AuditError { path: self.log.path.clone(), source };
        let file = open(&self.log.path).map_err(source)?;
        *self.log.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    /// Announces a change, makes it, and records how it ended: as the problem that `change` returns has it.
    ///
    /// # Errors
    /// What `change` returns, or a problem with status 503 if the change cannot be announced. It is not made then.
    pub async fn change<T, E: Into<Problem>>(
        &self,
        caller: &Caller,
        action: &'static str,
        target: impl Into<String>,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem> {
        let intent = self.announce(caller, action, target).await?;
        match change.await {
            Ok(done) => {
                intent.conclude(Outcome::Done, "").await;
                Ok(done)
            }
            Err(error) => {
                let problem: Problem = error.into();
                let outcome = if problem.status_code().is_server_error() { Outcome::Failed } else { Outcome::Refused };
                intent.conclude(outcome, problem.detail.as_deref().unwrap_or(&problem.title)).await;
                Err(problem)
            }
        }
    }

    /// As [`begin`](Self::begin), for a task: a disk that hangs holds up neither its thread, nor the change for ever. Must be called within
    /// a runtime.
    ///
    /// # Errors
    /// A problem with status 503 if the log cannot be written, or not within some seconds. The change must not be made then.
    pub async fn announce(
        &self,
        caller: &Caller,
        action: &'static str,
        target: impl Into<String>,
    ) -> Result<Intent, Problem> {
        let (audit, caller, target) = (self.clone(), caller.clone(), target.into());
        let announced = spawn_blocking(move || audit.begin(&caller, action, target));
        match timeout(PATIENCE, announced).await {
            Ok(Ok(announced)) => announced,
            Ok(Err(_)) | Err(_) => {
                // Once the line is written after all, another one will say that the change was interrupted.
                let path = self.log.path.display();
                tracing::error!(target: "audit", %path, "a change is refused: the audit log does not take it in time");
                Err(cannot_be_audited())
            }
        }
    }

    /// Records that somebody was refused before they got to a change: `who` they are or say they are, the `request`, and why.
    pub(super) fn refusal(&self, who: &str, role: Option<Role>, from: &str, request: &str, why: &str) {
        tracing::warn!(target: "audit", who, ?role, from, request, why, "a caller is refused");
        let change = self.log.changes.fetch_add(1, Ordering::Relaxed);
        let (time, outcome) = (Timestamp::now(), Outcome::Refused);
        let line = Line { time, change, who, role, from, action: "request", target: request, outcome, detail: why };
        if let Err(error) = self.log.write(&line) {
            let path = self.log.path.display();
            tracing::error!(target: "audit", %path, %error, "a refusal is not in the audit log");
        }
    }

    /// Announces a change: `caller` is about to do `action`, like `keys.revoke`, to `target`.
    ///
    /// # Errors
    /// A problem with status 503 if the log cannot be written. The change must not be made then.
    pub fn begin(&self, caller: &Caller, action: &'static str, target: impl Into<String>) -> Result<Intent, Problem> {
        let log = Arc::clone(&self.log);
        let change = log.changes.fetch_add(1, Ordering::Relaxed);
        let mut intent = Intent { log, change, caller: caller.clone(), action, target: target.into(), ended: false };
        if let Err(error) = intent.write(Outcome::Begun, "") {
            // There will be no change whose end could be recorded.
            intent.ended = true;
            let path = intent.log.path.display();
            tracing::error!(target: "audit", %path, %error, "a change is refused: the audit log cannot be written");
            return Err(cannot_be_audited());
        }
        Ok(intent)
    }
}

impl Intent {
    /// Records how the change ended. `detail` may be empty.
    pub fn end(mut self, outcome: Outcome, detail: &str) {
        self.record_end(outcome, detail);
    }

    /// As [`end`](Self::end), for a task: waits for a disk that hangs on another thread, and not for ever.
    pub async fn conclude(self, outcome: Outcome, detail: &str) {
        let detail = detail.to_owned();
        // The line follows when the disk goes on: whoever waits for the change need not.
        let _ = timeout(PATIENCE, spawn_blocking(move || self.end(outcome, &detail))).await;
    }

    fn record_end(&mut self, outcome: Outcome, detail: &str) {
        self.ended = true;
        if let Err(error) = self.write(outcome, detail) {
            // The change is made; all that is left is to say so elsewhere.
            let path = self.log.path.display();
            tracing::error!(target: "audit", %path, %error, "the end of a change is not in the audit log");
        }
    }

    fn write(&self, outcome: Outcome, detail: &str) -> io::Result<()> {
        let Self { change, caller: Caller { name, role, from }, action, target, .. } = self;
        tracing::info!(target: "audit", change, who = name, %role, from, action, target, ?outcome, detail, "audit");
        let time = Timestamp::now();
        let role = Some(*role);
        self.log.write(&Line { time, change: *change, who: name, role, from, action, target, outcome, detail })
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if !self.ended {
            self.record_end(Outcome::Interrupted, "nobody waited for the end");
        }
    }
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Mutex<File>,
    changes: AtomicU64,
}

impl Log {
    fn write(&self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // One call for the whole line: lines of two writers do not mix.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text)
    }
}

/// One line of the log.
#[derive(Serialize)]
struct Line<'l> {
    #[serde(serialize_with = "as_text")]
    time: Timestamp,
    /// Which change of this process, from one.
    change: u64,
    who: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    from: &'l str,
    action: &'l str,
    target: &'l str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'l str,
}

fn cannot_be_audited() -> Problem {
    let detail = "the audit log cannot be written, so nothing was changed: see the log of the program";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The change cannot be audited").with_detail(detail)
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// How long a task waits for a line to be written.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5_000 });

#[cfg(test)]
mod tests {
    use std::fs;
    use std::future::pending;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use nix::fcntl::{FcntlArg, fcntl};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_change_is_announced_and_its_end_recorded() {
        let (folder, audit) = new_log();
        let changed = audit.change(&ops(), "keys.revoke", "1-ff00:0:110", async { Ok::<_, Problem>(7) }).await;
        assert_eq!(changed.unwrap(), 7);
        let lines = lines(&folder);
        assert_eq!(outcomes(&lines), ["begun", "done"]);
        for line in &lines {
            assert_eq!((&line["who"], &line["role"]), (&"CN=ops".into(), &"admin".into()));
            assert_eq!(line["from"], "192.0.2.7:51234");
            assert_eq!((&line["action"], &line["target"]), (&"keys.revoke".into(), &"1-ff00:0:110".into()));
            assert_eq!(line["change"], 1);
            assert!(line["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        }
    }

    #[tokio::test]
    async fn a_refused_change_is_told_from_a_failed_one_and_both_say_why() {
        let (folder, audit) = new_log();
        for status in [StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR] {
            let problem = Problem::of_status(status).with_detail("the reason");
            let changed = audit.change(&ops(), "reload", "", async { Err::<(), _>(problem.clone()) }).await;
            assert_eq!(changed.unwrap_err(), problem);
        }
        let lines = lines(&folder);
        assert_eq!(outcomes(&lines), ["begun", "refused", "begun", "failed"]);
        assert_eq!(lines[3]["detail"], "the reason");
    }

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_is_recorded_as_interrupted() {
        let (folder, audit) = new_log();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let caller = ops();
        let change = audit.change(&caller, "reload", "", async {
            begun.send(()).unwrap();
            pending::<Result<(), Problem>>().await
        });
        tokio::select! {
            _ = change => {}
            begun = has_begun => begun.unwrap(),
        }
        assert_eq!(outcomes(&lines(&folder)), ["begun", "interrupted"]);
    }

    #[tokio::test]
    async fn a_log_that_hangs_refuses_the_change_in_time_and_holds_up_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        mkfifo(&path(&folder), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let mut reader = OpenOptions::new().read(true).write(true).open(path(&folder)).unwrap();
        // Nobody reads, and there is room for no more.
        let room = fcntl(&reader, FcntlArg::F_GETPIPE_SZ).unwrap();
        reader.write_all(&vec![b'x'; usize::try_from(room).unwrap()]).unwrap();
        let audit = Audit::open(&path(&folder)).unwrap();
        let mut made = false;
        let change = async {
            made = true;
            Ok::<_, Problem>(())
        };
        let refused = audit.change(&ops(), "reload", "", change).await.unwrap_err();
        assert_eq!(refused.status_code(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!made);
        // Lets the line through, so that its thread ends.
        reader.read_exact(&mut vec![0; usize::try_from(room).unwrap()]).unwrap();
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_audited_is_not_made() {
        let audit = Audit::open(Path::new("/dev/full")).unwrap();
        let mut made = false;
        let change = async {
            made = true;
            Ok::<_, Problem>(())
        };
        let refused = audit.change(&ops(), "reload", "", change).await.unwrap_err();
        assert_eq!(refused.status_code(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!made);
    }

    #[tokio::test]
    async fn the_log_is_its_owners_alone_and_grows_over_restarts() {
        let (folder, audit) = new_log();
        audit.begin(&ops(), "reload", "").unwrap().end(Outcome::Done, "");
        drop(audit);
        let audit = Audit::open(&path(&folder)).unwrap();
        audit.begin(&ops(), "reload", "").unwrap().end(Outcome::Done, "");
        assert_eq!(lines(&folder).len(), 4);
        assert_eq!(fs::metadata(path(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_log_that_was_renamed_goes_on_under_its_name_after_it_was_reopened() {
        let (folder, audit) = new_log();
        audit.begin(&ops(), "reload", "first").unwrap().end(Outcome::Done, "");
        fs::rename(path(&folder), folder.path().join("audit.log.1")).unwrap();
        audit.reopen().unwrap();
        audit.begin(&ops(), "reload", "second").unwrap().end(Outcome::Done, "");
        let lines = lines(&folder);
        assert_eq!((lines.len(), &lines[0]["target"]), (2, &"second".into()));
    }

    fn new_log() -> (TempDir, Audit) {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(&path(&folder)).unwrap();
        (folder, audit)
    }

    fn path(folder: &TempDir) -> PathBuf {
        folder.path().join("audit.log")
    }

    fn lines(folder: &TempDir) -> Vec<Value> {
        let text = fs::read_to_string(path(folder)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn outcomes(lines: &[Value]) -> Vec<&str> {
        lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect()
    }

    fn ops() -> Caller {
        Caller { name: "CN=ops".to_owned(), role: Role::Admin, from: "192.0.2.7:51234".to_owned() }
    }
}
