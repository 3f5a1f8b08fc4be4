//! What the interface says, as it stands in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use photongate_net::rfc3339;
use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::command::{self, Name, Revision};
use crate::membership::Membership;
use crate::node::Changed;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// Its name.
    #[schema(example = "as-list")]
    pub name: String,
    /// How often it was written; never the same twice for one name.
    pub generation: u64,
    /// Where in the log it was last written.
    pub revision: u64,
    /// Who wrote it.
    pub author: String,
    /// When, by the clock of the node that took the command.
    #[schema(format = DateTime)]
    pub time: String,
    /// What it says, if that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it says in Base64, if it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Up to where in the log the answering node knows; left out in lists and events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_up_to: Option<u64>,
}

impl Document {
    /// The document of this name.
    pub fn of(name: &Name, document: &command::Document) -> Self {
        let bytes = document.value.as_bytes();
        let text = std::str::from_utf8(bytes).ok();
        Self {
            name: name.to_string(),
            generation: document.generation.0,
            revision: document.revision.0,
            author: document.author.to_string(),
            time: rfc3339(UnixNanos(document.time.0.saturating_mul(1_000_000))),
            value: text.map(str::to_owned),
            base64: text.is_none().then(|| STANDARD.encode(bytes)),
            known_up_to: None,
        }
    }
}

/// Several documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Documents {
    /// In the order of their names.
    pub documents: Vec<Document>,
    /// Whether there may be more: ask again for those after the last one.
    pub more: bool,
    /// Up to where in the log the answering node knows. A watch from here misses nothing.
    pub known_up_to: u64,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Made {
    /// The generation of the document now; left out if it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Where in the log the change is.
    pub revision: u64,
}

/// A client that counts its commands itself, so that it may ask again for one without having it made twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// To be sent with each command.
    pub client: String,
}

/// A change that a watch saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// The document was written.
    Put(Document),
    /// It was removed.
    Delete {
        /// Its name.
        name: String,
        /// Where in the log that is.
        revision: u64,
    },
}

impl Change {
    /// What a watch saw.
    pub fn of(changed: &Changed) -> Self {
        match &changed.document {
            Some(document) => Self::Put(Document::of(&changed.name, document)),
            None => Self::Delete { name: changed.name.to_string(), revision: changed.revision.0 },
        }
    }
}

/// Who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Members {
    /// Which cluster it is.
    pub cluster: String,
    /// Counts the changes of its members, from 1.
    pub configuration: u32,
    /// Its members.
    pub members: Vec<Member>,
}

/// One who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The name in its certificate.
    pub name: String,
    /// Its number, never given to anybody else.
    pub pid: u64,
    /// Its disk.
    pub store: String,
    /// Where the others reach it, if it came in at an address; else their configurations say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl From<&Membership> for Members {
    fn from(membership: &Membership) -> Self {
        let member = |member: &crate::membership::Member| Member {
            name: member.name.to_string(),
            pid: member.pid.0,
            store: member.store.to_string(),
            address: member.address.as_deref().map(str::to_owned),
        };
        Self {
            cluster: membership.cluster.to_string(),
            configuration: membership.configuration.0,
            members: membership.members.iter().map(member).collect(),
        }
    }
}

/// Which document, and what it must be like.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WriteQuery {
    /// The name of the document: 1 to 256 printable characters without blanks.
    #[param(example = "as-list", min_length = 1, max_length = 256)]
    pub name: String,
    /// Only if the document has this generation; 0: only if there is none.
    pub expected: Option<u64>,
    /// The id of a registered client, with `sequence`.
    #[param(example = "000000000000feed0000000000000007")]
    pub client: Option<String>,
    /// The client's number of this command: larger than those of its earlier ones, the same when it asks again.
    pub sequence: Option<u64>,
}

/// Which document.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// The name of the document.
    #[param(example = "as-list", min_length = 1, max_length = 256)]
    pub name: String,
    /// Whether what this node knows will do, however old it is. Works without a majority.
    #[serde(default)]
    pub stale: bool,
}

/// Which documents.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// With which their names begin.
    #[serde(default)]
    pub prefix: String,
    /// Only those behind this name.
    pub after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// Whether what this node knows will do, however old it is. Works without a majority.
    #[serde(default)]
    pub stale: bool,
}

/// Which changes.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// With which the names of the documents begin.
    #[serde(default)]
    pub prefix: String,
    /// Those behind this revision; from now on if it is left out.
    pub from: Option<u64>,
}

impl WatchQuery {
    /// Behind which revision.
    pub fn from(&self) -> Option<Revision> {
        self.from.map(Revision)
    }
}
