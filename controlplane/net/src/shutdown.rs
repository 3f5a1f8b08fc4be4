//! Stopping on request: SIGINT and SIGTERM set a flag that a loop reads, or a task waits for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use tokio::sync::Notify;

/// Whether somebody asked the process to stop. Clones share the flag.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    made: AtomicBool,
    /// Wakes the tasks that wait for it.
    wake: Notify,
}

impl Shutdown {
    /// Takes over SIGINT and SIGTERM. The first of them asks to stop; another one later ends the process at once, with
    /// exit status 130, for an operator whose process hangs while it stops.
    ///
    /// Within half a second of the first, another one means the same: `timeout` and process managers send a signal to the
    /// process and to its group, and nobody is that impatient.
    ///
    /// # Errors
    /// What the operating system says when it refuses a signal handler, or the thread that waits for signals.
    pub fn install() -> io::Result<Self> {
        let shutdown = Self(Arc::default());
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let asked = shutdown.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut first: Option<Instant> = None;
            for _ in signals.forever() {
                match first {
                    None => first = Some(Instant::now()),
                    Some(first) if first.elapsed() < SAME_REQUEST => {}
                    Some(_) => low_level::exit(INTERRUPTED),
                }
                asked.request();
            }
        })?;
        Ok(shutdown)
    }

    /// Whether the process was asked to stop. One atomic load: cheap enough for a polling loop.
    pub fn requested(&self) -> bool {
        self.0.made.load(Ordering::Relaxed)
    }

    /// Waits until the process is asked to stop. Costs nothing meanwhile.
    pub async fn wait(&self) {
        let wake = self.0.wake.notified();
        tokio::pin!(wake);
        // From here on no wake-up is missed, so that a request is seen that was made before, or is made now.
        wake.as_mut().enable();
        if !self.requested() {
            wake.await;
        }
    }

    /// Asks to stop from inside the process, as a signal does from outside.
    pub fn request(&self) {
        self.0.made.store(true, Ordering::Relaxed);
        self.0.wake.notify_waiters();
    }
}

/// What a shell reports for a command that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

const SAME_REQUEST: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::{env, process};

    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn one_signal_asks_to_stop() {
        assert_eq!(exit_status_after(&[SIGTERM]), Some(STOPPED));
        assert_eq!(exit_status_after(&[SIGINT]), Some(STOPPED));
    }

    #[test]
    fn another_signal_later_ends_the_process_with_status_130() {
        assert_eq!(exit_status_after(&[SIGTERM, LATER, SIGTERM]), Some(130));
        assert_eq!(exit_status_after(&[SIGINT, LATER, SIGTERM]), Some(130));
    }

    #[test]
    fn the_same_request_sent_twice_is_one_request() {
        assert_eq!(exit_status_after(&[SIGINT, SIGINT]), Some(STOPPED));
    }

    #[test]
    fn without_a_signal_nothing_asks_to_stop() {
        assert_eq!(exit_status_after(&[]), Some(NOT_STOPPED));
    }

    #[tokio::test]
    async fn a_task_that_waits_goes_on_when_somebody_asks_to_stop_and_at_once_if_somebody_has() {
        let shutdown = Shutdown(Arc::default());
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        shutdown.request();
        waiting.await.unwrap();
        shutdown.wait().await;
    }

    /// The process of the tests above, in which signals may be raised without disturbing other tests.
    #[test]
    fn child_process() {
        let Ok(signals) = env::var(SIGNALS) else { return };
        let shutdown = Shutdown::install().unwrap();
        let give_up = Instant::now() + Duration::from_secs(20);
        for signal in signals.split_whitespace() {
            match signal.parse().unwrap() {
                LATER => thread::sleep(SAME_REQUEST * 2),
                signal => raise(signal).unwrap(),
            }
            while !shutdown.requested() && Instant::now() < give_up {
                thread::yield_now();
            }
        }
        // A signal that ends the process does so from another thread.
        if signals.contains(&LATER.to_string()) {
            thread::sleep(give_up - Instant::now());
        }
        process::exit(if shutdown.requested() { STOPPED } else { NOT_STOPPED });
    }

    fn exit_status_after(signals: &[i32]) -> Option<i32> {
        let signals: Vec<_> = signals.iter().map(ToString::to_string).collect();
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "shutdown::tests::child_process"]).env(SIGNALS, signals.join(" "));
        child.output().unwrap().status.code()
    }

    const SIGNALS: &str = "PHOTONGATE_TEST_SIGNALS";
    /// In the place of a signal: let some time pass.
    const LATER: i32 = -1;
    const STOPPED: i32 = 10;
    const NOT_STOPPED: i32 = 11;
}
