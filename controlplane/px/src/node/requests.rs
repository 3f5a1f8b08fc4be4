//! What clients wait for.
//!
//! A proposal may be lost on its way to the leader, or with it. So it is made again, under the same ticket, in every new ballot and
//! after a while; that it is applied once only is seen to by the sessions of the state. Reads wait for a barrier in the log, one for all
//! that came before it was proposed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use omnipaxos::ballot_leader_election::Ballot;

use super::{
    Mutation, Node,
    input::{Consistency, Query, Request, RequestId},
    output::{Answer, Output, Refusal, Reply},
    settings::{Limits, Timing},
};
use crate::{
    command::{Command, Entry, Outcome, Ticket},
    membership::{ConfigurationId, MemberChange},
    state::State,
};

pub(super) struct Requests {
    limits: Limits,
    timing: Timing,
    /// Counts proposals.
    number: u64,
    writes: BTreeMap<u64, Write>,
    weight: usize,
    /// Writes to be proposed as soon as something can be proposed.
    unproposed: VecDeque<u64>,
    /// Writes to be proposed again, and when.
    again: VecDeque<(u64, u64)>,
    /// When writes are given up.
    deadlines: VecDeque<(u64, u64)>,
    /// Reads that came after the barrier was proposed.
    reads: VecDeque<Read>,
    barrier: Option<Barrier>,
    members: Option<ChangeMembers>,
    /// In which ballot of which configuration all that wait were proposed.
    proposed_in: Option<(ConfigurationId, Ballot)>,
}

struct Write {
    id: RequestId,
    entry: Entry,
    proposed: bool,
}

struct Read {
    id: RequestId,
    query: Query,
    deadline: u64,
}

struct Barrier {
    ticket: Ticket,
    reads: VecDeque<Read>,
    again: u64,
}

struct ChangeMembers {
    id: RequestId,
    change: MemberChange,
    again: u64,
    deadline: u64,
}

impl Requests {
    pub(super) fn new(limits: Limits, timing: Timing) -> Self {
        Self {
            limits,
            timing,
            number: 0,
            writes: BTreeMap::new(),
            weight: 0,
            unproposed: VecDeque::new(),
            again: VecDeque::new(),
            deadlines: VecDeque::new(),
            reads: VecDeque::new(),
            barrier: None,
            members: None,
            proposed_in: None,
        }
    }

    /// How many writes wait for agreement.
    pub(super) fn writes(&self) -> usize {
        self.writes.len()
    }

    /// Whether nobody waits for agreement.
    pub(super) fn is_empty(&self) -> bool {
        self.writes() == 0 && self.reads() == 0 && self.members.is_none()
    }

    /// How many reads wait for agreement.
    pub(super) fn reads(&self) -> usize {
        self.reads.len() + self.barrier.as_ref().map_or(0, |barrier| barrier.reads.len())
    }

    /// One of this node's proposals was applied.
    pub(super) fn applied(
        &mut self,
        entry: &Entry,
        outcome: Option<Outcome>,
        state: &State,
        outputs: &mut Vec<Output>,
    ) {
        let ticket = entry.ticket();
        if let Some(outcome) = outcome {
            if let Some(write) = self.remove(ticket.number) {
                outputs.push(Output::Reply { id: write.id, reply: Reply::Done(outcome) });
            }
            return;
        }
        if let Some(barrier) = self.barrier.take_if(|barrier| barrier.ticket == ticket) {
            outputs.extend(barrier.reads.iter().map(|read| Output::Reply {
                id: read.id,
                reply: Reply::Read { answer: answer(state, &read.query), revision: state.revision(), age_ticks: None },
            }));
        }
    }

    fn remove(&mut self, number: u64) -> Option<Write> {
        let write = self.writes.remove(&number)?;
        self.weight -= write.entry.weight();
        Some(write)
    }

    fn ticket(&mut self, node: crate::command::Pid, boot: u64) -> Ticket {
        self.number += 1;
        Ticket { node, boot, number: self.number }
    }

    /// In a new ballot, everything is proposed anew: what was proposed in the last one may be lost.
    fn begin(&mut self, configuration: ConfigurationId, ballot: Ballot, tick: u64) {
        if self.proposed_in == Some((configuration, ballot)) {
            return;
        }
        self.proposed_in = Some((configuration, ballot));
        self.again.clear();
        self.unproposed = self.writes.keys().copied().collect();
        if let Some(barrier) = &mut self.barrier {
            barrier.again = tick;
        }
        if let Some(members) = &mut self.members {
            members.again = tick;
        }
    }
}

impl Node {
    pub(super) fn requested(&mut self, id: RequestId, request: Request) {
        match self.admit(id, request) {
            Ok(()) => {}
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    fn admit(&mut self, id: RequestId, request: Request) -> Result<(), Refusal> {
        let Some(cluster) = &self.cluster else { return Err(Refusal::NotAMember) };
        if let Request::Read { query, consistency } = &request
            && (*consistency == Consistency::Stale || self.mutations.has(Mutation::ReadWithoutBarrier))
        {
            let answer = answer(&cluster.state, query);
            let (revision, age_ticks) = (cluster.state.revision(), self.leader_age());
            let reply = Reply::Read { answer, revision, age_ticks };
            self.outbox.outputs.push(Output::Reply { id, reply });
            return Ok(());
        }
        let Some(instance) = &cluster.instance else { return Err(Refusal::NotAMember) };
        if self.hand_over_since.is_some() {
            return Err(Refusal::Stopping);
        }
        let deadline = self.ticks + self.requests.timing.deadline_ticks;
        let me = instance.me();
        match request {
            Request::Write { client, sequence, author, change } => {
                let ticket = self.requests.ticket(me, self.boot);
                let command = Command { ticket, client, sequence, author, time: self.now, change };
                self.admit_write(id, Entry::Command(Arc::new(command)), deadline)
            }
            Request::Read { query, .. } => {
                if self.requests.reads() >= self.requests.limits.pending {
                    return Err(Refusal::Busy);
                }
                self.requests.reads.push_back(Read { id, query, deadline });
                Ok(())
            }
            Request::ChangeMembers(change) => {
                if self.requests.members.is_some() {
                    return Err(Refusal::Busy);
                }
                self.requests.members = Some(ChangeMembers { id, change, again: self.ticks, deadline });
                Ok(())
            }
        }
    }

    fn admit_write(&mut self, id: RequestId, entry: Entry, deadline: u64) -> Result<(), Refusal> {
        let requests = &mut self.requests;
        let weight = entry.weight();
        if requests.writes.len() >= requests.limits.pending || requests.weight + weight > requests.limits.pending_bytes
        {
            return Err(Refusal::Busy);
        }
        let number = entry.ticket().number;
        requests.weight += weight;
        requests.writes.insert(number, Write { id, entry, proposed: false });
        requests.unproposed.push_back(number);
        requests.deadlines.push_back((deadline, number));
        Ok(())
    }

    /// Proposes what waits for it, if something can be proposed now.
    pub(super) fn propose(&mut self) {
        self.propose_members();
        let Some(cluster) = &mut self.cluster else { return };
        let Some(instance) = &mut cluster.instance else { return };
        let Some(ballot) = instance.open_ballot() else { return };
        let requests = &mut self.requests;
        requests.begin(cluster.membership.configuration, ballot, self.ticks);
        let again = self.ticks + requests.timing.retry_ticks;
        for number in std::mem::take(&mut requests.unproposed) {
            if let Some(write) = requests.writes.get_mut(&number) {
                write.proposed = true;
                instance.propose(write.entry.clone());
                requests.again.push_back((again, number));
            }
        }
        // What a leader proposes itself is in its log, and stays there as long as it leads.
        let lossy = !instance.leads();
        while requests.again.front().is_some_and(|(due, _)| *due <= self.ticks) {
            let (_, number) = requests.again.pop_front().expect("one was just looked at");
            if lossy && let Some(write) = requests.writes.get(&number) {
                instance.propose(write.entry.clone());
                requests.again.push_back((again, number));
            }
        }
        if let Some(barrier) = requests.barrier.as_mut().filter(|barrier| barrier.again <= self.ticks) {
            barrier.again = again;
            instance.propose(Entry::Barrier(barrier.ticket));
        }
        if requests.barrier.is_none() && !requests.reads.is_empty() {
            let ticket = requests.ticket(instance.me(), self.boot);
            let reads = std::mem::take(&mut requests.reads);
            requests.barrier = Some(Barrier { ticket, reads, again });
            instance.propose(Entry::Barrier(ticket));
        }
    }

    fn propose_members(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        let Some(members) = &mut self.requests.members else { return };
        if cluster.membership.fulfils(&members.change) {
            let reply = Reply::MembersChanged(cluster.membership.clone());
            self.outbox.outputs.push(Output::Reply { id: members.id, reply });
            self.requests.members = None;
            return;
        }
        let Some(instance) = &mut cluster.instance else { return };
        if members.again > self.ticks || instance.open_ballot().is_none() {
            return;
        }
        members.again = self.ticks + self.settings.timing.retry_ticks;
        match cluster.membership.changed(&members.change) {
            Ok(next) => instance.propose_members(&next),
            Err(bad) => {
                let id = members.id;
                self.requests.members = None;
                self.refuse(id, Refusal::Members(bad));
            }
        }
    }

    /// Gives up what has waited too long.
    pub(super) fn expire_requests(&mut self) {
        let tick = self.ticks;
        while self.requests.deadlines.front().is_some_and(|(deadline, _)| *deadline <= tick) {
            let (_, number) = self.requests.deadlines.pop_front().expect("one was just looked at");
            if let Some(write) = self.requests.remove(number) {
                self.refuse(write.id, if write.proposed { Refusal::Unknown } else { Refusal::NoMajority });
            }
        }
        let mut expired = Vec::new();
        let requests = &mut self.requests;
        for reads in
            requests.barrier.as_mut().map(|barrier| &mut barrier.reads).into_iter().chain([&mut requests.reads])
        {
            while let Some(read) = reads.pop_front_if(|read| read.deadline <= tick) {
                expired.push(read.id);
            }
        }
        for id in expired {
            self.refuse(id, Refusal::NoMajority);
        }
        if let Some(members) = self.requests.members.take_if(|members| members.deadline <= tick) {
            self.refuse(members.id, Refusal::Unknown);
        }
    }

    /// Ticks since this node last heard of a leader; none if it never did.
    fn leader_age(&self) -> Option<u64> {
        let cluster = self.cluster.as_ref()?;
        let leader = cluster.leader()?;
        let heard_at = if leader == self.settings.name {
            // A leader knows that it is one as long as it hears of a majority.
            let others = cluster.membership.members.iter().filter(|member| member.name != leader);
            let mut heard: Vec<_> = others.filter_map(|member| self.links.heard_at(&member.name)).collect();
            heard.sort_unstable_by(|one, other| other.cmp(one));
            heard.get((cluster.membership.members.len() / 2).checked_sub(1)?).copied()
        } else {
            self.links.heard_at(&leader)
        };
        heard_at.map(|tick| self.ticks - tick)
    }

    fn refuse(&mut self, id: RequestId, refusal: Refusal) {
        self.outbox.outputs.push(Output::Reply { id, reply: Reply::Refused(refusal) });
    }
}

fn answer(state: &State, query: &Query) -> Answer {
    match query {
        Query::Document(name) => Answer::Document(state.document(name).cloned()),
        Query::List { prefix, after, limit } => Answer::List(
            state
                .list(prefix, after.as_ref())
                .take(*limit)
                .map(|(name, document)| (name.clone(), Arc::clone(document)))
                .collect(),
        ),
    }
}
