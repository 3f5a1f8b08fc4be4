//! DPDK's log, handed to the program's own.

use std::ffi::c_char;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use photongate_dpdk_sys as sys;

use crate::Errno;

/// How severe a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something may not work as wanted.
    Warning,
    /// What is being done.
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// DPDK's number for it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Error => sys::RTE_LOG_ERR,
            Self::Warning => sys::RTE_LOG_WARNING,
            Self::Info => sys::RTE_LOG_INFO,
            Self::Debug => sys::RTE_LOG_DEBUG,
        }
    }

    fn from_number(number: u32) -> Self {
        match number {
            0..=sys::RTE_LOG_ERR => Self::Error,
            sys::RTE_LOG_WARNING => Self::Warning,
            sys::RTE_LOG_NOTICE | sys::RTE_LOG_INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

/// Takes messages of DPDK's, without line end. May be called on any thread.
pub type LogSink = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

/// Sends DPDK's log to `sink` from now on.
pub(super) fn start(level: LogLevel, sink: LogSink) -> Result<(), Errno> {
    // The environment is initialised once, so the place is free.
    let _ = SINK.set((level, sink));
    // SAFETY: `receive` may be called on any thread, until the process ends.
    Errno::check(unsafe { sys::pg_log_redirect(Some(receive)) }).map(drop)
}

/// Keeps messages back until the capture is dropped or asked for them.
///
/// One at a time: another thread's capture waits.
pub(crate) fn capture() -> Capture {
    static CAPTURING: Mutex<()> = Mutex::new(());
    let turn = CAPTURING.lock().unwrap_or_else(PoisonError::into_inner);
    *captured() = Some(Vec::new());
    Capture { _turn: turn }
}

/// Messages of a call that may fail: then they belong into its error. If it does not, dropping this hands them to the
/// log after all, as warnings at most: what a driver calls an error has stopped nothing.
pub(crate) struct Capture {
    _turn: MutexGuard<'static, ()>,
}

impl Capture {
    /// The errors and warnings that were kept back.
    pub(crate) fn into_lines(self) -> Vec<String> {
        let messages = captured().take().unwrap_or_default().into_iter();
        messages.filter(|(level, _)| *level <= LogLevel::Warning).map(|(_, line)| line).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        for (level, line) in captured().take().unwrap_or_default() {
            hand_on(level.max(LogLevel::Warning), &line);
        }
    }
}

unsafe extern "C" fn receive(level: u32, text: *const c_char, length: usize) {
    // SAFETY: the shim passes a text of that length, which lives until this returns.
    let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), length) };
    // A panic must not unwind into C, and a message is not worth more than being lost.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let level = LogLevel::from_number(level);
        for line in String::from_utf8_lossy(bytes).lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            take(level, line);
        }
    }));
}

fn take(level: LogLevel, line: &str) {
    if let Some(captured) = captured().as_mut() {
        captured.push((level, line.to_owned()));
        return;
    }
    hand_on(level, line);
}

fn hand_on(level: LogLevel, line: &str) {
    if let Some((least, sink)) = SINK.get()
        && level <= *least
    {
        sink(level, line);
    }
}

fn captured() -> MutexGuard<'static, Option<Vec<(LogLevel, String)>>> {
    static CAPTURED: Mutex<Option<Vec<(LogLevel, String)>>> = Mutex::new(None);
    CAPTURED.lock().unwrap_or_else(PoisonError::into_inner)
}

static SINK: OnceLock<(LogLevel, LogSink)> = OnceLock::new();
