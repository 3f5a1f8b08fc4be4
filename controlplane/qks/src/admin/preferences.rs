//! What applications prefer about their keys.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{
    Admin as AdminCaller, ChangeRefusals, JsonBody, Path, Problem, Read, ReadRefusals, bad_request,
};

use super::saes::{unavailable, unknown};
use super::{Admin, openapi};
use crate::ids::SaeId;
use crate::preferences::{Preference, SaePreferences};

/// What an application prefers.
#[utoipa::path(
    get, path = "/api/v1/saes/{id}/preferences", tag = openapi::SAES, operation_id = "get_preferences",
    params(("id" = String, Path, description = "The application.", example = "sae-1", min_length = 1, max_length = 255)),
    responses(
        (status = 200, description = "What is preferred where its requests say nothing.", body = SaePreferences),
        (status = 404, response = openapi::NotFound),
        ReadRefusals,
    ),
)]
pub(super) async fn show(
    State(admin): State<Admin>,
    _: Read,
    Path(id): Path<SaeId>,
) -> Result<Json<SaePreferences>, Problem> {
    admin.registered(&id)?;
    Ok(Json(admin.0.keys.preferences.of(&id)))
}

/// Says what an application prefers when it asks for keys, in the place of what was said before.
///
/// It holds for requests that do not have the extension of that name, from the next one on and over restarts.
#[utoipa::path(
    put, path = "/api/v1/saes/{id}/preferences", tag = openapi::SAES, operation_id = "set_preferences",
    params(("id" = String, Path, description = "The application.", example = "sae-1", min_length = 1, max_length = 255)),
    request_body = SaePreferences,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "What is preferred now.", body = SaePreferences),
        (status = 404, response = openapi::NotFound),
        (status = 415, description = "The body is no JSON by its media type.", body = Problem, content_type = "application/problem+json"),
        ChangeRefusals,
    ),
)]
pub(super) async fn set(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<SaeId>,
    JsonBody(preferences): JsonBody<SaePreferences>,
) -> Result<Json<SaePreferences>, Problem> {
    admin.registered(&id)?;
    check(&preferences)?;
    let set = async { admin.0.keys.preferences.set(&id, preferences.clone()).await.map_err(unavailable) };
    admin.0.audit.change(&caller, "preferences.set", id.as_str(), set).await?;
    Ok(Json(preferences))
}

/// Forgets what an application prefers.
#[utoipa::path(
    delete, path = "/api/v1/saes/{id}/preferences", tag = openapi::SAES, operation_id = "forget_preferences",
    params(("id" = String, Path, description = "The application.", example = "sae-1", min_length = 1, max_length = 255)),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 204, description = "Nothing is preferred any more."),
        (status = 404, response = openapi::NotFound),
        ChangeRefusals,
    ),
)]
pub(super) async fn forget(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<SaeId>,
) -> Result<StatusCode, Problem> {
    admin.registered(&id)?;
    let forget = async { admin.0.keys.preferences.forget(&id).await.map_err(unavailable) };
    admin.0.audit.change(&caller, "preferences.forget", id.as_str(), forget).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Admin {
    fn registered(&self, id: &SaeId) -> Result<(), Problem> {
        let is_registered = self.0.directory.registered().iter().any(|sae| sae.id == *id);
        if is_registered { Ok(()) } else { Err(unknown(id)) }
    }
}

fn check(preferences: &SaePreferences) -> Result<(), Problem> {
    let SaePreferences { default, with } = preferences;
    if with.len() > MOST_PAIRS {
        return Err(bad_request(format!("with: {} are too many: {MOST_PAIRS} at most", with.len())));
    }
    let named = with.iter().map(|(sae, preference)| (format!("with.{sae}"), preference));
    for (place, Preference { max_hops, paths, .. }) in [("default".to_owned(), default)].into_iter().chain(named) {
        for (name, value) in [("max_hops", max_hops), ("paths", paths)] {
            if *value == Some(0) {
                return Err(bad_request(format!("{place}.{name} is 0, and must be at least 1")));
            }
        }
    }
    Ok(())
}

/// Applications that one application can have preferences about.
const MOST_PAIRS: usize = 1_024;
