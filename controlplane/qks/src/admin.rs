//! Administration over HTTP: how the key server is, and which applications it serves.
//!
//! Handlers are short: they take checked values, ask, and give back a [`model`] type. Who may call is the business of
//! the server in front of them ([`photongate_net::http`]).

#![allow(unused_qualifications, reason = "the macros that describe routes repeat their types in other scopes")]

mod alarms;
mod channels;
mod dashboard;
mod health;
mod history;
mod links;
mod live;
mod metrics;
pub mod model;
mod openapi;
mod preferences;
mod saes;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::StatusCode;
use photongate_net::http::{Audit, Events, Problem};
use photongate_wire::UnixNanos;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::directory::Directory;
use crate::ids::QksId;
use crate::keys::KeyService;
use crate::link_registry::LinkRegistry;
use crate::measures::Requests;
use crate::peer::{LinkState, Neighbours};
use crate::secrets::Vault;
use crate::store::Store;

pub use self::alarms::AlarmBook;
pub use self::history::History;

/// What the handlers work with. Clones are the same.
#[derive(Clone, Debug)]
pub struct Admin(Arc<Parts>, Events);

/// What administration looks at, and what it may change.
#[derive(Debug)]
pub struct Parts {
    /// This server.
    pub local: QksId,
    /// When it started.
    pub started_at: UnixNanos,
    /// Which applications it serves.
    pub directory: Arc<Directory>,
    /// The servers it shares links with.
    pub neighbours: Arc<Neighbours>,
    /// Its links.
    pub links: Arc<LinkRegistry>,
    /// Who hands out keys.
    pub keys: Arc<KeyService>,
    /// What applications asked.
    pub requests: Arc<Requests>,
    /// The ways to other servers.
    pub link_state: LinkState,
    /// What is kept.
    pub store: Store,
    /// Where its secrets may lie.
    pub vault: Option<Vault>,
    /// What an operator should look at.
    pub alarms: AlarmBook,
    /// What was, a while back.
    pub history: History,
    /// Where changes are written down.
    pub audit: Audit,
}

impl Admin {
    /// The administration of a server. Must be called within a runtime: it samples once a second while anybody looks.
    pub fn new(parts: Parts) -> Self {
        let parts = Arc::new(parts);
        let events = live::start(Arc::clone(&parts));
        Self(parts, events)
    }

    /// All routes, those for people included.
    pub fn router(self) -> Router {
        let not_found = || async { Problem::of_status(StatusCode::NOT_FOUND) };
        let not_allowed = || async { Problem::of_status(StatusCode::METHOD_NOT_ALLOWED) };
        Router::from(routes())
            .merge(dashboard::routes())
            .fallback(not_found)
            .method_not_allowed_fallback(not_allowed)
            // The server has bounds of its own.
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }
}

/// Every route of the interface, with its description. The dashboard's files are no part of the interface.
fn routes() -> OpenApiRouter<Admin> {
    openapi::router()
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(views::status))
        .routes(routes!(saes::list))
        .routes(routes!(saes::show, saes::register, saes::unregister))
        .routes(routes!(preferences::show, preferences::set, preferences::forget))
        .routes(routes!(views::neighbours))
        .routes(routes!(links::list))
        .routes(routes!(links::show, links::register, links::unregister))
        .routes(routes!(links::attach))
        .routes(routes!(channels::show, channels::set))
        .routes(routes!(alarms::list))
        .routes(routes!(views::routes))
        .routes(routes!(history::history))
        .routes(routes!(live::events))
}
