//! The AS list: shown, compared, replaced.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use photongate_net::http::{Admin, ChangeRefusals, Problem, Read, ReadRefusals};
use zeroize::Zeroizing;

use super::model::{AsListInForce, Changes};
use super::{Api, apart, openapi};
use crate::agent::ApplyRequest;
use crate::as_list::{AsListDocument, Format};

/// The AS list in force.
///
/// In the place of each secret stands `held = true`. Sent back like that, the secret stays what it is.
#[utoipa::path(
    get, path = "/api/v1/as-list", tag = openapi::AS_LIST, operation_id = "get_as_list",
    params((
        "accept" = Option<String>, Header, example = "application/toml",
        description = "`application/toml` for TOML. Anything else gives JSON.",
    )),
    responses(
        (
            status = 200, description = "The list.",
            headers(("etag" = String, description = "The generation in quotes: what `If-Match` takes.")),
            content((AsListDocument = "application/json"), (String = "application/toml")),
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(api): State<Api>, _: Read, headers: HeaderMap) -> Result<Response, Problem> {
    let (list, in_force) = api.agent.as_list();
    let is_toml = prefers_toml(&headers);
    let body = apart(move || if is_toml { list.to_toml() } else { list.to_json() }).await?;
    let media_type = if is_toml { TOML } else { JSON };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::ETAG, etag(in_force.generation)),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    Ok((headers, body).into_response())
}

/// Which AS list is in force.
#[utoipa::path(
    get, path = "/api/v1/as-list/in-force", tag = openapi::AS_LIST, operation_id = "get_as_list_in_force",
    responses(
        (status = 200, description = "Its generation, and where it came from.", body = AsListInForce),
        ReadRefusals,
    ),
)]
pub(super) async fn in_force(State(api): State<Api>, _: Read) -> Json<AsListInForce> {
    Json(api.agent.as_list().1)
}

/// Replaces the AS list.
///
/// Takes effect whole, or not at all. Two who change the list at the same time cannot undo each other's work:
/// `If-Match` must name the generation that is replaced. New peers have their keys when this answers, or are listed
/// as those that have not.
#[utoipa::path(
    put, path = "/api/v1/as-list", tag = openapi::AS_LIST, operation_id = "replace_as_list",
    params((
        "if-match" = String, Header, example = "\"7\"",
        description = "The generation that is replaced, in quotes, as `ETag` gives it.",
    )),
    request_body(
        content((AsListDocument = "application/json"), (String = "application/toml")),
        description = "The whole list, up to 64 MiB.",
    ),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (
            status = 200, description = "The list is in force. What it changed.", body = Changes,
            headers(("etag" = String, description = "The generation in force now, in quotes.")),
        ),
        (status = 409, response = openapi::NotReplaceable),
        (status = 412, response = openapi::OtherGeneration),
        (status = 415, response = openapi::UnsupportedMediaType),
        (status = 422, response = openapi::Invalid),
        (status = 428, response = openapi::GenerationMissing),
        ChangeRefusals,
    ),
)]
pub(super) async fn replace(
    State(api): State<Api>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Problem> {
    let document = Zeroizing::new(body);
    let if_generation = Some(expected_generation(&headers)?);
    let format = format(&headers)?;
    let request = ApplyRequest { document, format, by: caller.name.clone(), if_generation };
    let changes = api.audit.change(&caller, "as_list.replace", "AS list", api.agent.apply_list(request)).await?;
    Ok(([(header::ETAG, etag(changes.generation))], Json(changes)).into_response())
}

/// Says what a list would change.
///
/// It is read and checked as if it was to replace the one in force. Nothing changes.
#[utoipa::path(
    post, path = "/api/v1/as-list/check", tag = openapi::AS_LIST, operation_id = "check_as_list",
    request_body(
        content((AsListDocument = "application/json"), (String = "application/toml")),
        description = "The whole list, up to 64 MiB.",
    ),
    responses(
        (status = 200, description = "The list is valid. What it would change.", body = Changes),
        (status = 408, response = openapi::TooSlow),
        (status = 413, response = openapi::TooLarge),
        (status = 415, response = openapi::UnsupportedMediaType),
        (status = 422, response = openapi::Invalid),
        (status = 503, response = openapi::Stopping),
        ReadRefusals,
    ),
)]
pub(super) async fn check(
    State(api): State<Api>,
    _: Read,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Changes>, Problem> {
    let document = Zeroizing::new(body);
    let format = format(&headers)?;
    Ok(Json(api.agent.check_list(document, format).await?))
}

/// The largest list that is taken, in bytes: a few hundred thousand peers.
pub(super) const LARGEST_LIST: u64 = 64 << 20;

fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Format::of_content_type(media_type).ok_or_else(|| {
        let detail = format!("Content-Type is {media_type:?}: send application/toml or application/json");
        Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).with_detail(detail)
    })
}

/// The generation that the caller believes to be in force. `*`, and several at a time, are refused: a generation is
/// what this is for.
fn expected_generation(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let detail = "send the generation that you mean to replace, as in `If-Match: \"7\"`; GET gives it as ETag";
        return Err(Problem::of_status(StatusCode::PRECONDITION_REQUIRED).with_detail(detail));
    };
    let generation = value.to_str().ok().and_then(|value| value.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    generation.ok_or_else(|| {
        let detail = "If-Match must be one generation in quotes, as in `If-Match: \"7\"`";
        Problem::of_status(StatusCode::PRECONDITION_FAILED).with_detail(detail)
    })
}

/// Whether `Accept` gives TOML a larger weight than JSON (RFC 9110, section 12.5.1).
fn prefers_toml(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut weights = [0.0_f32; 2];
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        match media_type.as_str() {
            TOML => weights[0] = weight,
            JSON | "application/*" | "*/*" => weights[1] = weights[1].max(weight),
            _ => {}
        }
    }
    weights[0] > 0.0 && weights[0] >= weights[1]
}

fn etag(generation: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{generation}\"")).expect("a number in quotes is a header's value")
}

const TOML: &str = "application/toml";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_is_given_to_those_who_ask_for_it() {
        for (accept, is_toml) in [
            ("application/toml", true),
            ("application/toml, */*;q=0.8", true),
            ("text/html, application/toml", true),
            ("application/json, application/toml;q=0.5", false),
            ("application/toml;q=0", false),
            ("*/*", false),
            ("application/tomlish", false),
            ("", false),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(prefers_toml(&headers), is_toml, "{accept}");
        }
        assert!(!prefers_toml(&HeaderMap::new()));
    }
}
