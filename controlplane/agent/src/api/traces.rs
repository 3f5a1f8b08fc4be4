//! Traces: started, looked at, stopped, downloaded, deleted.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use photongate_net::http::{Admin, ChangeRefusals, JsonBody, Problem, Read, ReadRefusals};
use tokio_util::io::ReaderStream;

use super::extract::TracePath;
use super::model::{TraceInfo, TraceRequest};
use super::{Api, openapi};

/// All traces that are kept.
#[utoipa::path(
    get, path = "/api/v1/traces", tag = openapi::TRACES, operation_id = "list_traces",
    responses(
        (status = 200, description = "In the order in which they were started.", body = Vec<TraceInfo>),
        ReadRefusals,
    ),
)]
pub(super) async fn list(State(api): State<Api>, _: Read) -> Json<Vec<TraceInfo>> {
    Json(api.traces.list())
}

/// Starts a trace.
///
/// The filter keeps it until it is deleted, newer ones need its place, or the filter starts anew.
#[utoipa::path(
    post, path = "/api/v1/traces", tag = openapi::TRACES, operation_id = "start_trace", request_body = TraceRequest,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (
            status = 201, description = "It runs.", body = TraceInfo,
            headers(("location" = String, description = "Where the trace is.")),
        ),
        (status = 409, response = openapi::Conflict),
        (status = 415, response = openapi::UnsupportedMediaType),
        ChangeRefusals,
    ),
)]
pub(super) async fn start(
    State(api): State<Api>,
    Admin(caller): Admin,
    JsonBody(request): JsonBody<TraceRequest>,
) -> Result<Response, Problem> {
    let start = async { api.traces.start(request, &caller.name) };
    let trace = api.audit.change(&caller, "trace.start", "packets", start).await?;
    let location = HeaderValue::try_from(format!("/api/v1/traces/{}", trace.id));
    let location = location.expect("a path and a number are a header's value");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(trace)).into_response())
}

/// One trace.
#[utoipa::path(
    get, path = "/api/v1/traces/{id}", tag = openapi::TRACES, operation_id = "get_trace",
    params(openapi::TraceParameter),
    responses(
        (status = 200, description = "How far it is.", body = TraceInfo),
        (status = 404, response = openapi::NotFound),
        ReadRefusals,
    ),
)]
pub(super) async fn one(State(api): State<Api>, _: Read, TracePath(id): TracePath) -> Result<Json<TraceInfo>, Problem> {
    Ok(Json(api.traces.one(id)?))
}

/// Ends a trace.
///
/// What it has so far can be downloaded. One that has ended stays as it is.
#[utoipa::path(
    post, path = "/api/v1/traces/{id}/stop", tag = openapi::TRACES, operation_id = "stop_trace",
    params(openapi::TraceParameter),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "It has ended, or is about to.", body = TraceInfo),
        (status = 404, response = openapi::NotFound),
        ChangeRefusals,
    ),
)]
pub(super) async fn stop(
    State(api): State<Api>,
    Admin(caller): Admin,
    TracePath(id): TracePath,
) -> Result<Json<TraceInfo>, Problem> {
    api.audit.change(&caller, "trace.stop", format!("trace {id}"), api.traces.stop(id)).await.map(Json)
}

/// A trace that has ended, as pcapng.
///
/// Each packet has its verdict as its comment. It shows what others have sent, so only an admin may have it, and the
/// audit log says who had.
#[utoipa::path(
    get, path = "/api/v1/traces/{id}/download", tag = openapi::TRACES, operation_id = "download_trace",
    params(openapi::TraceParameter),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (
            status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream",
            headers(("content-disposition" = String, description = "The name of the file.")),
        ),
        (status = 404, response = openapi::NotFound),
        (status = 409, response = openapi::Conflict),
        ChangeRefusals,
    ),
)]
pub(super) async fn download(
    State(api): State<Api>,
    Admin(caller): Admin,
    TracePath(id): TracePath,
) -> Result<Response, Problem> {
    let open = api.traces.file(id);
    let (file, size) = api.audit.change(&caller, "trace.download", format!("trace {id}"), open).await?;
    let name = HeaderValue::try_from(format!("attachment; filename=\"trace-{id}.pcapng\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(size)),
        (header::CONTENT_DISPOSITION, name.expect("a name and a number are a header's value")),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// Deletes a trace.
///
/// One that still runs ends first.
#[utoipa::path(
    delete, path = "/api/v1/traces/{id}", tag = openapi::TRACES, operation_id = "delete_trace",
    params(openapi::TraceParameter),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, response = openapi::NotFound),
        (status = 409, response = openapi::Conflict),
        ChangeRefusals,
    ),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    Admin(caller): Admin,
    TracePath(id): TracePath,
) -> Result<StatusCode, Problem> {
    let delete = api.traces.delete(id);
    api.audit.change(&caller, "trace.delete", format!("trace {id}"), delete).await.map(|()| StatusCode::NO_CONTENT)
}
