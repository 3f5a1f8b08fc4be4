//! What travels over HTTP, as JSON. Times are RFC 3339 in UTC; numbers bear their unit in their names; key bytes
//! never occur.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{LinkId, QksId, SaeId};
use crate::links::SourceState;

/// The key server at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its name: the KME ID.
    pub id: QksId,
    /// Version of the program.
    pub version: String,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Whether it can do its work.
    pub ready: bool,
    /// Why it is not ready, a sentence each.
    pub not_ready_because: Vec<String>,
    /// Applications that are registered here.
    pub saes: usize,
    /// Key servers at the other ends of its links.
    pub neighbours: usize,
    /// Those of them that answer.
    pub neighbours_up: usize,
    /// Sources of links that produce keys.
    pub sources_producing: usize,
    /// Sources whose keys somebody may be listening to.
    pub sources_in_alarm: usize,
    /// Alarms that an operator should look at.
    pub alarms: usize,
    /// Keys that applications have got since the start.
    pub keys_delivered: u64,
}

/// What is registered about an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaeRegistration {
    /// SHA-256 fingerprints or serial numbers of its certificates, for servers that tell applications by these.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub certificates: Vec<String>,
}

/// A key server at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Neighbour {
    /// Its name.
    pub id: QksId,
    /// Whether it answers.
    pub up: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_because: Option<String>,
    /// Key material shared with it.
    pub stock: Stock,
}

/// Key material that is shared with a neighbour and not given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stock {
    /// What can be given out here now.
    pub ready_bytes: u64,
    /// What could be given out here, once the neighbour has confirmed it.
    pub unconfirmed_bytes: u64,
    /// What the neighbour gives out.
    pub neighbours_bytes: u64,
}

/// A link to a neighbour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Its name.
    pub id: LinkId,
    /// Where it leads.
    pub neighbour: QksId,
    /// How much it lets the stock with the neighbour hold. Links to one neighbour add up; when the stock holds so much, sources wait.
    pub capacity_bytes: u64,
    /// Key material that has come over it since the start.
    pub taken_in_bytes: u64,
    /// Whether it stands in the configuration. Others were registered.
    pub configured: bool,
    /// Whether its sources are at work.
    pub attached: bool,
    /// Where its keys come from, in the order of the configuration. None while it is detached.
    pub sources: Vec<Source>,
}

/// A link, and what it was registered with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkDetails {
    /// The link.
    #[serde(flatten)]
    pub link: Link,
    /// What it was registered with, if it does not stand in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<LinkRegistration>,
}

/// A link that is not in the configuration: its QKD modules, and where they lead. The fields are those of `[[links]]` in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRegistration {
    /// Where it leads: one of the neighbours in the configuration.
    pub neighbour: QksId,
    /// How much it lets the stock with the neighbour hold, in MiB; 1024 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_048_576)]
    pub capacity_mib: Option<u64>,
    /// How long its key material is good for; `7d` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "7d")]
    pub lifetime: Option<String>,
    /// Its sources, in the same order at both ends: objects with the fields of `[[links.sources]]`. Files are named, and lie with the
    /// server; secrets are named, too.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 16, example = json!([{ "kind": "keyfile", "directory": "keys/from-device" }]))]
    pub sources: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Whether the sources of a link are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Whether they are.
    pub attached: bool,
}

/// A source of key material.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its kind, as the configuration has it.
    #[schema(example = "bb84")]
    pub kind: String,
    /// How it is.
    #[serde(flatten)]
    pub state: SourceState,
    /// What the channels of simulated QKD links are like: of this source, or of those that a `hybrid` is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
}

/// What a simulated channel is like, and who listens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Pulses that the sender emits in a second.
    #[schema(minimum = 1, maximum = 10_000_000_000_u64)]
    pub pulses_per_second: u64,
    /// Loss between the two, in dB. Fibre has about 0.2 dB per kilometre.
    #[schema(minimum = 0, maximum = 100)]
    pub loss_db: f64,
    /// Probability that a detector notices a photon that reaches it.
    #[schema(minimum = 0, maximum = 1)]
    pub detector_efficiency: f64,
    /// Probability that one detector clicks for nothing during one pulse.
    #[schema(minimum = 0, maximum = 0.1)]
    pub dark_count_probability: f64,
    /// Probability that a photon measured as it was prepared ends in the wrong detector.
    #[schema(minimum = 0, maximum = 0.5)]
    pub misalignment: f64,
    /// Fraction of the pulses that an eavesdropper measures and sends on as measured (intercept and resend).
    #[schema(minimum = 0, maximum = 1)]
    pub eavesdropper: f64,
}

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// What it is about.
    pub kind: AlarmKind,
    /// What it concerns.
    #[schema(example = "link a-to-b, source 0 (bb84)")]
    pub of: String,
    /// When it began.
    #[schema(format = DateTime)]
    pub since: String,
    /// What is wrong.
    #[schema(example = "25.1 % of the bits are wrong, more than 8.0 %: somebody may be listening")]
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// What an alarm is about. The gravest come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Too many bits are wrong: somebody may be listening.
    Qber,
    /// The database does not answer.
    DatabaseUnavailable,
    /// The Vault does not answer, or is sealed.
    VaultUnavailable,
    /// A neighbour does not answer.
    NeighbourUnreachable,
    /// A source gives no keys, though there is room for them.
    SourceFailed,
    /// There is less key material than one request may take.
    StockLow,
}

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Qber,
        Self::DatabaseUnavailable,
        Self::VaultUnavailable,
        Self::NeighbourUnreachable,
        Self::SourceFailed,
        Self::StockLow,
    ];
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qber => "qber",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::VaultUnavailable => "vault_unavailable",
            Self::NeighbourUnreachable => "neighbour_unreachable",
            Self::SourceFailed => "source_failed",
            Self::StockLow => "stock_low",
        })
    }
}

/// The key server at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The server's name.
    pub id: QksId,
    /// Applications that are registered here.
    pub saes: usize,
    /// Keys that applications have got since the start.
    pub keys_delivered: u64,
    /// The key servers at the other ends of its links.
    pub neighbours: Vec<Neighbour>,
    /// Its links.
    pub links: Vec<Link>,
    /// What an operator should look at, the gravest first.
    pub alarms: Vec<Alarm>,
}

/// A way to another key server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Where it leads.
    pub to: QksId,
    /// The key servers on it, from this one on.
    pub path: Vec<QksId>,
    /// The sum of the costs of its links.
    pub cost: u32,
    /// Free key bits of the link that has fewest.
    pub free_bits: u64,
    /// The applications at its end.
    pub saes: Vec<SaeId>,
}

/// What was, sample by sample, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPage {
    /// Seconds from one sample to the next.
    pub period_s: u64,
    /// The samples.
    pub samples: Vec<HistorySample>,
}

/// What was at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistorySample {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Each link.
    pub links: Vec<LinkSample>,
    /// Each neighbour.
    pub neighbours: Vec<NeighbourSample>,
    /// Keys that applications got since the sample before.
    pub keys_delivered: u64,
}

/// A link at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkSample {
    /// Its name.
    pub id: LinkId,
    /// Key material that came over it since the sample before, in bits per second.
    pub key_bits_per_second: f64,
    /// The largest error ratio of its sources, of those that measure one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qber: Option<f64>,
}

/// A neighbour at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NeighbourSample {
    /// Its name.
    pub id: QksId,
    /// Whether it answered.
    pub up: bool,
    /// Key material shared with it.
    pub stock: Stock,
}
