//! What a node wants done, and what of it must wait for the disk.

use std::collections::VecDeque;

use omnipaxos::messages::Message;
use omnipaxos::messages::ballot_leader_election::{BLEMessage, HeartbeatMsg};

use super::{
    Node,
    message::{Envelope, PeerMessage},
    output::{BatchId, Notice, Output},
};
use crate::{
    command::{Entry, Pid},
    membership::{ConfigurationId, NodeName},
};

/// What is to go out, and what must wait for the disk before it may.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) outputs: Vec<Output>,
    ready: Vec<(NodeName, Message<Entry>)>,
    held: VecDeque<Held>,
    issued: BatchId,
    pub(super) persisted: BatchId,
}

impl Outbox {
    fn next_batch(&self) -> BatchId {
        BatchId(self.issued.0 + 1)
    }

    /// The batch that has everything which was written so far; `urgent` says that some of it was not handed out yet.
    pub(super) fn next_batch_if(&self, urgent: bool) -> BatchId {
        if urgent { self.next_batch() } else { self.issued }
    }
}

impl Node {
    /// Takes what OmniPaxos says, and sends it or keeps it until what it depends on is on disk.
    pub(super) fn collect_messages(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        let Some(instance) = &mut cluster.instance else { return };
        let configuration = cluster.membership.configuration;
        let depends_on = self.outbox.next_batch_if(cluster.log.is_urgent());
        let begun = instance.begun();
        for message in instance.take_messages() {
            let Some(peer) = cluster.membership.by_pid(Pid(message.get_receiver())).map(|member| member.name.clone())
            else {
                continue;
            };
            let until = if self.mutations.may_leave_early(&message) { begun } else { depends_on };
            if until <= self.outbox.persisted {
                self.outbox.ready.push((peer, message));
            } else {
                self.outbox.held.push_back(Held { until, peer, configuration, message });
            }
        }
        for (peer, message) in std::mem::take(&mut self.outbox.ready) {
            self.send_envelope(&peer, configuration, message);
        }
    }

    /// Hands out the next batch, unless one is being written.
    pub(super) fn hand_out_batch(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        if self.outbox.issued != self.outbox.persisted || !cluster.log.is_urgent() {
            return;
        }
        self.outbox.issued = self.outbox.next_batch();
        let batch = self.outbox.issued;
        if let Some(instance) = &mut cluster.instance {
            instance.batch_handed_out(batch);
        }
        let operations = self.mutations.written(cluster.log.take_operations());
        self.outbox.outputs.push(Output::Persist { batch, operations });
    }

    pub(super) fn persisted(&mut self, batch: BatchId) {
        self.outbox.persisted = batch;
        if let Some(instance) = self.instance() {
            instance.persisted(batch);
        }
        while self.outbox.held.front().is_some_and(|held| held.until <= batch) {
            let held = self.outbox.held.pop_front().expect("one was just looked at");
            self.send_envelope(&held.peer, held.configuration, held.message);
        }
    }

    pub(super) fn send(&mut self, peer: &NodeName, message: PeerMessage) {
        if self.links.is_connected(peer) {
            self.outbox.outputs.push(Output::Send { peer: peer.clone(), message });
        }
    }

    fn send_envelope(&mut self, peer: &NodeName, configuration: ConfigurationId, message: Message<Entry>) {
        if let Some(stamp) = self.links.stamp(peer, self.boot) {
            if is_heartbeat_request(&message) {
                self.links.asks(peer, self.ticks);
            }
            self.send(peer, PeerMessage::Paxos(Box::new(Envelope { configuration, stamp, message })));
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.outbox.outputs.push(Output::Notice(notice));
    }
}

/// Whether the message is to be answered at once by whoever lives.
fn is_heartbeat_request(message: &Message<Entry>) -> bool {
    matches!(message, Message::BLE(BLEMessage { msg: HeartbeatMsg::Request(_), .. }))
}

/// A message that must not leave before a batch is on disk.
struct Held {
    until: BatchId,
    peer: NodeName,
    configuration: ConfigurationId,
    message: Message<Entry>,
}
