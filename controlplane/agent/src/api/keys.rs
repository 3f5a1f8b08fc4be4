//! Keys by hand.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use photongate_net::http::{Admin, ChangeRefusals, Problem, bad_request};

use super::extract::PeerPath;
use super::model::{PrefetchOutcome, RevokeOutcome, RevokeRequest};
use super::{Api, openapi, refusals};

/// Fetches a peer's next keys ahead of time.
///
/// Keys that are held already are not fetched again; what failed before is tried at once.
#[utoipa::path(
    post, path = "/api/v1/peers/{isd_as}/{drkey_protocol}/prefetch",
    tag = openapi::PEERS, operation_id = "prefetch_keys",
    params(openapi::PeerParameters),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "The keys held now, and what is wrong with them.", body = PrefetchOutcome),
        (status = 404, response = openapi::NotFound),
        ChangeRefusals,
    ),
)]
pub(super) async fn prefetch(
    State(api): State<Api>,
    Admin(caller): Admin,
    PeerPath(peer): PeerPath,
) -> Result<Json<PrefetchOutcome>, Problem> {
    let prefetch = async { api.agent.prefetch(peer).await.ok_or_else(|| refusals::no_such_peer(peer)) };
    api.audit.change(&caller, "keys.prefetch", openapi::peer_name(peer), prefetch).await.map(Json)
}

/// Takes a peer's keys out of use.
///
/// When this answers, no worker holds them, and they are refused if their source offers them again. Others are
/// fetched at once.
#[utoipa::path(
    post, path = "/api/v1/peers/{isd_as}/{drkey_protocol}/revoke",
    tag = openapi::PEERS, operation_id = "revoke_keys",
    params(openapi::PeerParameters),
    request_body(content = Option<RevokeRequest>, description = "Without a body, the keys of both directions."),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "What was revoked, and the keys in force now.", body = RevokeOutcome),
        (status = 404, response = openapi::NotFound),
        ChangeRefusals,
    ),
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    Admin(caller): Admin,
    PeerPath(peer): PeerPath,
    body: Bytes,
) -> Result<Json<RevokeOutcome>, Problem> {
    let request = match body.as_ref() {
        b"" => None,
        json => serde_json::from_slice(json).map_err(|error| bad_request(format!("the body: {error}")))?,
    };
    let RevokeRequest { direction } = request.unwrap_or_default();
    let revoke = async {
        let outcome = api.agent.revoke(peer, direction).await.map_err(Problem::from)?;
        outcome.ok_or_else(|| refusals::no_such_peer(peer))
    };
    api.audit.change(&caller, "keys.revoke", openapi::peer_name(peer), revoke).await.map(Json)
}
