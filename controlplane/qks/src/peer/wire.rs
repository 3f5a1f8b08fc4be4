//! Requests between key servers, and their answers.

use serde::{Deserialize, Serialize};

use crate::ids::SaeId;
use crate::key_id::AssignmentId;
use crate::stock::{BlockName, Check};
use crate::store::{Material, ReserveRefusal};

/// Key material that the caller gives out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What the IDs of the keys are made of.
    pub id: AssignmentId,
    /// Pieces of blocks that the caller gives out, and how they are cut into keys.
    pub material: Material,
    /// What for.
    pub purpose: Purpose,
}

/// What key material is given out for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Applications get keys, and those that may fetch them are served by who is asked.
    Keys {
        /// Who asked for the keys.
        master: SaeId,
        /// Who may fetch them.
        takers: Vec<SaeId>,
        /// How long they wait to be fetched, in milliseconds.
        lifetime_ms: u64,
    },
    /// The two servers need one key for one message, which follows soon and names the pieces.
    OneMessage,
}

/// `POST /peer/v1/reserve`. Reservations of one stream come in the order of their pieces.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReserveRequest {
    pub(super) reservations: Vec<Reservation>,
}

/// For each reservation nothing, or why it is refused.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReserveAnswer {
    pub(super) outcomes: Vec<Option<Refusal>>,
}

/// Why a reservation is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The material is not free.
    Material(ReserveRefusal),
    /// The request is not what it should be.
    Request(String),
    /// Nothing can be kept just now.
    Unavailable(String),
}

/// `POST /peer/v1/void`: keys that will not be handed out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct VoidRequest {
    pub(super) ids: Vec<AssignmentId>,
}

/// `POST /peer/v1/blocks`: blocks that the caller gives out, how far, and what they are like.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AnnounceRequest {
    pub(super) blocks: Vec<Announced>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    #[serde(flatten)]
    pub(super) block: BlockName,
    pub(super) used: u32,
    pub(super) check: Check,
}

/// For each block what is known about it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AnnounceAnswer {
    pub(super) blocks: Vec<Known>,
}

/// What a server knows about a block that its neighbour gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It is not there, at least not yet.
    Unknown,
    /// It has other bytes, or another owner: nobody must use it.
    Different,
    /// It is there, and given out up to this byte.
    Used(u32),
}

/// `POST /peer/v1/handover`: the caller would like to give out these blocks, which are not its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HandoverRequest {
    pub(super) blocks: Vec<BlockName>,
}

/// Those of them that are the caller's from now on, or are already. Only what was asked for counts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HandoverAnswer {
    pub(super) blocks: Vec<BlockName>,
}

/// `POST /peer/v1/review`: blocks that count at the caller as the callee's, and not used up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReviewRequest {
    pub(super) blocks: Vec<BlockName>,
}

/// Those of them of which the callee will give nothing out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReviewAnswer {
    /// They are used up.
    pub(super) gone: Vec<BlockName>,
    /// They are the caller's: it was told so, and has not heard it.
    pub(super) callers: Vec<BlockName>,
}

/// Blocks in one announcement.
pub(super) const MOST_ANNOUNCED: usize = 1_024;

/// Reservations in one request.
pub(super) const MOST_RESERVATIONS: usize = 512;

/// Ids in one request to void.
pub(super) const MOST_VOIDED: usize = 2_048;
