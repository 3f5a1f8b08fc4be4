//! What a node is set to.

use std::collections::BTreeSet;

use crate::{
    command::Entry,
    membership::{Membership, NodeName},
    storage::Acceptor,
};

/// What a node is set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in its certificate.
    pub name: NodeName,
    /// The names of the other configured servers: with them the cluster is founded.
    pub servers: BTreeSet<NodeName>,
    /// How long things take.
    pub timing: Timing,
    /// How much there may be of things.
    pub limits: Limits,
}

/// How long things take, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A round of heartbeats. A leader that dies is replaced after two to three of them.
    pub election_ticks: u64,
    /// Until a message of the agreement that was not answered is sent again.
    pub resend_ticks: u64,
    /// Until a command that the leader should have is sent to it again.
    pub retry_ticks: u64,
    /// Until who asked is told that there is no agreement.
    pub deadline_ticks: u64,
    /// Until a part of the state that does not come is asked for elsewhere.
    pub fetch_ticks: u64,
}

impl Default for Timing {
    /// For ticks of 10 ms.
    fn default() -> Self {
        Self { election_ticks: 5, resend_ticks: 20, retry_ticks: 50, deadline_ticks: 300, fetch_ticks: 50 }
    }
}

/// How much there may be of things.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests of this node that wait for agreement, each of writes and reads; more are refused as busy.
    pub pending: usize,
    /// Bytes that its waiting writes may weigh.
    pub pending_bytes: usize,
    /// Bytes that the log may weigh in memory before proposals of others are passed over; they try again.
    pub log_bytes: usize,
    /// So many applied entries make the node write its state and trim the log.
    pub unwritten_entries: usize,
    /// So many bytes of applied entries make the node write its state and trim the log.
    pub unwritten_bytes: usize,
    /// So many entries are kept then for nodes that are a little behind.
    pub kept_entries: usize,
    /// At most so many bytes of entries are kept then.
    pub kept_bytes: usize,
    /// About so many bytes make a part of the state that is sent to another node.
    pub part_bytes: usize,
    /// Clients that are remembered. The same on all nodes, or their states differ.
    pub clients: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending: 4_096,
            pending_bytes: 2 << 20,
            log_bytes: 8 << 20,
            unwritten_entries: 10_000,
            unwritten_bytes: 2 << 20,
            kept_entries: 1_000,
            kept_bytes: 1 << 20,
            part_bytes: 512 << 10,
            clients: 10_000,
        }
    }
}

impl Limits {
    /// How many entries, and of which weight, a member counts as applied before it has applied any. Each has another share of what
    /// makes it write its state, so that they do not all do that at the same moment: the others go on meanwhile.
    pub(super) fn head_start(&self, membership: &Membership, me: &NodeName) -> (usize, usize) {
        let members = &membership.members;
        let place = members.iter().position(|member| member.name == *me).unwrap_or(0);
        let share = |whole: usize| whole / members.len().max(1) * place;
        (share(self.unwritten_entries), share(self.unwritten_bytes))
    }

    /// The place from which on the log is kept when the state up to `applied` is written.
    pub(super) fn keep_from(&self, acceptor: &Acceptor, applied: u64) -> u64 {
        let mut bytes = 0;
        let mut from = applied;
        while from > acceptor.start && applied - from < self.kept_entries as u64 {
            bytes += acceptor.entry(from - 1).map_or(0, Entry::weight);
            if bytes > self.kept_bytes {
                break;
            }
            from -= 1;
        }
        from
    }
}
