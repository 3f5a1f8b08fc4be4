//! What a list is checked against: the filter it is for.

use photongate_drkey::{KeyTimes, Protocol};
use photongate_wire::IsdAs;

use super::AsList;

/// What is known of the filter that a list is for. The default knows nothing, and checks the list by itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// The filter's own AS, which cannot be a peer. `None` if it is not known.
    pub local: Option<IsdAs>,
    /// The DRKey protocol of peers that name none.
    pub default_protocol: Protocol,
    /// What secrets must leave room for. `None` if it is not known.
    pub times: Option<KeyTimes>,
    /// How many peers there may be.
    pub max_peers: u32,
    /// The smallest MTU of the filter's ports, in bytes: IPv6 needs 1280.
    pub least_mtu: u16,
    /// Whether the filter has a key server to ask. `None` if it is not known.
    pub has_key_server: Option<bool>,
    /// What `held = true` stands for.
    pub held: Held<'c>,
    /// What becomes of secrets in files.
    pub secret_files: SecretFiles,
}

/// What a secret that is written as `held = true` stands for.
#[derive(Clone, Copy, Debug, Default)]
pub enum Held<'c> {
    /// Nothing: it is a mistake.
    #[default]
    Nothing,
    /// The secret that the same peer has in this list, with the same `not_before`.
    By(&'c AsList),
    /// A secret that nobody here knows. Lists read like this can be compared; they must not be put in force.
    Unknown,
    /// As [`By`](Self::By) where the list has such a secret, else as [`Unknown`](Self::Unknown).
    ByOrUnknown(&'c AsList),
}

/// What becomes of a file that is named in the place of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretFiles {
    /// It must hold a secret now.
    #[default]
    Check,
    /// It is not looked at, as at a restart with a list that was in force before: its disk may come later.
    Trust,
    /// It must not be named, as by those who send a list from elsewhere: files of this machine are none of their business.
    Refuse,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self {
            local: None,
            default_protocol: DEFAULT_PROTOCOL,
            times: None,
            max_peers: u32::MAX,
            least_mtu: u16::MAX,
            has_key_server: None,
            held: Held::Nothing,
            secret_files: SecretFiles::Check,
        }
    }
}

/// LightningFilter's, and that of a filter whose configuration names none.
pub const DEFAULT_PROTOCOL: Protocol = Protocol(3);
