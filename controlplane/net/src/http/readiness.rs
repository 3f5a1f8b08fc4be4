//! Whether a program can do its work, as `/readyz` tells it.

use axum::Json;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the program can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// Why not, a sentence each. Empty for callers that may not read.
    pub because: Vec<String>,
}

impl Readiness {
    /// The answer of a program that cannot do its work for these reasons, or can if there are none. Only readers are told them.
    pub fn answer(because: Vec<String>, to_reader: bool) -> (StatusCode, Json<Self>) {
        let ready = because.is_empty();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(Self { ready, because: if to_reader { because } else { Vec::new() } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readers_are_told_why_a_program_is_not_ready() {
        let because = vec!["no other node".to_owned()];
        let (status, told) = Readiness::answer(because.clone(), true);
        assert_eq!(
            (status, told.0),
            (StatusCode::SERVICE_UNAVAILABLE, Readiness { ready: false, because: because.clone() })
        );
        assert_eq!(Readiness::answer(because, false).1.0, Readiness { ready: false, because: vec![] });
        assert_eq!(Readiness::answer(vec![], false).0, StatusCode::OK);
    }
}
