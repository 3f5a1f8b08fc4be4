//! Asks sources for keys: several at a time, none for too long.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use photongate_drkey::KeyTimes;
use photongate_wire::Nanos;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, timeout};

use super::manager::{Fetch, FetchId, fetch_timeout};
use super::{FetchError, FetchedKey, KeyRequest, KeySource};

/// Runs fetches as tasks, a bounded number at a time. Dropping it gives up all of them.
#[derive(Debug)]
pub struct Fetcher {
    places: usize,
    timeout: Duration,
    running: JoinSet<KeyAnswer>,
    begun: HashMap<task::Id, Begun>,
}

/// A fetch that is over, one way or the other.
#[derive(Debug)]
pub struct Fetched {
    /// What the key manager recognises it by.
    pub id: FetchId,
    /// Which key was wanted.
    pub request: KeyRequest,
    /// The key, or why there is none.
    pub answer: Result<FetchedKey, FetchError>,
    /// How long it took.
    pub took: Nanos,
}

#[derive(Debug)]
struct Begun {
    fetch: Fetch,
    at: Instant,
}

impl Fetcher {
    /// Runs at most `places` fetches at a time. Each may take a quarter of the prefetch period, at most ten seconds.
    pub fn new(places: usize, times: &KeyTimes) -> Self {
        Self { places, timeout: fetch_timeout(times).into(), running: JoinSet::new(), begun: HashMap::new() }
    }

    /// How many more fetches may be begun now.
    pub fn free(&self) -> usize {
        self.places.saturating_sub(self.running.len())
    }

    /// Begins a fetch.
    ///
    /// # Panics
    /// If no place is free. [`super::KeyManager::due_fetches`] hands out no more than it is asked for.
    pub fn submit(&mut self, fetch: Fetch, source: Arc<dyn KeySource>) {
        assert!(self.free() > 0, "no more fetches are begun than there are places");
        let limit = self.timeout;
        let running = self.running.spawn(async move {
            let answer = timeout(limit, source.fetch(fetch.request)).await;
            answer.unwrap_or_else(|_| Err(FetchError::TimedOut(limit.into())))
        });
        self.begun.insert(running.id(), Begun { fetch, at: Instant::now() });
    }

    /// The next fetch that is over; waits as long as there is none. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Fetched {
        match self.running.join_next_with_id().await {
            Some(over) => self.end(over),
            None => pending().await,
        }
    }

    /// A fetch that is over, if there is one.
    pub fn try_next(&mut self) -> Option<Fetched> {
        self.running.try_join_next_with_id().map(|over| self.end(over))
    }

    fn end(&mut self, over: Result<(task::Id, KeyAnswer), JoinError>) -> Fetched {
        let (id, answer) = over.unwrap_or_else(|stopped| {
            // What a source panics about is in the log; for its peer it is a failure like others.
            (stopped.id(), Err(FetchError::Unavailable("the key source has broken down".to_owned())))
        });
        let Begun { fetch, at } = self.begun.remove(&id).expect("every task was noted when it began");
        Fetched { id: fetch.id, request: fetch.request, answer, took: at.elapsed().into() }
    }
}

/// What a source has answered.
type KeyAnswer = Result<FetchedKey, FetchError>;

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use photongate_crypto::Key;
    use photongate_drkey::{Epoch, Protocol};
    use photongate_pipeline::PeerKey;
    use photongate_wire::{IsdAs, UnixNanos};

    use super::*;
    use crate::keys::{HeldKeys, KeyManager};

    #[tokio::test(start_paused = true)]
    async fn a_key_comes_with_the_time_it_took() {
        let mut bench = Bench::new(1, &[1]);
        bench.begin(Answer::After(Duration::from_secs(3)));
        let fetched = bench.fetcher.next().await;
        assert!(fetched.answer.is_ok());
        assert_eq!((fetched.request.peer, fetched.took), (peer(1), Nanos::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_is_given_up_and_its_place_is_free_again() {
        let mut bench = Bench::new(1, &[1]);
        bench.begin(Answer::Never);
        assert_eq!(bench.fetcher.free(), 0);
        let fetched = bench.fetcher.next().await;
        assert_eq!(fetched.answer.unwrap_err(), FetchError::TimedOut(Nanos::from_millis(7_500)));
        assert_eq!(fetched.took, Nanos::from_millis(7_500));
        assert_eq!(bench.fetcher.free(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_does_not_delay_a_fast_one() {
        let mut bench = Bench::new(2, &[1, 2]);
        bench.begin(Answer::After(Duration::from_secs(5)));
        bench.begin(Answer::After(Duration::from_millis(5)));
        assert_eq!(bench.fetcher.next().await.took, Nanos::from_millis(5));
        assert_eq!(bench.fetcher.next().await.took, Nanos::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_panics_is_a_failure_of_its_peer_only() {
        let mut bench = Bench::new(2, &[1, 2]);
        bench.begin(Answer::Panic);
        bench.begin(Answer::After(Duration::from_secs(1)));
        let fetched = bench.fetcher.next().await;
        assert_eq!(fetched.answer.unwrap_err(), FetchError::Unavailable("the key source has broken down".to_owned()));
        assert!(bench.fetcher.next().await.answer.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn without_fetches_it_waits_and_a_wait_that_is_given_up_loses_nothing() {
        let mut bench = Bench::new(1, &[1]);
        assert!(timeout(Duration::from_secs(3_600), bench.fetcher.next()).await.is_err());
        bench.begin(Answer::After(Duration::from_secs(2)));
        assert!(timeout(Duration::from_secs(1), bench.fetcher.next()).await.is_err());
        assert!(bench.fetcher.next().await.answer.is_ok());
    }

    #[test]
    fn the_time_for_a_fetch_is_a_quarter_of_the_prefetch_period_and_ten_seconds_at_most() {
        let limit = |seconds| fetch_timeout(&KeyTimes { prefetch: Nanos::from_secs(seconds), ..KeyTimes::default() });
        assert_eq!([limit(2), limit(30), limit(3_600)], [500, 7_500, 10_000].map(Nanos::from_millis));
    }

    /// A fetcher, and fetches for it.
    struct Bench {
        fetcher: Fetcher,
        fetches: Vec<Fetch>,
    }

    impl Bench {
        fn new(places: usize, peers: &[u64]) -> Self {
            let mut manager = KeyManager::new(KeyTimes::default(), 1);
            for number in peers {
                manager.add(peer(*number), HeldKeys::default(), UnixNanos(0));
            }
            let mut fetches = manager.due_fetches(UnixNanos(0), 10);
            fetches.reverse();
            Self { fetcher: Fetcher::new(places, &KeyTimes::default()), fetches }
        }

        fn begin(&mut self, answer: Answer) {
            self.fetcher.submit(self.fetches.pop().unwrap(), Arc::new(answer));
        }
    }

    enum Answer {
        After(Duration),
        Never,
        Panic,
    }

    impl KeySource for Answer {
        fn kind(&self) -> &'static str {
            "test"
        }

        fn fetch(
            &self,
            request: KeyRequest,
        ) -> Pin<Box<dyn Future<Output = Result<FetchedKey, FetchError>> + Send + '_>> {
            Box::pin(async move {
                match self {
                    Self::After(time) => tokio::time::sleep(*time).await,
                    Self::Never => pending().await,
                    Self::Panic => panic!("on purpose"),
                }
                let epoch = Epoch { start: request.at, end: request.at.saturating_add(Nanos::from_secs(100)) };
                Ok(FetchedKey { key: Key::from_bytes([1; 16]), epoch, successor_from: None })
            })
        }
    }

    fn peer(number: u64) -> PeerKey {
        PeerKey { isd_as: IsdAs::from_bits(number), protocol: Protocol(3) }
    }
}
