//! Peers, page by page.

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Problem, Query, Read, ReadRefusals, bad_request};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{PeerPath, peer as parse_peer};
use super::model::{Peer, PeersPage};
use super::{Api, apart, openapi, refusals};
use crate::agent::PeersQuery;

/// Which peers are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only peers behind this one: `next` of the page before.
    #[param(
        example = "1-ff00:0:110,3",
        pattern = r"^[0-9]{1,5}-([0-9]{1,10}|[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4}),[0-9]{1,5}$"
    )]
    after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100, example = 20)]
    limit: Option<usize>,
    /// Only degraded peers.
    #[param(example = true)]
    degraded: Option<bool>,
    /// Only peers whose ISD-AS, name or prefixes contain this text, in whichever case.
    #[param(max_length = 64, example = "zurich")]
    search: Option<String>,
}

/// Some peers, in the order of ISD-AS and DRKey protocol.
#[utoipa::path(
    get, path = "/api/v1/peers", tag = openapi::PEERS, operation_id = "list_peers", params(Wanted),
    responses((status = 200, description = "A page of peers.", body = PeersPage), ReadRefusals),
)]
pub(super) async fn peers(
    State(api): State<Api>,
    _: Read,
    Query(wanted): Query<Wanted>,
) -> Result<Json<PeersPage>, Problem> {
    let query = wanted.checked()?;
    apart(move || api.agent.peers(&query)).await.map(Json)
}

/// One peer.
#[utoipa::path(
    get, path = "/api/v1/peers/{isd_as}/{drkey_protocol}", tag = openapi::PEERS, operation_id = "get_peer",
    params(openapi::PeerParameters),
    responses(
        (status = 200, description = "Its traffic, and the epochs of its keys.", body = Peer),
        (status = 404, response = openapi::NotFound),
        ReadRefusals,
    ),
)]
pub(super) async fn peer(State(api): State<Api>, _: Read, PeerPath(key): PeerPath) -> Result<Json<Peer>, Problem> {
    api.agent.peer(key).map(Json).ok_or_else(|| refusals::no_such_peer(key))
}

impl Wanted {
    fn checked(self) -> Result<PeersQuery, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(bad_request(format!("limit is {limit}: it must be from 1 to {MOST}")));
        }
        if self.search.as_ref().is_some_and(|search| search.chars().count() > LONGEST_SEARCH) {
            return Err(bad_request(format!("search is longer than {LONGEST_SEARCH} characters")));
        }
        let after = self.after.map(|after| {
            let (isd_as, protocol) = after
                .split_once(',')
                .ok_or_else(|| bad_request("after must be an ISD-AS, a comma and a DRKey protocol"))?;
            parse_peer(isd_as, protocol)
        });
        let (after, degraded) = (after.transpose()?, self.degraded.unwrap_or(false));
        Ok(PeersQuery { after, limit, degraded, search: self.search })
    }
}

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 1000;
const LONGEST_SEARCH: usize = 64;
