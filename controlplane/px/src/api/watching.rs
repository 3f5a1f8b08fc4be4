//! Changes as they happen.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use photongate_net::http::{Problem, Query, Read, ReadRefusals};

use super::model::{Change, WatchQuery};
use super::{Api, openapi};

/// Changes as they happen, as server-sent events.
///
/// Each event is called `change`, its id is the revision, and its data are a change in JSON. Who comes back goes on behind the last revision
/// it saw. An event called `compacted` says that changes in between are not remembered any more: list the documents, and watch from
/// where the list is known up to.
#[utoipa::path(
    get, path = "/api/v1/watch", tag = openapi::DOCUMENTS, operation_id = "watch_documents", params(WatchQuery),
    responses(
        (status = 200, description = "Changes, one an event.", body = Change, content_type = "text/event-stream"),
        openapi::Unavailable, ReadRefusals,
    ),
)]
pub(super) async fn watch(
    State(api): State<Api>,
    _: Read,
    Query(query): Query<WatchQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + Send + use<>>, Problem> {
    let place = Arc::clone(&api.watching).try_acquire_owned().map_err(|_| {
        let detail = format!("{MOST_STREAMS} callers watch already, and there is no room for more");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many watch").with_detail(detail)
    })?;
    let from = query.from();
    let watch = api.handle.watches().watch(query.prefix, from);
    let events = stream::unfold(Some((watch, place)), |watching| async move {
        let (mut watch, place) = watching?;
        match watch.next(AT_ONCE).await {
            Ok(changes) => {
                let events: Vec<_> = changes
                    .iter()
                    .map(|change| {
                        let data = serde_json::to_string(&Change::of(change)).expect("a change is made of text");
                        Event::default().event("change").id(change.revision.to_string()).data(data)
                    })
                    .collect();
                Some((events, Some((watch, place))))
            }
            Err(compacted) => {
                let event = Event::default().event("compacted").id(compacted.oldest.to_string());
                Some((vec![event.data(compacted.to_string())], None))
            }
        }
    });
    let events = events.flat_map(|events| stream::iter(events.into_iter().map(Ok)));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Who may watch at the same time.
pub(super) const MOST_STREAMS: usize = 256;
const AT_ONCE: usize = 100;
