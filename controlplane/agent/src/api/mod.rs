//! Management over HTTP: what can be asked and told, and in which form.
//!
//! Handlers are short: they take checked values, ask the [`Agent`] or tell it, and give back a [`model`] type. Which
//! status a refusal has is decided in one place (`refusals`). Who may call is the server's business
//! ([`photongate_net::http`]).

#![allow(unused_qualifications, reason = "the macros that describe routes repeat their types in other scopes")]

mod as_list;
mod dashboard;
mod events;
mod extract;
mod health;
mod keys;
mod metrics;
pub mod model;
mod openapi;
mod peers;
mod refusals;
mod reload;
mod status;
mod traces;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::StatusCode;
use photongate_net::http::{Audit, Events, Problem, body_limit};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Agent;
use crate::traces::Traces;

pub use model::*;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    audit: Audit,
    log: Arc<dyn Log>,
    traces: Traces,
    events: Events,
    certificate: CertificateExpiry,
}

/// What is logged, and can be changed.
pub trait Log: Send + Sync + 'static {
    /// The least severe messages that are logged.
    fn level(&self) -> LogLevel;

    /// Logs messages of this and of greater severity from now on.
    fn set_level(&self, level: LogLevel);
}

/// When the server's certificate expires, in seconds since 1970; `None` without one.
pub type CertificateExpiry = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

impl Api {
    /// The management of `agent`. Must be called within a runtime: it samples the counters once a second while
    /// anybody looks.
    pub fn new(agent: Agent, audit: Audit, log: Arc<dyn Log>, traces: Traces, certificate: CertificateExpiry) -> Self {
        let events = events::start(agent.clone());
        Self { agent, audit, log, traces, events, certificate }
    }

    /// All routes, those for people included.
    pub fn router(self) -> Router {
        let not_found = || async { Problem::of_status(StatusCode::NOT_FOUND) };
        let not_allowed = || async { Problem::of_status(StatusCode::METHOD_NOT_ALLOWED) };
        Router::from(routes())
            .merge(dashboard::routes())
            .fallback(not_found)
            .method_not_allowed_fallback(not_allowed)
            // The server has bounds of its own, by route.
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }
}

/// Every route of the interface, with its description. The dashboard's files are no part of the interface.
fn routes() -> OpenApiRouter<Api> {
    // Lists are longer than anything else that is sent.
    let large = OpenApiRouter::new()
        .routes(routes!(as_list::show, as_list::replace))
        .routes(routes!(as_list::check))
        .layer(body_limit(as_list::LARGEST_LIST));
    openapi::router()
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(status::status))
        .routes(routes!(status::workers))
        .routes(routes!(status::ports))
        .routes(routes!(peers::peers))
        .routes(routes!(peers::peer))
        .routes(routes!(keys::prefetch))
        .routes(routes!(keys::revoke))
        .merge(large)
        .routes(routes!(as_list::in_force))
        .routes(routes!(reload::reload))
        .routes(routes!(reload::log_level, reload::set_log_level))
        .routes(routes!(traces::list, traces::start))
        .routes(routes!(traces::one, traces::delete))
        .routes(routes!(traces::stop))
        .routes(routes!(traces::download))
        .routes(routes!(events::events))
}

/// Does something that takes a while if there are many peers, on a thread that nobody else waits for.
///
/// # Errors
/// A problem if it panicked.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))
}

#[cfg(test)]
mod tests;
