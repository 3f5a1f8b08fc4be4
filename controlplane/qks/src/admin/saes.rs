//! The applications that get keys here.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{
    Admin as AdminCaller, ChangeRefusals, JsonBody, Path, Problem, Read, ReadRefusals, bad_request,
};
use photongate_net::tls::Fingerprint;

use super::model::SaeRegistration;
use super::{Admin, openapi};
use crate::directory::Sae;
use crate::ids::SaeId;
use crate::store::StoreError;

/// All registered applications.
#[utoipa::path(
    get, path = "/api/v1/saes", tag = openapi::SAES, operation_id = "list_saes",
    responses((status = 200, description = "In the order of their names.", body = Vec<Sae>), ReadRefusals),
)]
pub(super) async fn list(State(admin): State<Admin>, _: Read) -> Json<Vec<Sae>> {
    Json(admin.0.directory.registered())
}

/// One registered application.
#[utoipa::path(
    get, path = "/api/v1/saes/{id}", tag = openapi::SAES, operation_id = "get_sae",
    params(("id" = String, Path, description = "The application.", example = "sae-1", min_length = 1, max_length = 255)),
    responses(
        (status = 200, description = "What is registered.", body = Sae),
        (status = 404, response = openapi::NotFound),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(admin): State<Admin>, _: Read, Path(id): Path<SaeId>) -> Result<Json<Sae>, Problem> {
    admin.0.directory.registered().into_iter().find(|sae| sae.id == id).map(Json).ok_or_else(|| unknown(&id))
}

/// Registers an application, or changes what is registered.
///
/// It stays registered over restarts. What the configuration says about it holds again after the next start.
#[utoipa::path(
    put, path = "/api/v1/saes/{id}", tag = openapi::SAES, operation_id = "register_sae",
    params(("id" = String, Path, description = "The application.", example = "sae-1", min_length = 1, max_length = 255)),
    request_body = SaeRegistration,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "It was registered before; this is what is registered now.", body = Sae),
        (status = 201, description = "It is new.", body = Sae),
        (status = 415, description = "The body is no JSON by its media type.", body = Problem, content_type = "application/problem+json"),
        ChangeRefusals,
    ),
)]
pub(super) async fn register(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<SaeId>,
    JsonBody(SaeRegistration { certificates }): JsonBody<SaeRegistration>,
) -> Result<(StatusCode, Json<Sae>), Problem> {
    if certificates.len() > MOST_CERTIFICATES {
        return Err(bad_request(format!(
            "certificates: {} are too many: {MOST_CERTIFICATES} at most",
            certificates.len()
        )));
    }
    if let Some(text) = certificates.iter().find(|text| !names_a_certificate(text)) {
        return Err(bad_request(format!(
            "certificates: {text:?} is neither a SHA-256 fingerprint nor a serial number"
        )));
    }
    let sae = Sae { id: id.clone(), certificates };
    let register = async { admin.0.directory.register(sae.clone()).await.map_err(unavailable) };
    let is_new = admin.0.audit.change(&caller, "sae.register", id.as_str(), register).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(sae)))
}

/// Takes an application out, with what it prefers: it gets no more keys.
///
/// If it stands in the configuration, it is registered again at the next start.
#[utoipa::path(
    delete, path = "/api/v1/saes/{id}", tag = openapi::SAES, operation_id = "unregister_sae",
    params(("id" = String, Path, description = "The application.", example = "sae-1", min_length = 1, max_length = 255)),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 204, description = "It is not registered any more."),
        (status = 404, response = openapi::NotFound),
        ChangeRefusals,
    ),
)]
pub(super) async fn unregister(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<SaeId>,
) -> Result<StatusCode, Problem> {
    let unregister = async {
        let was_known = admin.0.directory.unregister(&id).await.map_err(unavailable)?;
        if !was_known {
            return Err(unknown(&id));
        }
        admin.0.keys.preferences.forget(&id).await.map_err(unavailable)
    };
    admin.0.audit.change(&caller, "sae.unregister", id.as_str(), unregister).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the text is a fingerprint, or a serial number: up to 20 bytes (RFC 5280, section 4.1.2.2).
fn names_a_certificate(text: &str) -> bool {
    let is_digit = |letter: char| letter.is_ascii_hexdigit();
    let digits = text.replace(':', "");
    text.parse::<Fingerprint>().is_ok() || ((1..=40).contains(&digits.len()) && digits.chars().all(is_digit))
}

pub(super) fn unknown(id: &SaeId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No such application").with_detail(format!("{id} is not registered here"))
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn unavailable(error: StoreError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The change cannot be kept").with_detail(error.to_string())
}

/// Of one application.
const MOST_CERTIFICATES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_by_its_fingerprint_or_its_serial_number() {
        for text in [&"ab".repeat(32), "0a:1B:2c", "17"] {
            assert!(names_a_certificate(text), "{text}");
        }
        for text in ["", ":", "sae-1", &"1".repeat(41), &"1".repeat(200)] {
            assert!(!names_a_certificate(text), "{text}");
        }
    }
}
