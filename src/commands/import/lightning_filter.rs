//! LightningFilter's configuration file: which fields there are, and what it takes for those that are left out.
//!
//! Source: `src/config.c` and `docs/Config.md` of LightningFilter, commit b7a99d4.

use std::net::Ipv4Addr;

use jiff::civil::DateTime;
use photongate_wire::{IsdAs, MacAddress};
use serde_json::Value;
use zeroize::Zeroizing;

use super::json::{Field, Findings, Object, Reported};

/// What the file says. What is left out has LightningFilter's default.
pub(super) struct LightningFilter {
    pub(super) isd_as: IsdAs,
    pub(super) drkey_protocol: u16,
    pub(super) port: u16,
    pub(super) ip_public: Option<Ipv4Addr>,
    pub(super) ratelimit: Option<RateLimit>,
    pub(super) auth_peers: Option<RateLimit>,
    pub(super) best_effort: Option<RateLimit>,
    pub(super) peers: Vec<Peer>,
    pub(super) inbound: Option<Ether>,
    pub(super) outbound: Option<Ether>,
    pub(super) dst_ratelimiter: Option<DestinationRateLimiter>,
    pub(super) wg_ratelimiter: Option<WireGuardRateLimiter>,
}

/// One of `peers`.
pub(super) struct Peer {
    pub(super) isd_as: IsdAs,
    pub(super) drkey_protocol: u16,
    pub(super) ip: Option<Ipv4Addr>,
    pub(super) ratelimit: Option<RateLimit>,
    pub(super) shared_secrets: Vec<SharedSecret>,
}

/// One of `shared_secrets`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SharedSecret {
    /// 32 hexadecimal digits.
    pub(super) sv: Zeroizing<String>,
    /// UTC.
    pub(super) not_before: DateTime,
}

/// What a packet's Ethernet destination becomes when it is forwarded.
#[derive(Clone, Copy)]
pub(super) enum Ether {
    /// Where it came from.
    SourceAddress,
    Address(MacAddress),
}

/// Rates are per second. A rate that is left out is 0, and lets nothing pass.
#[derive(Clone, Copy, Default)]
pub(super) struct RateLimit {
    pub(super) byte_rate: u64,
    pub(super) packet_rate: u64,
    /// The bytes of one second, unless given.
    pub(super) byte_burst: u64,
    /// The packets of one second, unless given.
    pub(super) packet_burst: u64,
}

/// `dst_ratelimiter`.
pub(super) struct DestinationRateLimiter {
    pub(super) ip: Option<Ipv4Addr>,
    pub(super) ratelimit: Option<RateLimit>,
}

/// `wg_ratelimiter`.
pub(super) struct WireGuardRateLimiter {
    pub(super) port: u16,
    pub(super) handshake: Option<RateLimit>,
    pub(super) data: Option<RateLimit>,
}

/// Reads LightningFilter's configuration, and notes what is left out.
///
/// # Errors
/// All mistakes: what LightningFilter itself would refuse, or cannot mean.
pub(super) fn read(text: &str) -> Result<(LightningFilter, Vec<String>), Vec<String>> {
    // The error shows a line and a column, and nothing of the text, in which there are secrets.
    let value: Value = serde_json::from_str(text).map_err(|error| vec![format!("not JSON: {error}")])?;
    let findings = Findings::default();
    let outcome = findings.root(&value).object(root);
    findings.conclude(outcome)
}

fn root(file: &Object<'_>) -> Result<LightningFilter, Reported> {
    let isd_as = file.required("isd_as", isd_as);
    let drkey_protocol = file.optional("drkey_protocol", protocol);
    let port = file.optional("port", port);
    let ip_public = file.optional("ip_public", ipv4);
    let ratelimit = file.optional("ratelimit", rate_limit);
    let auth_peers = file.optional("auth_peers", only_rate_limit);
    let best_effort = file.optional("best_effort", only_rate_limit);
    let peers = file.optional("peers", |peers| peers.items(|peer| peer.object(read_peer)));
    let inbound = file.optional("inbound", packet_modifier);
    let outbound = file.optional("outbound", packet_modifier);
    let dst_ratelimiter = file.optional("dst_ratelimiter", |limiter| limiter.object(destination));
    let wg_ratelimiter = file.optional("wg_ratelimiter", |limiter| limiter.object(wireguard));
    if let Some(address) = file.field("drkey_service_addr") {
        address.note("keys are made of shared secrets here, and no key service is asked: left out");
    }
    Ok(LightningFilter {
        isd_as: isd_as?,
        drkey_protocol: drkey_protocol?.unwrap_or(DEFAULT_PROTOCOL),
        port: port?.unwrap_or(DEFAULT_PORT),
        ip_public: ip_public?,
        ratelimit: ratelimit?,
        auth_peers: auth_peers?.flatten(),
        best_effort: best_effort?.flatten(),
        peers: peers?.unwrap_or_default(),
        inbound: inbound?.flatten(),
        outbound: outbound?.flatten(),
        dst_ratelimiter: dst_ratelimiter?,
        wg_ratelimiter: wg_ratelimiter?,
    })
}

fn read_peer(peer: &Object<'_>) -> Result<Peer, Reported> {
    let isd_as = peer.required("isd_as", isd_as);
    let drkey_protocol = peer.optional("drkey_protocol", protocol);
    let ip = peer.optional("ip", ipv4);
    let ratelimit = peer.optional("ratelimit", rate_limit);
    let shared_secrets =
        peer.optional("shared_secrets", |secrets| secrets.items(|secret| secret.object(shared_secret)));
    Ok(Peer {
        isd_as: isd_as?,
        drkey_protocol: drkey_protocol?.unwrap_or(DEFAULT_PROTOCOL),
        ip: ip?,
        ratelimit: ratelimit?,
        shared_secrets: shared_secrets?.unwrap_or_default(),
    })
}

fn shared_secret(secret: &Object<'_>) -> Result<SharedSecret, Reported> {
    let sv = secret.required("sv", |field| {
        let digits = field.text()?;
        if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(field.refuse("must be 32 hexadecimal digits"));
        }
        if digits.bytes().all(|digit| digit == b'0') {
            return Err(field.refuse("must not be all zeroes"));
        }
        Ok(Zeroizing::new(digits.to_owned()))
    });
    let not_before = secret.required("not_before", |field| {
        // The text is not shown: it may be the secret, in the wrong field.
        let refuse = || field.refuse("must be a time in UTC, like 2026-01-01T00:00:00");
        let text = field.text()?;
        let complete = text.len() == "2026-01-01T00:00:00".len() && text.as_bytes().get(10) == Some(&b'T');
        text.parse::<DateTime>().ok().filter(|_| complete).ok_or_else(refuse)
    });
    Ok(SharedSecret { sv: sv?, not_before: not_before? })
}

fn packet_modifier(field: &Field<'_>) -> Result<Option<Ether>, Reported> {
    field.object(|modifier| {
        for name in ["ip", "ipv6"] {
            if let Some(address) = modifier.field(name) {
                address.note("destination addresses are not rewritten here: left out");
            }
        }
        modifier.optional("ether", |ether| match ether.text()? {
            "src_addr" => Ok(Ether::SourceAddress),
            _ => ether.parsed("00:76:65:74:68:18, or \"src_addr\"").map(Ether::Address),
        })
    })
}

fn destination(limiter: &Object<'_>) -> Result<DestinationRateLimiter, Reported> {
    let (ip, ratelimit) = (limiter.optional("ip", ipv4), limiter.optional("ratelimit", rate_limit));
    Ok(DestinationRateLimiter { ip: ip?, ratelimit: ratelimit? })
}

fn wireguard(limiter: &Object<'_>) -> Result<WireGuardRateLimiter, Reported> {
    let port = limiter.optional("port", port);
    let handshake = limiter.optional("ratelimit_handshake", rate_limit);
    let data = limiter.optional("ratelimit_data", rate_limit);
    Ok(WireGuardRateLimiter { port: port?.unwrap_or(WIREGUARD_PORT), handshake: handshake?, data: data? })
}

/// An object with no other field than `ratelimit`.
fn only_rate_limit(field: &Field<'_>) -> Result<Option<RateLimit>, Reported> {
    field.object(|object| object.optional("ratelimit", rate_limit))
}

fn rate_limit(field: &Field<'_>) -> Result<RateLimit, Reported> {
    field.object(|limit| {
        let byte_rate = limit.optional("byte_rate", number);
        let packet_rate = limit.optional("packet_rate", number);
        let byte_burst = limit.optional("byte_burst", number);
        let packet_burst = limit.optional("packet_burst", number);
        let (byte_rate, packet_rate) = (byte_rate?.unwrap_or(0), packet_rate?.unwrap_or(0));
        Ok(RateLimit {
            byte_rate,
            packet_rate,
            byte_burst: byte_burst?.unwrap_or(byte_rate),
            packet_burst: packet_burst?.unwrap_or(packet_rate),
        })
    })
}

fn number(field: &Field<'_>) -> Result<u64, Reported> {
    field.number(u64::MAX)
}

fn isd_as(field: &Field<'_>) -> Result<IsdAs, Reported> {
    field.parsed("1-ff00:0:110")
}

fn ipv4(field: &Field<'_>) -> Result<Ipv4Addr, Reported> {
    field.parsed("192.0.2.1")
}

fn protocol(field: &Field<'_>) -> Result<u16, Reported> {
    Ok(field.number(u16::MAX.into())? as u16)
}

fn port(field: &Field<'_>) -> Result<u16, Reported> {
    match field.number(u16::MAX.into())? as u16 {
        0 => Err(field.refuse("must not be 0")),
        port => Ok(port),
    }
}

/// `LF_DRKEY_PROTOCOL`, for the filter itself and for each peer.
const DEFAULT_PROTOCOL: u16 = 0;

/// `LF_DEFAULT_UDP_PORT`.
const DEFAULT_PORT: u16 = 49149;
const WIREGUARD_PORT: u16 = 51820;
