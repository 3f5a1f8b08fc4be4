//! What changes from second to second, as server-sent events.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::WatchStream;
use tokio_util::task::AbortOnDropHandle;

use super::Problem;

/// One sampler for all who look on. Who is slow misses samples, and delays nobody. Clones are the same.
#[derive(Clone)]
pub struct Events {
    sample: Sample,
    /// The last sample.
    latest: watch::Sender<Arc<str>>,
    places: Arc<Semaphore>,
    _sampler: Arc<AbortOnDropHandle<()>>,
}

type Sample = Arc<dyn Fn() -> String + Send + Sync>;

impl Events {
    /// Streams that may be open at the same time.
    pub const MOST_STREAMS: usize = 64;

    /// Samples once a second from now on, as long as somebody looks. `sample` is the present as JSON. Must be called within a runtime.
    pub fn start(sample: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let sample: Sample = Arc::new(sample);
        let (latest, _) = watch::channel(Arc::from(""));
        let sampler = tokio::spawn(sample_each_second(Arc::clone(&sample), latest.clone()));
        let sampler = Arc::new(AbortOnDropHandle::new(sampler));
        Self { sample, latest, places: Arc::new(Semaphore::new(Self::MOST_STREAMS)), _sampler: sampler }
    }

    /// Answers with the samples, the present one first: events called `sample`. Lines that begin with a colon keep the connection alive.
    ///
    /// # Errors
    /// A problem with status 503 if too many look on already.
    pub fn answer(&self) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + Send + use<>>, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{} callers listen already, and there is no room for more", Self::MOST_STREAMS);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many listen").with_detail(detail)
        })?;
        let later = WatchStream::from_changes(self.latest.subscribe());
        let now = stream::iter([Arc::from((self.sample)())]);
        let samples = holding(place, now.chain(later));
        let events = samples.map(|sample: Arc<str>| Ok(Event::default().event("sample").data(&*sample)));
        Ok(Sse::new(events).keep_alive(KeepAlive::default()))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("free_places", &self.places.available_permits()).finish_non_exhaustive()
    }
}

async fn sample_each_second(sample: Sample, latest: watch::Sender<Arc<str>>) {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        if latest.receiver_count() > 0 {
            latest.send_replace(sample().into());
        }
    }
}

/// The stream, in whose place there is another when it is dropped.
fn holding<T>(place: OwnedSemaphorePermit, stream: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
    stream.map(move |item| {
        let _ = &place;
        item
    })
}
