//! What changes from second to second, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use photongate_net::http::{Problem, Read, ReadRefusals};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::WatchStream;

use super::model::Sample;
use super::{Api, openapi};
use crate::Agent;

/// One sampler for all who look on.
#[derive(Clone)]
pub(super) struct Events {
    /// The last sample as JSON.
    latest: watch::Sender<Arc<str>>,
    streams: Arc<AtomicUsize>,
    agent: Agent,
}

impl Events {
    /// Samples once a second from now on, as long as somebody looks.
    pub(super) fn start(agent: Agent) -> Self {
        let (latest, _) = watch::channel(Arc::from(""));
        let events = Self { latest: latest.clone(), streams: Arc::default(), agent: agent.clone() };
        tokio::spawn(async move {
            let mut second = interval(Duration::from_secs(1));
            second.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                second.tick().await;
                if latest.receiver_count() > 0 {
                    latest.send_replace(json(&agent.sample()));
                }
            }
        });
        events
    }

    /// A stream of samples, the present one first; `None` if too many look on already.
    fn stream(&self) -> Option<impl Stream<Item = Arc<str>> + Send + use<>> {
        let place = Place::take(&self.streams)?;
        self.latest.send_replace(json(&self.agent.sample()));
        let samples = WatchStream::new(self.latest.subscribe());
        // The place is free again when the stream is dropped.
        Some(samples.map(move |sample| {
            let _ = &place;
            sample
        }))
    }
}

/// The numbers of the present, and then of each second, as events named `sample` whose data is a Sample.
#[utoipa::path(
    get, path = "/api/v1/events", tag = openapi::FILTER,
    responses(
        (status = 200, description = "Events as long as the caller listens.", content_type = "text/event-stream", body = Sample),
        (status = 503, description = "Too many listen already.", content_type = "application/problem+json", body = Problem),
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

/// One of the streams there may be.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(streams: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |count| (count < MOST_STREAMS).then_some(count + 1);
        streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(streams)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn json(sample: &Sample) -> Arc<str> {
    serde_json::to_string(sample).expect("a sample is made of text and numbers").into()
}

/// Streams that may be open at the same time.
const MOST_STREAMS: usize = 64;
