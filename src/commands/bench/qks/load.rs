//! Applications that ask without pause.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use photongate_qks::client::SaeClient;
use photongate_qks::sae::{KeyContainer, KeyRequest};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::site::Caller;

/// How much is asked.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) requests: u64,
    pub(super) time: Duration,
    pub(super) concurrency: usize,
    pub(super) new_connections: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    elapsed: Duration,
    /// Of each request.
    times: Vec<Duration>,
}

/// Keys that were given out, a container a request.
pub(super) type Given = Arc<Mutex<VecDeque<KeyContainer>>>;

impl Phase {
    /// Counts another piece of the same work.
    pub(super) fn add(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.times.extend(other.times);
    }

    pub(super) fn requests_per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub(super) fn to_json(&self, number: u16) -> Value {
        let mut times = self.times.clone();
        times.sort_unstable();
        let percentile = |share: f64| {
            let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            times.get(place).map_or(Value::Null, |time| json!((time.as_secs_f64() * 1e5).round() / 1e2))
        };
        let rate = self.requests_per_second();
        json!({
            "requests_per_second": rate.round(),
            "keys_per_second": (rate * f64::from(number)).round(),
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "requests": self.times.len(),
        })
    }
}

/// Asks for keys, and keeps what is given.
pub(super) async fn enc(caller: &Caller, work: &Work, request: &KeyRequest) -> Result<(Phase, Given)> {
    let given = Given::default();
    let left = Arc::new(AtomicU64::new(work.requests));
    let phase = run(caller, work, |client| {
        let (given, left, request, other) =
            (Arc::clone(&given), Arc::clone(&left), request.clone(), caller.other.clone());
        async move {
            let more = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            if more {
                let container = client.enc_keys(&other, &request).await?;
                given.lock().unwrap_or_else(PoisonError::into_inner).push_back(container);
            }
            Ok(more)
        }
    })
    .await?;
    Ok((phase, given))
}

/// Fetches the same keys at the other side, and compares them once the clock has stopped. Returns how many.
pub(super) async fn dec(caller: &Caller, work: &Work, given: &Given) -> Result<(Phase, u64)> {
    let fetched = Arc::new(Mutex::new(Vec::new()));
    let work = Work { time: work.time * 20, ..work.clone() };
    let phase = run(caller, &work, |client| {
        let (given, fetched, other) = (Arc::clone(given), Arc::clone(&fetched), caller.other.clone());
        async move {
            let next = given.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(expected) = next else { return Ok(false) };
            let ids: Vec<_> = expected.keys.iter().map(|key| key.key_ID).collect();
            let container = client.dec_keys(&other, &ids).await?;
            fetched.lock().unwrap_or_else(PoisonError::into_inner).push((expected, container));
            Ok(true)
        }
    })
    .await?;
    let mut compared = 0;
    for (expected, fetched) in fetched.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let [expected, fetched] = [&expected, &fetched]
            .map(|container| container.keys.iter().map(|key| (key.key_ID, key.key.as_str())).collect::<Vec<_>>());
        ensure!(expected == fetched, "the two sides got different keys");
        compared += expected.len() as u64;
    }
    Ok((phase, compared))
}

/// Lets as many applications as there are to be ask again and again, until there is nothing more to ask or the time is over. Unless each
/// request is to have a connection of its own, those are made before the clock starts, by a request each that does not count.
async fn run<F>(caller: &Caller, work: &Work, ask: impl Fn(SaeClient) -> F) -> Result<Phase>
where
    F: Future<Output = Result<bool>> + Send + 'static,
{
    let mut free = VecDeque::with_capacity(work.concurrency);
    for _ in 0..work.concurrency {
        free.push_back(caller.client()?);
    }
    if !work.new_connections {
        try_join_all(free.iter().map(|client| ask(client.clone()))).await?;
    }
    let mut tasks = JoinSet::new();
    let mut times = Vec::new();
    let begun = Instant::now();
    loop {
        while let Some(client) = free.pop_front() {
            if begun.elapsed() >= work.time {
                break;
            }
            let this = if work.new_connections { caller.client()? } else { client.clone() };
            let future = ask(this);
            tasks.spawn(async move {
                let begun = Instant::now();
                (future.await, begun.elapsed(), client)
            });
        }
        let Some(done) = tasks.join_next().await else { break };
        let (outcome, time, client) = done?;
        if outcome? {
            times.push(time);
            free.push_back(client);
        }
    }
    Ok(Phase { elapsed: begun.elapsed(), times })
}
