//! Extractors whose refusals are problem documents.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::StatusCode;
use http::request::Parts;
use photongate_drkey::Protocol;
use photongate_net::http::Problem;
use photongate_pipeline::PeerKey;
use photongate_wire::IsdAs;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The query string.
pub(super) struct Query<T>(pub(super) T);

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// The peer that a path names.
pub(super) struct PeerPath(pub(super) PeerKey);

/// The number of the trace that a path names.
pub(super) struct TracePath(pub(super) u64);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error: QueryRejection| bad_request(error.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = axum::Json::<T>::from_request(request, state).await;
        json.map(|json| Self(json.0)).map_err(|error: JsonRejection| {
            // That the fields are wrong is told apart from their not being JSON by the text alone.
            let status = match error.status() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            };
            Problem::of_status(status).with_detail(error.body_text())
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PeerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Names {
            isd_as: String,
            drkey_protocol: String,
        }
        let Names { isd_as, drkey_protocol } = path(parts, state).await?;
        peer(&isd_as, &drkey_protocol).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TracePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path(parts, state).await.map(Self)
    }
}

/// The variable parts of the path.
async fn path<T: DeserializeOwned + Send>(parts: &mut Parts, state: &(impl Send + Sync)) -> Result<T, Problem> {
    let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
    path.map(|path| path.0).map_err(|error: PathRejection| bad_request(error.body_text()))
}

/// The peer by these names, as in `1-ff00:0:110` and `3`.
pub(super) fn peer(isd_as: &str, drkey_protocol: &str) -> Result<PeerKey, Problem> {
    let isd_as: IsdAs = isd_as.parse().map_err(|error| bad_request(format!("isd_as {isd_as:?}: {error}")))?;
    let protocol = drkey_protocol
        .parse()
        .map(Protocol)
        .map_err(|_| bad_request(format!("drkey_protocol {drkey_protocol:?} is no number from 0 to 65535")))?;
    Ok(PeerKey { isd_as, protocol })
}

pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::of_status(StatusCode::BAD_REQUEST).with_detail(detail)
}
