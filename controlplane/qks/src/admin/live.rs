//! The key server from second to second.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use photongate_net::http::{Events, Problem, Read, ReadRefusals};
use photongate_net::{now, rfc3339};

use super::model::Sample;
use super::{Admin, Parts, openapi};

/// The numbers of the present, and then of each second.
///
/// Each is an event called `sample`, whose data is a `Sample`. Lines that begin with a colon keep the connection alive.
#[utoipa::path(
    get, path = "/api/v1/events", tag = openapi::SERVER, operation_id = "get_events",
    responses(
        (status = 200, description = "Events, for as long as the caller listens.", body = Sample, content_type = "text/event-stream"),
        (status = 503, description = "Too many listen already.", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
    ),
)]
pub(super) async fn events(
    State(admin): State<Admin>,
    _: Read,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    admin.1.answer()
}

/// Samples of a key server, once a second from now on.
pub(super) fn start(parts: Arc<Parts>) -> Events {
    Events::start(move || serde_json::to_string(&parts.live()).expect("a sample is made of text and numbers"))
}

impl Parts {
    fn live(&self) -> Sample {
        let at = now();
        Sample {
            at: rfc3339(at),
            at_unix_ms: at.0 / 1_000_000,
            id: self.local.clone(),
            saes: self.directory.registered().len(),
            keys_delivered: self.keys.delivered.value(),
            neighbours: self.neighbour_views(),
            links: self.link_views(),
            alarms: self.alarms.standing(),
        }
    }
}
