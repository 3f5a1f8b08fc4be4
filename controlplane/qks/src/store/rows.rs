//! What is stored, as the rest of the program sees it.

use std::fmt;

use photongate_wire::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::ids::{LinkId, QksId, SaeId};
use crate::key_id::AssignmentId;
use crate::stock::{BlockName, BlockState, Piece};

/// A block to be kept.
pub struct NewBlock {
    /// Its name.
    pub name: BlockName,
    /// All that decides about it.
    pub state: BlockState,
    /// Who has it, too.
    pub neighbour: QksId,
    /// The link it came over.
    pub link: LinkId,
    /// Its bytes, sealed.
    pub sealed: Vec<u8>,
}

/// A block that is kept, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its name.
    pub name: BlockName,
    /// All that decides about it.
    pub state: BlockState,
    /// Who has it, too.
    pub neighbour: QksId,
    /// The link it came over.
    pub link: LinkId,
}

/// Why an end will give nothing out of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standstill {
    /// It is used up, or was thrown away.
    Gone,
    /// The other end is to give it out.
    OtherEnds,
}

/// Keys that wait for those who may fetch them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// What the IDs of its keys are made of.
    pub id: AssignmentId,
    /// Who asked for the keys.
    pub master: SaeId,
    /// Who may fetch them, each once.
    pub takers: Vec<SaeId>,
    /// What the keys are.
    pub material: Material,
    /// When they are thrown away.
    pub expires_at: UnixNanos,
}

/// What keys are made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// How long each key is, in bytes.
    pub key_bytes: u32,
    /// How many there are.
    pub count: u16,
    /// The bytes of all keys, one after the other, in blocks. Empty if they are in `sealed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Piece>,
    /// The bytes of all keys, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_bytes")]
    pub sealed: Option<Vec<u8>>,
}

/// A request for keys by their IDs.
#[derive(Debug)]
pub struct Take {
    /// Who wants them.
    pub taker: SaeId,
    /// Who asked for them first.
    pub master: SaeId,
    /// Which ones, no one twice.
    pub keys: Vec<(AssignmentId, u16)>,
    /// What time it is.
    pub now: UnixNanos,
    /// Where the answer is to be kept, in the same transaction, if the caller may ask again. Its rows are filled in.
    pub remember: Option<Answer>,
}

/// Keys that were taken out, in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRows {
    /// The assignments they are from.
    pub rows: Vec<RowOfKeys>,
    /// For each key the place of its row, and its index there.
    pub keys: Vec<(usize, u16)>,
}

/// Keys of one assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowOfKeys {
    /// Which assignment.
    pub id: AssignmentId,
    /// What its keys are made of.
    pub material: Material,
}

/// An answer that a caller may ask for again, without the keys themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who asked.
    pub caller: String,
    /// What the caller called the request.
    pub name: String,
    /// What the request was, so that another one under the same name is noticed.
    pub digest: String,
    /// What was answered.
    pub rows: KeyRows,
    /// When it is forgotten.
    pub expires_at: UnixNanos,
}

impl Material {
    /// How many bytes all keys have together.
    pub fn bytes(&self) -> u64 {
        u64::from(self.key_bytes) * u64::from(self.count)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key_bytes, count, pieces, .. } = self;
        write!(f, "Material({count} keys of {key_bytes} bytes, {pieces:?})")
    }
}

impl fmt::Debug for NewBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBlock").field("name", &self.name).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Bytes that may be absent, as base64 (RFC 4648, section 4).
pub(crate) mod base64_bytes {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&BASE64_STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| BASE64_STANDARD.decode(text).map_err(de::Error::custom)).transpose()
    }
}
