//! What a node is set to.

use photongate_wire::Nanos;

/// What a node is set to.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Which id a node may have.
    pub ids: IdRule,
    /// Contacts in a bucket: Kademlia's *k*.
    pub bucket: usize,
    /// Contacts beside a full bucket that wait for a place.
    pub replacements: usize,
    /// Ways of a look-up that share no node, each with one query under way: Kademlia's *alpha*, and what keeps one liar from leading
    /// all of it astray.
    pub paths: usize,
    /// On how many nodes a value is stored.
    pub replicas: usize,
    /// Contacts of the same /24 (IPv6: /48) at most.
    pub prefixes: PrefixLimits,
    /// How long things take.
    pub timing: Timing,
    /// How much there may be of things.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ids: IdRule::Free,
            bucket: 20,
            replacements: 8,
            paths: 3,
            replicas: 8,
            prefixes: PrefixLimits::default(),
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }
}

/// Which id a node may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRule {
    /// Any.
    Free,
    /// One that follows from its IP address; see [`crate::Id::fits`].
    Address,
    /// The one that follows from the server name in its certificate: whoever hands in messages proves it, as
    /// [`crate::node::Source::proven`]. Addresses are proven then, too.
    Certificate,
}

/// How many contacts may share a /24 (IPv6: /48); `None` is no limit. Against one network that would surround a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixLimits {
    /// In one bucket. Also in one set of nodes that a value is stored on.
    pub bucket: Option<usize>,
    /// In the whole table.
    pub table: Option<usize>,
}

impl PrefixLimits {
    /// For a network that everybody may join.
    pub const OPEN: Self = Self { bucket: Some(2), table: Some(10) };
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Until a query that was not answered is sent again, and until it is given up after that.
    pub answer: Nanos,
    /// Queries that are sent before a contact counts as silent, the first one counted.
    pub attempts: u32,
    /// How often the node looks after what is due.
    pub upkeep: Nanos,
    /// A bucket in which nothing was looked up for so long is looked after.
    pub refresh: Nanos,
    /// A contact that was not heard for so long is asked whether it lives before anybody relies on it.
    pub stale: Nanos,
    /// A held value that nobody announced for so long is announced by this node.
    pub republish: Nanos,
    /// Who announced a value is forgotten after so long.
    pub expiry: Nanos,
    /// The secret behind the tokens changes so often; a token is good for one to two of these.
    pub token: Nanos,
    /// For so long nothing is heard from who is banned.
    pub ban: Nanos,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Nanos::from_millis(500),
            attempts: 2,
            upkeep: Nanos::from_secs(60),
            refresh: Nanos::from_secs(3_600),
            stale: Nanos::from_secs(1_800),
            republish: Nanos::from_secs(3_600),
            expiry: Nanos::from_secs(2 * 3_600 + 1_800),
            token: Nanos::from_secs(300),
            ban: Nanos::from_secs(3_600),
        }
    }
}

/// How much there may be of things.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a datagram, at most [`crate::message::LARGEST`].
    pub datagram: usize,
    /// Queries under way.
    pub pending: usize,
    /// Look-ups and announcements under way; more wait.
    pub lookups: usize,
    /// Look-ups and announcements that wait; more fail at once.
    pub waiting: usize,
    /// Queries of one look-up.
    pub queries: usize,
    /// Bytes of a value.
    pub value: u64,
    /// Keys whose providers are remembered.
    pub keys: usize,
    /// Providers of one key.
    pub providers: usize,
    /// Announcements of one node: of an address, or of the name in a certificate.
    pub announcements: usize,
    /// Bytes that are fetched or taken because one of them announced them.
    pub announced_bytes: u64,
    /// Values that are fetched at a time because they were announced.
    pub pulls: usize,
    /// Nodes that are banned.
    pub bans: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            datagram: crate::message::LARGEST,
            pending: 4_096,
            lookups: 64,
            waiting: 65_536,
            queries: 96,
            value: 1 << 20,
            keys: 100_000,
            providers: 32,
            announcements: 20_000,
            announced_bytes: 1 << 30,
            pulls: 256,
            bans: 1_024,
        }
    }
}
