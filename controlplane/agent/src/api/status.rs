//! The filter, its workers and its ports.

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Read, ReadRefusals};

use super::model::{Port, Status, Worker};
use super::{Api, openapi};

/// The filter at a glance.
#[utoipa::path(
    get, path = "/api/v1/status", tag = openapi::FILTER, operation_id = "get_status",
    responses((status = 200, description = "The filter at a glance.", body = Status), ReadRefusals),
)]
pub(super) async fn status(State(api): State<Api>, _: Read) -> Json<Status> {
    Json(api.agent.status())
}

/// Each worker's counters, and how busy it is.
#[utoipa::path(
    get, path = "/api/v1/workers", tag = openapi::FILTER, operation_id = "list_workers",
    responses((status = 200, description = "All workers, in their order.", body = Vec<Worker>), ReadRefusals),
)]
pub(super) async fn workers(State(api): State<Api>, _: Read) -> Json<Vec<Worker>> {
    Json(api.agent.workers())
}

/// Each port's counters.
#[utoipa::path(
    get, path = "/api/v1/ports", tag = openapi::FILTER, operation_id = "list_ports",
    responses(
        (status = 200, description = "All ports, in the order of the configuration.", body = Vec<Port>),
        ReadRefusals,
    ),
)]
pub(super) async fn ports(State(api): State<Api>, _: Read) -> Json<Vec<Port>> {
    Json(api.agent.ports())
}
