//! Who sent a request, and the extractors by which a route says whom it serves.

use std::fmt;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;

/// What somebody may do. An admin may do all that a reader may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything but secrets.
    Read,
    /// Change things.
    Admin,
}

/// Somebody who has shown who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What they are called in logs, like `token admin`, `user 0` or `CN=ops`.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where the request came from, like `192.0.2.7:51234` or `unix socket, process 4711`.
    pub from: String,
}

/// What is known about the sender of a request. The server puts one into the extensions of every request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// They have shown who they are.
    Known(Caller),
    /// They have shown nothing.
    Anonymous,
    /// They have shown something that gives no role; says what.
    WithoutRole(String),
}

/// Extracts whoever may read. Refuses the request otherwise; as `Option<Read>` it is `None` instead.
#[derive(Clone, Debug)]
pub struct Read(pub Caller);

/// Extracts whoever may change things. Refuses the request otherwise.
#[derive(Clone, Debug)]
pub struct Admin(pub Caller);

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Admin => "admin",
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Read {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        caller_with(Role::Read, parts).map(Self)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Read {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        Ok(caller_with(Role::Read, parts).ok().map(Self))
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        caller_with(Role::Admin, parts).map(Self)
    }
}

fn caller_with(role: Role, parts: &Parts) -> Result<Caller, Problem> {
    // A router that is served without this module's server has no callers: it must not be open to everybody.
    match parts.extensions.get::<Identity>().unwrap_or(&Identity::Anonymous) {
        Identity::Known(caller) if caller.role >= role => Ok(caller.clone()),
        Identity::Known(caller) => {
            let detail = format!("{} has the role {}, and this needs the role {role}", caller.name, caller.role);
            Err(Problem::new(StatusCode::FORBIDDEN, "The role does not allow this").with_detail(detail))
        }
        Identity::WithoutRole(who) => {
            let detail = format!("{who} has no role here: an operator must give it one");
            Err(Problem::new(StatusCode::FORBIDDEN, "The caller has no role").with_detail(detail))
        }
        Identity::Anonymous => Err(unauthorized("send a token, as in `Authorization: Bearer pgt_…`")),
    }
}

/// The answer to somebody who must show who they are first.
pub(super) fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "The caller is not known")
        .with_detail(detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_reader_may_read_and_not_change() {
        assert_eq!(status("/read", known(Role::Read)).await, StatusCode::OK);
        assert_eq!(status("/admin", known(Role::Read)).await, StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn an_admin_may_read_and_change() {
        assert_eq!(status("/read", known(Role::Admin)).await, StatusCode::OK);
        assert_eq!(status("/admin", known(Role::Admin)).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_route_that_needs_a_caller_refuses_who_has_shown_nothing() {
        for identity in [None, Some(Identity::Anonymous)] {
            assert_eq!(status("/read", identity.clone()).await, StatusCode::UNAUTHORIZED);
            assert_eq!(status("/admin", identity).await, StatusCode::UNAUTHORIZED);
        }
    }

    #[tokio::test]
    async fn who_has_no_role_is_refused_and_told_so() {
        let stranger = Some(Identity::WithoutRole("the certificate CN=stranger".to_owned()));
        assert_eq!(status("/read", stranger.clone()).await, StatusCode::FORBIDDEN);
        assert_eq!(status("/optional", stranger).await, StatusCode::NO_CONTENT);
    }

    #[tokio::test]
    async fn an_optional_caller_is_there_only_if_known() {
        assert_eq!(status("/optional", known(Role::Read)).await, StatusCode::OK);
        assert_eq!(status("/optional", None).await, StatusCode::NO_CONTENT);
    }

    async fn status(path: &str, identity: Option<Identity>) -> StatusCode {
        let optional = |caller: Option<Read>| async move {
            if caller.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT }
        };
        let router: Router = Router::new()
            .route("/read", get(|_: Read| async {}))
            .route("/admin", get(|_: Admin| async {}))
            .route("/optional", get(optional));
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity);
        }
        router.oneshot(request).await.unwrap().status()
    }

    fn known(role: Role) -> Option<Identity> {
        let caller = Caller { name: "token test".to_owned(), role, from: "127.0.0.1:1".to_owned() };
        Some(Identity::Known(caller))
    }
}
