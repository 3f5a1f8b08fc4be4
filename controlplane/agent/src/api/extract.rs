//! What paths name.

use axum::extract::FromRequestParts;
use http::request::Parts;
use photongate_drkey::Protocol;
use photongate_net::http::{Path, Problem, bad_request};
use photongate_pipeline::PeerKey;
use photongate_wire::IsdAs;
use serde::Deserialize;

/// The peer that a path names.
pub(super) struct PeerPath(pub(super) PeerKey);

/// The number of the trace that a path names.
pub(super) struct TracePath(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for PeerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Names {
            isd_as: String,
            drkey_protocol: String,
        }
        let Path(Names { isd_as, drkey_protocol }) = Path::from_request_parts(parts, state).await?;
        peer(&isd_as, &drkey_protocol).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TracePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state).await.map(|Path(id)| Self(id))
    }
}

/// The peer by these names, as in `1-ff00:0:110` and `3`.
pub(super) fn peer(isd_as: &str, drkey_protocol: &str) -> Result<PeerKey, Problem> {
    let isd_as: IsdAs = isd_as.parse().map_err(|error| bad_request(format!("isd_as {isd_as:?}: {error}")))?;
    let protocol = drkey_protocol
        .parse()
        .map(Protocol)
        .map_err(|_| bad_request(format!("drkey_protocol {drkey_protocol:?} is no number from 0 to 65535")))?;
    Ok(PeerKey { isd_as, protocol })
}
