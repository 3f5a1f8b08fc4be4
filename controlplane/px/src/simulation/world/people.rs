//! Whoever asks the nodes: clients, who wait for answers, and operators, who do not.

use super::{Event, World};
use crate::{
    membership::MemberChange,
    node::{Input, Reply, RequestId},
    simulation::clients::Next,
};

impl World {
    /// An operator asks a node to change the members. Nobody waits for the answer.
    pub(in crate::simulation) fn change_members(&mut self, host: usize, change: MemberChange) {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.tell(host, Input::Request { id, request: crate::node::Request::ChangeMembers(change) });
    }

    pub(super) fn ask(&mut self, client: usize) {
        let request = self.clients[client].ask(self.now, &mut self.history, &mut self.random);
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.requests.insert(id, client);
        let host = self.random.index(self.hosts.len());
        self.tell(host, Input::Request { id, request });
        self.schedule(1_500_000, Event::GivesUp { client, request: id });
    }

    pub(super) fn client_is_told(&mut self, client: usize, reply: Option<Reply>) {
        let waited_in_vain = reply.is_none();
        let (next, acknowledged) = self.clients[client].told(reply, self.now, &mut self.history);
        if let Some((id, sequence, outcome)) = acknowledged {
            self.oracle.acknowledged(id, sequence, outcome);
            if std::mem::take(&mut self.faults.power_cut_is_due) {
                self.power_cut();
            }
        }
        let pause = match next {
            Next::Again if waited_in_vain => 1..2_000,
            Next::Again => 10_000..80_000,
            Next::Something => 1..30_000,
        };
        let after = self.random.within(pause);
        self.schedule(after, Event::Asks { client });
    }
}
