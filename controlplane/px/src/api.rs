//! The HTTP interface: documents, watches, members, and how the node is.
//!
//! Handlers are short: they take checked values, ask the node, and give back a [`model`] type. Who may call is the business of the
//! server in front of them ([`photongate_net::http`]): without TLS it listens on this machine alone, and wants a token there, too.

#![allow(unused_qualifications, reason = "the macros that describe routes repeat their types in other scopes")]

mod documents;
mod health;
mod members;
mod metrics;
pub mod model;
mod openapi;
mod refusals;
mod watching;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::StatusCode;
use photongate_net::http::{Audit, Problem, body_limit};
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::command::Value;
use crate::handle::Handle;

/// What the handlers work with. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    handle: Handle,
    audit: Audit,
    watching: Arc<Semaphore>,
}

/// All routes, those for people included.
pub(crate) fn router(handle: Handle, audit: Audit) -> Router {
    let not_found = || async { Problem::of_status(StatusCode::NOT_FOUND) };
    let not_allowed = || async { Problem::of_status(StatusCode::METHOD_NOT_ALLOWED) };
    Router::from(routes())
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        // The server has bounds of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(body_limit(Value::MAX as u64))
        .with_state(Api { handle, audit, watching: Arc::new(Semaphore::new(watching::MOST_STREAMS)) })
}

/// Every route, with its description.
fn routes() -> OpenApiRouter<Api> {
    openapi::router()
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::status))
        .routes(routes!(documents::list))
        .routes(routes!(documents::get, documents::put, documents::delete))
        .routes(routes!(documents::register))
        .routes(routes!(watching::watch))
        .routes(routes!(members::change))
}

#[cfg(test)]
mod tests;
