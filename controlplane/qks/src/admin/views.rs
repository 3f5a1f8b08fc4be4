//! The server, its neighbours, and the ways to others.

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Read, ReadRefusals};
use photongate_net::rfc3339;

use super::model::{Link, Neighbour, Route, Source, Status, Stock};
use super::{Admin, Parts, openapi};
use crate::link_registry::LinkParts;
use crate::links::Phase;
use crate::stock::Free;

/// The key server at a glance.
#[utoipa::path(
    get, path = "/api/v1/status", tag = openapi::SERVER, operation_id = "get_status",
    responses((status = 200, description = "The key server at a glance.", body = Status), ReadRefusals),
)]
pub(super) async fn status(State(admin): State<Admin>, _: Read) -> Json<Status> {
    let not_ready_because = admin.not_ready_because().await;
    let (neighbours, links) = (admin.0.neighbour_views(), admin.0.link_views());
    let in_phase =
        |phase| links.iter().flat_map(|link| &link.sources).filter(|source| source.state.phase == phase).count();
    Json(Status {
        id: admin.0.local.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: rfc3339(admin.0.started_at),
        ready: not_ready_because.is_empty(),
        not_ready_because,
        saes: admin.0.directory.registered().len(),
        neighbours: neighbours.len(),
        neighbours_up: neighbours.iter().filter(|neighbour| neighbour.up).count(),
        sources_producing: in_phase(Phase::Producing),
        sources_in_alarm: in_phase(Phase::Alarm),
        alarms: admin.0.alarms.standing().len(),
        keys_delivered: admin.0.keys.delivered.value(),
    })
}

/// The key servers at the other ends of the links, and what is shared with each.
#[utoipa::path(
    get, path = "/api/v1/neighbours", tag = openapi::SERVER, operation_id = "list_neighbours",
    responses((status = 200, description = "All neighbours, in the order of their names.", body = Vec<Neighbour>), ReadRefusals),
)]
pub(super) async fn neighbours(State(admin): State<Admin>, _: Read) -> Json<Vec<Neighbour>> {
    Json(admin.0.neighbour_views())
}

/// The ways to other key servers.
#[utoipa::path(
    get, path = "/api/v1/routes", tag = openapi::SERVER, operation_id = "list_routes",
    responses((status = 200, description = "The cheapest way to each server that can be reached.", body = Vec<Route>), ReadRefusals),
)]
pub(super) async fn routes(State(admin): State<Admin>, _: Read) -> Json<Vec<Route>> {
    let Some(routes) = admin.0.link_state.routes() else { return Json(Vec::new()) };
    let reachable = routes.servers().iter().filter_map(|server| {
        let route = routes.route(server)?;
        let saes = routes.saes_of(server).cloned().collect();
        Some(Route { to: server.clone(), path: route.path, cost: route.cost, free_bits: route.free_bits, saes })
    });
    Json(reachable.collect())
}

impl Parts {
    /// The neighbours as they are now.
    pub(super) fn neighbour_views(&self) -> Vec<Neighbour> {
        let view = |neighbour: std::sync::Arc<crate::peer::Neighbour>| {
            let down = neighbour.is_down();
            Neighbour {
                id: neighbour.id().clone(),
                up: down.is_none(),
                down_because: down.map(|why| why.as_str().to_owned()),
                stock: neighbour.stock().free().into(),
            }
        };
        self.neighbours.all().into_iter().map(view).collect()
    }

    /// The links as they are now.
    pub(super) fn link_views(&self) -> Vec<Link> {
        self.links.all().into_iter().map(Link::from).collect()
    }
}

impl From<LinkParts> for Link {
    fn from(link: LinkParts) -> Self {
        let attached = link.sources.is_some();
        let sources = link.sources.unwrap_or_default().into_iter().map(|source| Source {
            kind: source.kind.to_owned(),
            state: source.state.borrow().clone(),
            channels: source.channels.iter().map(|control| control.settings().into()).collect(),
        });
        Self {
            id: link.id,
            neighbour: link.neighbour,
            capacity_bytes: link.capacity_bytes,
            taken_in_bytes: link.taken.value(),
            configured: link.registered.is_none(),
            attached,
            sources: sources.collect(),
        }
    }
}

impl From<Free> for Stock {
    fn from(free: Free) -> Self {
        Self { ready_bytes: free.ready, unconfirmed_bytes: free.unconfirmed, neighbours_bytes: free.neighbours }
    }
}
