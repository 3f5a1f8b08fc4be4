//! The AS list: shown, compared, replaced.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use photongate_net::http::{Admin, ChangeRefusals, Problem, Read, ReadRefusals};

use super::model::{AsListInForce, Changes};
use super::{Api, openapi};
use crate::agent::ApplyRequest;
use crate::as_list::{AsListDocument, Format};

/// The AS list in force, with `{"held": true}` in the place of each secret.
#[utoipa::path(
    get, path = "/api/v1/as-list", tag = openapi::AS_LIST,
    params(("accept" = Option<String>, Header, description = "`application/json`, or `application/toml` for TOML.")),
    responses(
        (
            status = 200, description = "The list.",
            headers(("etag" = String, description = "The generation in quotes: what `If-Match` takes.")),
            content((AsListDocument = "application/json"), (String = "application/toml")),
        ),
        ReadRefusals,
    ),
)]
pub(super) async fn show(State(api): State<Api>, _: Read, headers: HeaderMap) -> Response {
    let (list, in_force) = api.agent.as_list();
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (media_type, body) =
        if accept.contains(TOML) { (TOML, list.to_toml()) } else { ("application/json", list.to_json()) };
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(media_type)), (header::ETAG, etag(in_force.generation))];
    (headers, body).into_response()
}

/// Which AS list is in force.
#[utoipa::path(get, path = "/api/v1/as-list/in-force", tag = openapi::AS_LIST, responses((status = 200, body = AsListInForce), ReadRefusals))]
pub(super) async fn in_force(State(api): State<Api>, _: Read) -> Json<AsListInForce> {
    Json(api.agent.as_list().1)
}

/// Replaces the AS list. Takes effect whole, or not at all.
#[utoipa::path(
    put, path = "/api/v1/as-list", tag = openapi::AS_LIST,
    params(("if-match" = String, Header, description = "The generation that is replaced, in quotes, as `ETag` gives it.", example = "\"7\"")),
    request_body(content((AsListDocument = "application/json"), (String = "application/toml")), description = "The whole list."),
    responses(
        (status = 200, body = Changes, headers(("etag" = String, description = "The generation in force now, in quotes."))),
        (status = 409, description = "The list stands in a file that is not to be contradicted.", content_type = "application/problem+json", body = Problem),
        (status = 412, description = "Another generation is in force.", content_type = "application/problem+json", body = Problem),
        (status = 415, response = openapi::UnsupportedMediaType),
        (status = 422, response = openapi::Invalid),
        (status = 428, description = "`If-Match` is missing.", content_type = "application/problem+json", body = Problem),
        ChangeRefusals,
    ),
)]
pub(super) async fn replace(
    State(api): State<Api>,
    Admin(caller): Admin,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Problem> {
    let if_generation = Some(expected_generation(&headers)?);
    let format = format(&headers)?;
    let request = ApplyRequest { document: body, format, by: caller.name.clone(), if_generation, dry_run: false };
    let changes = api.audit.change(&caller, "as_list.replace", "AS list", api.agent.apply_list(request)).await?;
    Ok(([(header::ETAG, etag(changes.generation))], Json(changes)).into_response())
}

/// Says what a list would change, and changes nothing.
#[utoipa::path(
    post, path = "/api/v1/as-list/check", tag = openapi::AS_LIST,
    request_body(content((AsListDocument = "application/json"), (String = "application/toml")), description = "The whole list."),
    responses(
        (status = 200, body = Changes),
        (status = 413, response = openapi::TooLarge),
        (status = 415, response = openapi::UnsupportedMediaType),
        (status = 422, response = openapi::Invalid),
        (status = 503, description = "The filter is stopping.", content_type = "application/problem+json", body = Problem),
        ReadRefusals,
    ),
)]
pub(super) async fn check(
    State(api): State<Api>,
    Read(caller): Read,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Changes>, Problem> {
    let format = format(&headers)?;
    let request = ApplyRequest { document: body, format, by: caller.name, if_generation: None, dry_run: true };
    Ok(Json(api.agent.apply_list(request).await?))
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

/// The generation that the caller believes to be in force.
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

fn etag(generation: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{generation}\"")).expect("a number in quotes is a header's value")
}

const TOML: &str = "application/toml";
