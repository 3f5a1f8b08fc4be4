//! What is remembered of a Vault that is away, so that not everybody waits for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Trouble;

/// Whether the Vault is away. While it is, one caller now and then tries, and the others are told at once.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Option<Away>>);

#[derive(Debug)]
struct Away {
    why: String,
    pause: Duration,
    next_attempt: Instant,
}

impl Outage {
    /// Passes if the Vault is there, or it is time to try; whoever tries has so long for it.
    pub(super) fn check(&self, patience: Duration) -> Result<(), Trouble> {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &mut *away {
            Some(away) if now < away.next_attempt => Err(Trouble::Away(away.why.clone())),
            Some(away) => {
                away.next_attempt = now + patience;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes that it is away.
    pub(super) fn begin(&self, why: &str) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match &*away {
            Some(away) => (away.pause * 2).min(LONGEST_PAUSE),
            None => {
                tracing::warn!("the Vault is away; what is known already goes on without it: {why}");
                SHORTEST_PAUSE
            }
        };
        *away = Some(Away { why: why.to_owned(), pause, next_attempt: Instant::now() + pause });
    }

    /// Notes that it has answered.
    pub(super) fn end(&self) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the Vault is back");
        }
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn while_it_is_away_one_tries_now_and_then_and_the_others_are_told() {
        let outage = Outage::default();
        let patience = Duration::from_secs(1);
        assert_eq!(outage.check(patience), Ok(()));
        outage.begin("sealed");
        assert_eq!(outage.check(patience), Err(Trouble::Away("sealed".to_owned())));
        tokio::time::advance(SHORTEST_PAUSE).await;
        assert_eq!(outage.check(patience), Ok(()));
        assert!(outage.check(patience).is_err(), "one tries already");
        outage.begin("still sealed");
        tokio::time::advance(SHORTEST_PAUSE).await;
        assert_eq!(outage.check(patience), Err(Trouble::Away("still sealed".to_owned())));
        outage.end();
        assert_eq!(outage.check(patience), Ok(()));
        assert_eq!(outage.check(patience), Ok(()));
    }
}
