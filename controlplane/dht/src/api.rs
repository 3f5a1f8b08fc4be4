//! The HTTP interface: how the node is, whom it knows, and where things are. Values and files come and go by the Unix socket.
//!
//! Who may call is the business of the server in front of it ([`photongate_net::http`]).

#![allow(unused_qualifications, reason = "the macros that describe routes repeat their types in other scopes")]

mod health;
mod metrics;
mod network;
mod openapi;
mod page;

use axum::Router;
use http::StatusCode;
use photongate_net::http::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::handle::Handle;

/// All routes, those for people included.
pub(crate) fn router(handle: Handle) -> Router {
    let not_found = || async { Problem::of_status(StatusCode::NOT_FOUND) };
    let not_allowed = || async { Problem::of_status(StatusCode::METHOD_NOT_ALLOWED) };
    Router::from(routes()).fallback(not_found).method_not_allowed_fallback(not_allowed).with_state(handle)
}

/// Every route, with its description.
fn routes() -> OpenApiRouter<Handle> {
    openapi::router()
        .routes(routes!(page::page))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::status))
        .routes(routes!(network::peers))
        .routes(routes!(network::look_up))
        .routes(routes!(network::holders))
}

#[cfg(test)]
mod tests {
    use photongate_net::http::description_mistakes;

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
        assert_eq!(description_mistakes(&super::openapi::described()), Vec::<String>::new());
    }
}
