//! The three methods of clause 5, and who may call them.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use http::{Method, StatusCode};
use photongate_net::tls::CertificateInfo;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use super::model::KeyId;
use super::{ApiError, ContainerText, Extensions, KeyIds, KeyRequest, Status};
use crate::ids::SaeId;
use crate::keys::KeyService;
use crate::measures::Requests;

/// What the routes need.
#[derive(Clone, Debug)]
pub struct SaeRoutes {
    /// Who makes and finds keys.
    pub keys: Arc<KeyService>,
    /// Whether `key_IDs` may be an array of texts, which is not the standard's form.
    pub accept_plain_key_ids: bool,
    /// Where requests are counted.
    pub requests: Arc<Requests>,
}

/// The routes of the standard. Requests must carry the [`CertificateInfo`] of the caller.
pub fn router(routes: SaeRoutes) -> Router {
    Router::new()
        .route("/api/v1/keys/{sae}/status", get(status))
        .route("/api/v1/keys/{sae}/enc_keys", get(enc_keys).post(enc_keys))
        .route("/api/v1/keys/{sae}/dec_keys", get(dec_keys).post(dec_keys))
        .route_layer(from_fn_with_state(Arc::clone(&routes.requests), count))
        .with_state(routes)
}

async fn count(State(requests): State<Arc<Requests>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let answer = next.run(request).await;
    requests.count(path.rsplit('/').next().unwrap_or_default(), answer.status());
    answer
}

/// How a body that breaks the bounds is refused: the standard knows only 400.
pub fn refusal(_: StatusCode, sentence: &str) -> Response {
    ApiError::bad_request(sentence).into_response()
}

/// The application that calls: the one that its certificate belongs to.
struct Calling(SaeId);

impl FromRequestParts<SaeRoutes> for Calling {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, routes: &SaeRoutes) -> Result<Self, ApiError> {
        let certificate = parts.extensions.get::<Arc<CertificateInfo>>().ok_or(ApiError::Unauthorized)?;
        match routes.keys.directory().identify(certificate) {
            Some(sae) => Ok(Self(sae)),
            None => {
                tracing::warn!(subject = %certificate.subject, "no application is registered for this certificate");
                Err(ApiError::Unauthorized)
            }
        }
    }
}

/// The application in the path.
struct Named(SaeId);

impl FromRequestParts<SaeRoutes> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, routes: &SaeRoutes) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, routes).await;
        let Path(name) = path.map_err(|error| ApiError::bad_request(error.body_text()))?;
        let named = name.parse().map_err(|error| ApiError::bad_request(format!("the SAE ID in the path: {error}")))?;
        Ok(Self(named))
    }
}

/// "Get status", clause 5.2.
async fn status(
    Calling(master): Calling,
    Named(slave): Named,
    State(routes): State<SaeRoutes>,
) -> Result<axum::Json<Status>, ApiError> {
    Ok(axum::Json(routes.keys.status(&master, &slave)?))
}

/// "Get key", clause 5.3.
async fn enc_keys(
    Calling(master): Calling,
    Named(slave): Named,
    State(routes): State<SaeRoutes>,
    request: Request,
) -> Result<ContainerText, ApiError> {
    let request = match *request.method() {
        Method::POST => {
            let body = body(request).await?;
            if body.is_empty() { KeyRequest::default() } else { parsed(&body)? }
        }
        _ => simple_request(request.uri().query())?,
    };
    let request = request.within(routes.keys.limits(), &master, slave)?;
    routes.keys.create(&master, request).await
}

/// "Get key with key IDs", clause 5.4.
async fn dec_keys(
    Calling(taker): Calling,
    Named(master): Named,
    RawQuery(query): RawQuery,
    State(routes): State<SaeRoutes>,
    request: Request,
) -> Result<ContainerText, ApiError> {
    let (ids, extensions) = match *request.method() {
        Method::POST => {
            let ids: KeyIds = parsed(&body(request).await?)?;
            let extension: Vec<_> = ids.key_IDs_extension.into_iter().collect();
            let extensions = Extensions::read(&[], &extension)?;
            let ids = ids.key_IDs.into_iter().map(|id| match id {
                KeyId::Object { key_id } => Ok(key_id),
                KeyId::Plain(key_id) if routes.accept_plain_key_ids => Ok(key_id),
                KeyId::Plain(_) => Err(ApiError::bad_request("key_IDs must be an array of objects with a key_ID each")),
            });
            (ids.collect::<Result<Vec<_>, _>>()?, extensions)
        }
        _ => (vec![simple_key_id(query.as_deref())?], Extensions::default()),
    };
    let most = usize::from(routes.keys.limits().max_keys_per_request);
    if ids.is_empty() || ids.len() > most {
        let message = format!("key_IDs names {} keys, and must name from 1 to {most}", ids.len());
        return Err(ApiError::bad_request(message));
    }
    if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
        return Err(ApiError::bad_request("key_IDs names a key twice"));
    }
    routes.keys.fetch(&taker, master, &ids, &extensions).await
}

/// `?number=3&size=1024`: the form without a body.
fn simple_request(query: Option<&str>) -> Result<KeyRequest, ApiError> {
    let mut request = KeyRequest::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let place = match &*name {
            "number" => &mut request.number,
            "size" => &mut request.size,
            _ => return Err(unknown(&name)),
        };
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse().ok().filter(|_| is_number);
        let number = number.ok_or_else(|| ApiError::bad_request(format!("the parameter {name} must be a number")))?;
        if place.replace(number).is_some() {
            return Err(ApiError::bad_request(format!("the parameter {name} stands twice")));
        }
    }
    Ok(request)
}

/// `?key_ID=…`: the form without a body.
fn simple_key_id(query: Option<&str>) -> Result<Uuid, ApiError> {
    let mut id = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "key_ID" {
            return Err(unknown(&name));
        }
        let parsed = value.parse().map_err(|_| ApiError::bad_request("the parameter key_ID must be a UUID"))?;
        if id.replace(parsed).is_some() {
            return Err(ApiError::bad_request("the parameter key_ID stands twice: ask for several keys by POST"));
        }
    }
    id.ok_or_else(|| ApiError::bad_request("the parameter key_ID is missing"))
}

fn unknown(name: &str) -> ApiError {
    let message = "a request without a body takes other parameters: send what else there is by POST";
    ApiError::bad_request(message).with_detail("parameter", json!(name))
}

async fn body(request: Request) -> Result<Bytes, ApiError> {
    // The server bounds bodies before they come here.
    let body = to_bytes(request.into_body(), usize::MAX).await;
    body.map_err(|_| ApiError::bad_request("the body of the request cannot be read"))
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // An array would do for the library: the values of the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::bad_request("the body of the request must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("the body of the request: {error}")))
}
