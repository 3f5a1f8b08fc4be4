//! What a node says of itself.

use serde::Serialize;

use super::{Node, instance::Instance};
use crate::{
    command::{Pid, Revision},
    membership::{Membership, NodeName, StoreId},
};

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name.
    pub name: NodeName,
    /// Its disk.
    pub store: StoreId,
    /// The number under which it votes; none if it does not.
    pub pid: Option<Pid>,
    /// Who votes; none before the cluster is founded.
    pub membership: Option<Membership>,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeName>,
    /// The number of the ballot that it follows.
    pub ballot: u32,
    /// Up to where its state is.
    pub revision: Revision,
    /// Up to where it has accepted the log.
    pub accepted: Revision,
    /// How many entries of the log it keeps.
    pub log_entries: usize,
    /// About how many bytes they take.
    pub log_bytes: usize,
    /// How many documents there are.
    pub documents: usize,
    /// How many clients are remembered.
    pub clients: usize,
    /// How many of its writes wait for agreement.
    pub pending_writes: usize,
    /// How many of its reads wait for agreement.
    pub pending_reads: usize,
    /// Whether it takes over the state of another node at the moment.
    pub catching_up: bool,
    /// The peers that are connected.
    pub connected: Vec<NodeName>,
}

impl Node {
    /// How the node is.
    #[must_use]
    pub fn status(&self) -> Status {
        let cluster = self.cluster.as_ref();
        let instance = cluster.and_then(|cluster| cluster.instance.as_ref());
        let accepted = |cluster: &super::Cluster| {
            Revision(cluster.membership.base.0 + cluster.log.read(crate::storage::Acceptor::accepted))
        };
        Status {
            name: self.settings.name.clone(),
            store: self.store,
            pid: instance.map(Instance::me),
            membership: cluster.map(|cluster| cluster.membership.clone()),
            leader: self.leader.clone(),
            ballot: instance.map_or(0, |instance| instance.ballot().n),
            revision: cluster.map_or(Revision(0), |cluster| cluster.state.revision()),
            accepted: cluster.map_or(Revision(0), accepted),
            log_entries: cluster.map_or(0, |cluster| cluster.log.read(|acceptor| acceptor.entries.len())),
            log_bytes: cluster.map_or(0, |cluster| cluster.log.weight()),
            documents: cluster.map_or(0, |cluster| cluster.state.documents()),
            clients: cluster.map_or(0, |cluster| cluster.state.clients()),
            pending_writes: self.requests.writes(),
            pending_reads: self.requests.reads(),
            catching_up: self.fetching.is_some(),
            connected: self.links.connected_peers(),
        }
    }

    /// A hash over the state and its revision: equal where both are. Takes time in proportion to the state.
    #[must_use]
    pub fn digest(&self) -> Option<(Revision, u128)> {
        self.cluster.as_ref().map(|cluster| (cluster.state.revision(), cluster.state.digest()))
    }

    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.cluster.as_ref().and_then(|cluster| cluster.instance.as_ref()).is_some_and(Instance::leads)
    }
}
