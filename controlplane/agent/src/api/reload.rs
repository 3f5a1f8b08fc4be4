//! Reloading, and what is logged.

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Admin, ChangeRefusals, JsonBody, Problem, Read, ReadRefusals};

use super::model::{LogSettings, ReloadOutcome};
use super::{Api, openapi};

/// Reads the configuration and the AS list anew.
///
/// Takes effect whole, or not at all.
#[utoipa::path(
    post, path = "/api/v1/reload", tag = openapi::FILTER, operation_id = "reload",
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "What changed.", body = ReloadOutcome),
        (status = 409, response = openapi::NeedsRestart),
        (status = 422, response = openapi::Invalid),
        ChangeRefusals,
    ),
)]
pub(super) async fn reload(State(api): State<Api>, Admin(caller): Admin) -> Result<Json<ReloadOutcome>, Problem> {
    api.audit.change(&caller, "reload", "configuration", api.agent.reload()).await.map(Json)
}

/// What is logged.
#[utoipa::path(
    get, path = "/api/v1/log-level", tag = openapi::FILTER, operation_id = "get_log_level",
    responses((status = 200, description = "What is logged.", body = LogSettings), ReadRefusals),
)]
pub(super) async fn log_level(State(api): State<Api>, _: Read) -> Json<LogSettings> {
    Json(LogSettings { level: api.log.level() })
}

/// Changes what is logged, until the next start.
#[utoipa::path(
    put, path = "/api/v1/log-level", tag = openapi::FILTER, operation_id = "set_log_level", request_body = LogSettings,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "What is logged from now on.", body = LogSettings),
        (status = 415, response = openapi::UnsupportedMediaType),
        ChangeRefusals,
    ),
)]
pub(super) async fn set_log_level(
    State(api): State<Api>,
    Admin(caller): Admin,
    JsonBody(settings): JsonBody<LogSettings>,
) -> Result<Json<LogSettings>, Problem> {
    let change = async {
        api.log.set_level(settings.level);
        Ok::<_, Problem>(settings)
    };
    api.audit.change(&caller, "log_level.set", settings.level.name(), change).await.map(Json)
}
