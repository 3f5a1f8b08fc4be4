//! What changes from second to second, as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use photongate_net::http::{Events, Problem, Read, ReadRefusals};

use super::model::Sample;
use super::{Api, openapi};
use crate::Agent;

/// Samples of this filter, once a second from now on.
pub(super) fn start(agent: Agent) -> Events {
    Events::start(move || serde_json::to_string(&agent.sample()).expect("a sample is made of text and numbers"))
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
    api.events.answer()
}
