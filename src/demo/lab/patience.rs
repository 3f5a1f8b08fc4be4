//! Waiting, but not for ever, and not after somebody asked to stop.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use photongate_net::Shutdown;

/// Waits as long as nobody presses Ctrl-C.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    shutdown: Shutdown,
}

impl Patience {
    /// Ends all waiting when `shutdown` is requested.
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self { shutdown }
    }

    /// Waits until `happened` gives a value, and asks it about every hundredth of a second.
    ///
    /// # Errors
    /// It did not within `timeout`, or the process was asked to stop, or the error of `happened`.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut happened: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            self.check()?;
            if let Some(value) = happened()? {
                return Ok(value);
            }
            if start.elapsed() > timeout {
                bail!("waited {} s in vain for {what}", timeout.as_secs());
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Waits that long.
    ///
    /// # Errors
    /// The process was asked to stop.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()) {
            self.check()?;
            thread::sleep(left.min(INTERVAL));
        }
        self.check()
    }

    /// # Errors
    /// The process was asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.shutdown.requested() { bail!("interrupted") } else { Ok(()) }
    }
}

const INTERVAL: Duration = Duration::from_millis(10);
