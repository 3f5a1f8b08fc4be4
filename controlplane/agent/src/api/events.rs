//! What changes from second to second, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use photongate_net::http::{Problem, Read, ReadRefusals};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::WatchStream;
use tokio_util::task::AbortOnDropHandle;

use super::model::Sample;
use super::{Api, openapi};
use crate::Agent;

/// One sampler for all who look on. Who is slow misses samples, and delays nobody.
#[derive(Clone)]
pub(super) struct Events {
    agent: Agent,
    /// The last sample as JSON.
    latest: watch::Sender<Arc<str>>,
    places: Arc<Semaphore>,
    _sampler: Arc<AbortOnDropHandle<()>>,
}

impl Events {
    /// Samples once a second from now on, as long as somebody looks.
    pub(super) fn start(agent: Agent) -> Self {
        let (latest, _) = watch::channel(Arc::from(""));
        let sampler = tokio::spawn(sample_each_second(agent.clone(), latest.clone()));
        let sampler = Arc::new(AbortOnDropHandle::new(sampler));
        Self { agent, latest, places: Arc::new(Semaphore::new(MOST_STREAMS)), _sampler: sampler }
    }

    /// A stream of samples, the present one first; `None` if too many look on already.
    fn stream(&self) -> Option<impl Stream<Item = Arc<str>> + Send + use<>> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let later = WatchStream::from_changes(self.latest.subscribe());
        let now = stream::iter([json(&self.agent.sample())]);
        Some(holding(place, now.chain(later)))
    }
}

/// The numbers of the present, and then of each second.
///
/// Each is an event called `sample`, whose data is a `Sample`. Lines that begin with a colon keep the connection alive.
#[utoipa::path(
    get, path = "/api/v1/events", tag = openapi::FILTER, operation_id = "get_events",
    responses(
        (
            status = 200, description = "Events, for as long as the caller listens.",
            body = Sample, content_type = "text/event-stream",
        ),
        (status = 503, response = openapi::TooManyListen),
        ReadRefusals,
    ),
)]
pub(super) async fn events(
    State(api): State<Api>,
    _: Read,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let samples = api.events.stream().ok_or_else(|| {
        let detail = format!("{MOST_STREAMS} callers listen already, and there is no room for more");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many listen").with_detail(detail)
    })?;
    let events = samples.map(|sample| Ok(Event::default().event("sample").data(&*sample)));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

async fn sample_each_second(agent: Agent, latest: watch::Sender<Arc<str>>) {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        if latest.receiver_count() > 0 {
            latest.send_replace(json(&agent.sample()));
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

fn json(sample: &Sample) -> Arc<str> {
    serde_json::to_string(sample).expect("a sample is made of text and numbers").into()
}

/// Streams that may be open at the same time.
pub(super) const MOST_STREAMS: usize = 64;
