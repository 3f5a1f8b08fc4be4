//! Whom the node knows, and where things are.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{Path, Problem, Query, Read, ReadRefusals, bad_request};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::openapi;
use crate::handle::{Handle, Stopped};
use crate::node::Wanted;
use crate::{Contact, Id};

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Peer {
    /// Its id, or the name's hash that it is, in 64 hexadecimal digits.
    id: String,
    /// Where it listens.
    #[schema(example = "192.0.2.2:8484")]
    address: String,
}

/// Some nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Peers {
    /// The nodes.
    peers: Vec<Peer>,
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct LookUp {
    /// The nodes nearest to what was looked for, nearest first.
    nodes: Vec<Peer>,
    /// Those that have the value, if one was looked for. Some may lie.
    providers: Vec<Peer>,
    /// Queries, one after the other, that led there.
    hops: u32,
    /// Queries in all.
    queries: u32,
}

/// What to look for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Target {
    /// An id: 64 hexadecimal digits.
    #[param(min_length = 64, max_length = 64)]
    target: String,
}

/// The nodes in its table.
#[utoipa::path(
    get, path = "/api/v1/peers", tag = openapi::NODE, operation_id = "get_peers",
    responses((status = 200, description = "The nodes that it knows.", body = Peers), ReadRefusals, openapi::Stopping),
)]
pub(super) async fn peers(State(handle): State<Handle>, _: Read) -> Result<Json<Peers>, Problem> {
    Ok(Json(Peers { peers: handle.contacts().await.map_err(stopping)?.iter().map(Peer::from).collect() }))
}

/// Looks for the nodes nearest to an id.
#[utoipa::path(
    get, path = "/api/v1/lookup", tag = openapi::NETWORK, operation_id = "look_up", params(Target),
    responses((status = 200, description = "What was found.", body = LookUp), ReadRefusals, openapi::Stopping),
)]
pub(super) async fn look_up(
    State(handle): State<Handle>,
    _: Read,
    Query(asked): Query<Target>,
) -> Result<Json<LookUp>, Problem> {
    find(&handle, Wanted::Nodes(id(&asked.target)?)).await
}

/// Looks for those who have a value.
#[utoipa::path(
    get, path = "/api/v1/values/{key}", tag = openapi::NETWORK, operation_id = "get_holders",
    params(("key" = String, Path, description = "The key: 64 hexadecimal digits.", min_length = 64, max_length = 64)),
    responses((status = 200, description = "What was found.", body = LookUp), ReadRefusals, openapi::Stopping),
)]
pub(super) async fn holders(
    State(handle): State<Handle>,
    _: Read,
    Path(key): Path<String>,
) -> Result<Json<LookUp>, Problem> {
    find(&handle, Wanted::Holders { key: id(&key)?, providers: PROVIDERS }).await
}

async fn find(handle: &Handle, wanted: Wanted) -> Result<Json<LookUp>, Problem> {
    let found = handle.find(wanted).await.map_err(stopping)?;
    let peers = |contacts: &[Contact]| contacts.iter().map(Peer::from).collect();
    let (nodes, providers) = (peers(&found.nearest), peers(&found.providers));
    Ok(Json(LookUp { nodes, providers, hops: found.hops, queries: found.queries }))
}

fn id(text: &str) -> Result<Id, Problem> {
    text.parse().map_err(|error: crate::id::NotAnId| bad_request(error.to_string()))
}

fn stopping(stopped: Stopped) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The node is stopping").with_detail(stopped.to_string())
}

impl From<&Contact> for Peer {
    fn from(contact: &Contact) -> Self {
        Self { id: contact.id.to_string(), address: contact.address.to_string() }
    }
}

const PROVIDERS: usize = 32;
