//! Stopping on request: SIGINT and SIGTERM set a flag that the main loop reads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody asked the process to stop. Clones share the flag.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
}

impl Shutdown {
    /// Takes over SIGINT and SIGTERM. The first of them asks to stop; the second ends the process at once, with exit
    /// status 130, for an operator whose process hangs while it stops.
    ///
    /// # Errors
    /// What the operating system says when it refuses a signal handler.
    pub fn install() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Handlers run in the order of their registration: the first signal finds the flag still unset.
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&requested))?;
            flag::register(signal, Arc::clone(&requested))?;
        }
        Ok(Self { requested })
    }

    /// Whether the process was asked to stop. One atomic load: cheap enough for a polling loop.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Asks to stop from inside the process, as a signal does from outside.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }
}

/// What a shell reports for a command that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

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
    fn a_second_signal_of_either_kind_ends_the_process_with_status_130() {
        assert_eq!(exit_status_after(&[SIGTERM, SIGTERM]), Some(130));
        assert_eq!(exit_status_after(&[SIGINT, SIGTERM]), Some(130));
    }

    #[test]
    fn without_a_signal_nothing_asks_to_stop() {
        assert_eq!(exit_status_after(&[]), Some(NOT_STOPPED));
    }

    /// The process of the tests above, in which signals may be raised without disturbing other tests.
    #[test]
    fn child_process() {
        let Ok(signals) = env::var(SIGNALS) else { return };
        let shutdown = Shutdown::install().unwrap();
        for signal in signals.split_whitespace() {
            raise(signal.parse().unwrap()).unwrap();
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
    const STOPPED: i32 = 10;
    const NOT_STOPPED: i32 = 11;
}
