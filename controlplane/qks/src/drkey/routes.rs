//! What filters may ask for: `GET /api/v1/drkey/level1`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::request::Parts;
use jiff::Timestamp;
use photongate_drkey::{AsPair, Protocol, calendar};
use photongate_net::tls::CertificateInfo;
use photongate_wire::{IsdAs, Nanos, UnixNanos};
use serde::Serialize;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{DrkeyError, DrkeyService, FilterConfigured, Level1Key, Level1Request};
use crate::encoding::text;

/// What the routes need.
#[derive(Clone, Debug)]
pub struct DrkeyRoutes {
    /// Who makes and fetches keys.
    pub drkeys: Arc<DrkeyService>,
    /// The filters that may ask, by the common names of their certificates.
    pub filters: Arc<BTreeMap<String, FilterConfigured>>,
}

/// The answer.
#[derive(Serialize)]
pub struct Level1Document {
    #[serde(with = "text")]
    fast: IsdAs,
    #[serde(with = "text")]
    slow: IsdAs,
    protocol: u16,
    epoch: EpochDocument,
    /// Base64 (RFC 4648, section 4).
    key: Zeroizing<String>,
}

/// When a key is used to send. RFC 3339, whole seconds.
#[derive(Serialize)]
struct EpochDocument {
    not_before: String,
    /// The first instant after it.
    not_after: String,
}

/// The routes. Requests must carry the [`CertificateInfo`] of the caller.
pub fn router(routes: DrkeyRoutes) -> Router {
    Router::new().route("/api/v1/drkey/level1", get(level1)).with_state(routes)
}

/// The local AS of the filter that calls.
struct Calling(IsdAs);

impl FromRequestParts<DrkeyRoutes> for Calling {
    type Rejection = DrkeyError;

    async fn from_request_parts(parts: &mut Parts, routes: &DrkeyRoutes) -> Result<Self, DrkeyError> {
        let certificate = parts.extensions.get::<Arc<CertificateInfo>>().ok_or(DrkeyError::Unauthorized)?;
        match certificate.subject.common_names().find_map(|name| routes.filters.get(name)) {
            Some(filter) => Ok(Self(filter.isd_as)),
            None => {
                tracing::warn!(subject = %certificate.subject, "no filter is registered for this certificate");
                Err(DrkeyError::Unauthorized)
            }
        }
    }
}

async fn level1(
    Calling(local): Calling,
    State(routes): State<DrkeyRoutes>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Level1Document>, DrkeyError> {
    let request = parse(query.as_deref().unwrap_or_default())?;
    let AsPair { fast, slow } = request.pair;
    if fast != local && slow != local {
        tracing::warn!(%local, %fast, %slow, "a filter asks for a key of other ASes");
        return Err(DrkeyError::Unauthorized);
    }
    let Level1Key { key, epoch } = routes.drkeys.level1(request).await?;
    let [not_before, not_after] = [epoch.start, epoch.end].map(|instant| calendar(instant).to_string());
    Ok(axum::Json(Level1Document {
        fast,
        slow,
        protocol: request.protocol.0,
        epoch: EpochDocument { not_before, not_after },
        key: Zeroizing::new(BASE64_STANDARD.encode(key.as_bytes())),
    }))
}

/// Reads `fast=…&slow=…&protocol=…&at=…`, each exactly once.
fn parse(query: &str) -> Result<Level1Request, DrkeyError> {
    let mut given = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(name) = PARAMETERS.iter().find(|known| **known == name) else {
            return Err(DrkeyError::BadRequest(format!("there is no parameter {name:?}")));
        };
        if given.insert(*name, value).is_some() {
            return Err(DrkeyError::BadRequest(format!("the parameter {name} stands twice")));
        }
    }
    let text = |name| given.get(name).ok_or_else(|| DrkeyError::BadRequest(format!("the parameter {name} is missing")));
    let isd_as = |name| {
        let wrong = || DrkeyError::BadRequest(format!("the parameter {name} is no AS: write it like 1-ff00:0:110"));
        text(name)?.parse::<IsdAs>().map_err(|_| wrong())
    };
    let pair = AsPair { fast: isd_as("fast")?, slow: isd_as("slow")? };
    let protocol = text("protocol")?.parse();
    let protocol =
        protocol.map_err(|_| DrkeyError::BadRequest("the parameter protocol is no 16-bit number".to_owned()))?;
    let at = instant(text("at")?);
    let at = at.ok_or_else(|| {
        DrkeyError::BadRequest("the parameter at is no time: write RFC 3339, or seconds since 1970".to_owned())
    })?;
    Ok(Level1Request { pair, protocol: Protocol(protocol), at })
}

fn instant(text: &str) -> Option<UnixNanos> {
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(Nanos::from_secs(1).0).map(UnixNanos);
    }
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_nanosecond()).ok().map(UnixNanos)
}

const PARAMETERS: [&str; 4] = ["fast", "slow", "protocol", "at"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_two_ases_a_protocol_and_a_time_in_either_form() {
        for at in ["1700000000", "2023-11-14T22:13:20Z", "2023-11-14T23:13:20%2B01:00"] {
            let request = parse(&format!("fast=1-ff00:0:111&slow=1-ff00%3A0%3A112&protocol=1&at={at}")).unwrap();
            assert_eq!(request.pair.fast.to_string(), "1-ff00:0:111");
            assert_eq!(request.pair.slow.to_string(), "1-ff00:0:112");
            assert_eq!((request.protocol, request.at), (Protocol::SCMP, UnixNanos(1_700_000_000_000_000_000)));
        }
    }

    #[test]
    fn what_is_missing_unknown_twice_or_no_value_is_refused_by_name() {
        for (query, message) in [
            ("", "the parameter fast is missing"),
            ("fast=1-1&slow=1-2&protocol=0", "the parameter at is missing"),
            ("fast=1-1&fast=1-1", "the parameter fast stands twice"),
            ("faster=1-1", "there is no parameter \"faster\""),
            ("fast=x&slow=1-2&protocol=0&at=0", "the parameter fast is no AS"),
            ("fast=1-1&slow=1-2&protocol=65536&at=0", "the parameter protocol is no"),
            ("fast=1-1&slow=1-2&protocol=0&at=yesterday", "the parameter at is no time"),
            ("fast=1-1&slow=1-2&protocol=0&at=99999999999999", "the parameter at is no time"),
            ("fast=1-1&slow=1-2&protocol=0&at=1960-01-01T00:00:00Z", "the parameter at is no time"),
        ] {
            let Err(DrkeyError::BadRequest(refused)) = parse(query) else { panic!("{query}") };
            assert!(refused.starts_with(message), "{refused}");
        }
    }
}
