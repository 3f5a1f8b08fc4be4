//! A list as JSON: what the HTTP interface shows, and what it takes.

use photongate_drkey::calendar;
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{Encapsulation, Encapsulations, PeerEncapsulation};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AsList, ListedPeer};

/// An AS list. Never with secrets in it when it is shown: each is `{"held": true}`, which stands for the same secret when the
/// document is sent back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AsListDocument {
    /// The peers.
    pub peers: Vec<PeerDocument>,
}

/// A peer in an AS list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeerDocument {
    /// The AS, like `1-ff00:0:110`.
    pub isd_as: String,
    /// What operators call it: 1 to 64 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The DRKey protocol of the keys shared with it. The filter's own if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drkey_protocol: Option<u16>,
    /// The addresses behind it.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Where its keys come from: `shared_secret`, or `qks`, the key server of the filter's AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// What it may send. What the filter's configuration says in `limits.peer` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitDocument>,
    /// What becomes of packets from its prefixes without a proof of origin: `allow` or `drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<String>,
    /// What packets to it are put into: `lf` or `lf2`. `lf` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encapsulation: Option<String>,
    /// What packets from it may be in. Only what is sent if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// What its keys are made of, if they are made of shared secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_secrets: Vec<SecretDocument>,
}

/// A limit in an AS list: at least one of the two rates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitDocument {
    /// Largest mean rate, in bits per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_second: Option<u64>,
    /// Largest mean rate, in packets per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets_per_second: Option<u64>,
    /// Bytes that may pass at once after a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_bytes: Option<u64>,
    /// Packets that may pass at once after a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_packets: Option<u64>,
}

/// A secret in an AS list: `secret`, or `held`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SecretDocument {
    /// The secret, 32 hexadecimal digits. It can be sent, and is never shown.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Option<String>, write_only)]
    pub secret: Option<NeverShown>,
    /// The secret that the filter holds already, for this peer and with this `not_before`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// From when on it is used. RFC 3339.
    pub not_before: String,
}

/// In the place of a secret: there is no value of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeverShown {}

impl AsList {
    /// The list as JSON, with `{"held": true}` in the place of each secret.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&AsListDocument::from(self))
            .expect("names of fields are text, and nothing is infinite")
    }
}

impl From<&AsList> for AsListDocument {
    fn from(list: &AsList) -> Self {
        Self { peers: list.peers().iter().map(PeerDocument::from).collect() }
    }
}

impl From<&ListedPeer> for PeerDocument {
    fn from(peer: &ListedPeer) -> Self {
        let secrets = peer.source.secrets();
        let PeerEncapsulation { send, accept } = peer.encapsulation;
        let names = |accept: Encapsulations| accept.iter().map(|accepted| accepted.name().to_owned()).collect();
        let secret =
            |not_before| SecretDocument { secret: None, held: true, not_before: calendar(not_before).to_string() };
        Self {
            isd_as: peer.key.isd_as.to_string(),
            name: peer.name.as_deref().map(str::to_owned),
            drkey_protocol: Some(peer.key.protocol.0),
            prefixes: peer.prefixes.iter().map(ToString::to_string).collect(),
            keys: Some(peer.source.kind().to_owned()),
            limit: peer.limit.as_deref().copied().map(LimitDocument::from),
            best_effort: peer.refuse_best_effort.then(|| "drop".to_owned()),
            encapsulation: (send != Encapsulation::default()).then(|| send.name().to_owned()),
            accept: if accept == Encapsulations::only(send) { Vec::new() } else { names(accept) },
            shared_secrets: secrets.iter().map(|held| secret(held.not_before)).collect(),
        }
    }
}

impl From<LimitSettings> for LimitDocument {
    fn from(settings: LimitSettings) -> Self {
        let LimitSettings { bits_per_second, packets_per_second, burst_bytes, burst_packets } = settings;
        Self { bits_per_second, packets_per_second, burst_bytes, burst_packets }
    }
}
