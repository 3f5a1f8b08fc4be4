//! Why a filter or a neighbour gets no key.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::master::MasterError;
use crate::materials::MaterialError;
use crate::sae::{ApiError, ErrorBody};

/// Why there is no key. Never contains key bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrkeyError {
    /// 400: there can be no such key.
    #[error("{0}")]
    BadRequest(String),
    /// 401, without a body: it is none of the caller's business.
    #[error("unauthorized")]
    Unauthorized,
    /// 404: nobody is known who makes it.
    #[error("{0}")]
    NotFound(String),
    /// 503: not now.
    #[error("{0}")]
    Unavailable(String),
}

impl IntoResponse for DrkeyError {
    fn into_response(self) -> Response {
        match self {
            Self::BadRequest(message) => ApiError::bad_request(message).into_response(),
            Self::Unauthorized => ApiError::Unauthorized.into_response(),
            Self::NotFound(message) => {
                (StatusCode::NOT_FOUND, Json(ErrorBody { message, details: Vec::new() })).into_response()
            }
            Self::Unavailable(message) => ApiError::unavailable(message).into_response(),
        }
    }
}

impl From<MaterialError> for DrkeyError {
    fn from(error: MaterialError) -> Self {
        tracing::error!(%error, "a key that encrypts DRKeys cannot be had");
        Self::Unavailable("the key store is not available".to_owned())
    }
}

impl From<MasterError> for DrkeyError {
    fn from(error: MasterError) -> Self {
        tracing::error!(%error, "a DRKey cannot be derived");
        Self::Unavailable("the master secret is not available".to_owned())
    }
}
