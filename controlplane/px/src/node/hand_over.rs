//! A node that is to stop and leads has another one lead first.

use super::{Node, message::PeerMessage, output::Output};
use crate::membership::NodeName;

impl Node {
    /// Tries to make somebody else the leader, or says that it is done.
    pub(super) fn tick_hand_over(&mut self) {
        let Some(since) = self.hand_over_since else { return };
        let waited = self.ticks - since;
        let timing = self.settings.timing;
        if waited > timing.deadline_ticks || (!self.leads() && self.requests.writes() == 0) {
            self.hand_over_since = None;
            self.outbox.outputs.push(Output::HandedOver);
        } else if self.leads()
            && waited % timing.retry_ticks == 1
            && let Some(successor) = self.successor()
        {
            self.send(&successor, PeerMessage::Lead);
        }
    }

    /// The connected member that has most of the log.
    fn successor(&self) -> Option<NodeName> {
        let cluster = self.cluster.as_ref()?;
        let accepted = cluster.instance.as_ref()?.accepted_by_others();
        let connected = accepted.into_iter().filter_map(|(pid, places)| {
            let name = &cluster.membership.by_pid(pid)?.name;
            self.links.is_connected(name).then_some((places, name))
        });
        connected.max().map(|(_, name)| name.clone())
    }
}
