//! Errors as clause 6.5 of ETSI GS QKD 014 V1.1.1 wants them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What an application is told when it gets no keys. The status codes are those of tables 4, 6 and 8; there are no others.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// 400: the request is not well-formed, or asks for what cannot be.
    #[error("{}", .0.message)]
    BadRequest(ErrorBody),
    /// 401, without a body: the caller is not who may do this.
    #[error("unauthorized")]
    Unauthorized,
    /// 503: the server cannot do it now.
    #[error("{}", .0.message)]
    Unavailable(ErrorBody),
}

/// The body of an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub message: String,
    /// More, for programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Map<String, Value>>,
}

impl ApiError {
    /// A request that cannot be answered, for the reason given.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest(ErrorBody { message: message.into(), details: Vec::new() })
    }

    /// Something that does not work now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(ErrorBody { message: message.into(), details: Vec::new() })
    }

    /// There is not enough key material.
    pub fn exhausted(stored_key_count: u64) -> Self {
        let mut error = ErrorBody { message: "there is not enough key material".to_owned(), details: Vec::new() };
        error.details.push(detail("stored_key_count", json!(stored_key_count)));
        Self::Unavailable(error)
    }

    /// The same with one more detail, if the error has a body.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: Value) -> Self {
        if let Self::BadRequest(body) | Self::Unavailable(body) = &mut self {
            body.details.push(detail(name, value));
        }
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::BadRequest(body) => (StatusCode::BAD_REQUEST, Json(body)).into_response(),
            Self::Unauthorized => StatusCode::UNAUTHORIZED.into_response(),
            Self::Unavailable(body) => {
                let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
                (StatusCode::SERVICE_UNAVAILABLE, retry, Json(body)).into_response()
            }
        }
    }
}

fn detail(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}
