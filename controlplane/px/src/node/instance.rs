//! OmniPaxos for one configuration, and what it must not see.
//!
//! OmniPaxos trusts its caller in some things; this is where they are seen to:
//!
//! - It counts the leader's own vote as soon as the entry is in memory. So what others accepted is reported to it only up to where this
//!   node's own log is on disk, or up to where a majority of others have accepted: then the own vote does not matter, and a leader whose
//!   disk is slow holds up nobody.
//! - It answers a node that is behind from the log, even if the log begins later. Such messages are not handed in; who sent them is
//!   told to fetch the state ([`Heard::PeerIsBehind`]).
//! - It takes for granted that who accepted something in the last round has nothing decided that its leader of then did not have. A
//!   node that took over the state has. So a leader hears only from where on such a node lacks the log.
//! - It counts a stop-sign twice when it brings a node up to date that already has it. The index is set right before it is handed in.
//! - It leaves alone a member that has promised a larger ballot than the leader's, as after a candidacy that came to nothing: as long as
//!   all others are content, that member gets nothing any more. So it is made to say so, and the leader rises above its ballot.
//! - It passes over a leader that asks for a promise again which it has, as when a follower asked to be brought up to date twice. The
//!   leader would ask for ever, and send nothing else. So the promise is given again.
//! - It buffers proposals without a bound while there is no leader, and passes those of others on. Neither is let through.

use std::collections::{BTreeMap, VecDeque};

use omnipaxos::{
    ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig,
    ballot_leader_election::Ballot,
    messages::{
        Message,
        sequence_paxos::{Accepted, NotAccepted, PaxosMessage, PaxosMsg, PrepareReq},
    },
    util::LogSync,
};

use super::{Mutation, Mutations, output::BatchId, settings::Timing};
use crate::{
    command::{Entry, Pid},
    membership::Membership,
    storage::{Acceptor, Log},
};

pub(super) struct Instance {
    paxos: OmniPaxos<Entry, Log>,
    log: Log,
    me: Pid,
    begun: BatchId,
    /// The own log as it was when batches were handed out that are not on disk yet.
    written: VecDeque<(BatchId, Vote)>,
    /// The own log as it is on disk.
    durable: Vote,
    /// What others accepted in the ballot of this node, as far as it is known, and how much of that was reported.
    accepted: BTreeMap<Pid, (Accepted, usize)>,
    /// How many members decide.
    majority: usize,
    /// What is said beside what OmniPaxos says.
    answers: Vec<Message<Entry>>,
    /// Ticks of a round of heartbeats, and how many of this one are over.
    round: (u64, u64),
    mutations: Mutations,
}

/// What a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was handed in, or was of no use.
    Done,
    /// Its sender lacks entries that are not in the log any more.
    PeerIsBehind,
}

impl Instance {
    /// The agreement from what `log` has. Nothing is to be said before the batch `begun` is on disk.
    pub(super) fn new(
        membership: &Membership,
        me: Pid,
        log: Log,
        timing: &Timing,
        begun: BatchId,
        mutations: Mutations,
    ) -> Self {
        let cluster_config = cluster_config(membership);
        let server_config = ServerConfig {
            pid: me.0,
            election_tick_timeout: timing.election_ticks,
            resend_message_tick_timeout: timing.resend_ticks,
            ..ServerConfig::default()
        };
        let paxos = OmniPaxosConfig { cluster_config, server_config }
            .build(log.clone())
            .expect("a membership has at least two members, and this node is one of them");
        Self {
            paxos,
            log,
            me,
            begun,
            written: VecDeque::new(),
            durable: Vote::default(),
            accepted: BTreeMap::new(),
            majority: membership.members.len() / 2 + 1,
            answers: Vec::new(),
            round: (timing.election_ticks, 0),
            mutations,
        }
    }

    pub(super) fn me(&self) -> Pid {
        self.me
    }

    pub(super) fn begun(&self) -> BatchId {
        self.begun
    }

    pub(super) fn tick(&mut self) {
        self.paxos.tick();
        let (length, over) = self.round;
        self.round = (length, (over + 1) % length);
    }

    /// Ticks until the heartbeats of this node are due again.
    pub(super) fn ticks_to_heartbeat(&self) -> u64 {
        let (length, over) = self.round;
        length - over
    }

    /// Whether this node leads or follows, and has nothing more to ask for.
    pub(super) fn is_in_step(&self) -> bool {
        self.paxos.get_current_leader().is_some_and(|(_, in_step)| in_step)
    }

    /// Messages to or from the member may have been lost.
    pub(super) fn reconnected(&mut self, pid: Pid) {
        self.paxos.reconnected(pid.0);
    }

    pub(super) fn take_messages(&mut self) -> Vec<Message<Entry>> {
        let mut messages = std::mem::take(&mut self.answers);
        self.paxos.take_outgoing_messages(&mut messages);
        messages
    }

    /// The member whose ballot this node follows.
    pub(super) fn leader(&self) -> Option<Pid> {
        self.paxos.get_current_leader().map(|(pid, _)| Pid(pid))
    }

    pub(super) fn leads(&self) -> bool {
        self.paxos.get_current_leader() == Some((self.me.0, true))
    }

    /// Whether this node wants to lead, and does not know yet what it must propose first.
    pub(super) fn collects_promises(&self) -> bool {
        self.paxos.get_current_leader() == Some((self.me.0, false))
    }

    /// The ballot in which something can be proposed now.
    pub(super) fn open_ballot(&self) -> Option<Ballot> {
        let stopped = self.log.read(|acceptor| acceptor.stop_sign.is_some());
        (self.is_in_step() && !stopped).then(|| self.paxos.get_promise())
    }

    pub(super) fn ballot(&self) -> Ballot {
        self.paxos.get_promise()
    }

    /// Proposes an entry, which may be lost on the way to the leader or with it.
    pub(super) fn propose(&mut self, entry: Entry) {
        // Refused only behind a stop-sign. The entry is proposed again in the next configuration.
        let _ = self.paxos.append(entry);
    }

    /// Proposes that `next` be the next configuration, which may be lost on the way to the leader or with it.
    pub(super) fn propose_members(&mut self, next: &Membership) {
        let metadata = serde_json::to_vec(next).expect("a membership can be written as JSON");
        // Refused only behind a stop-sign.
        let _ = self.paxos.reconfigure(cluster_config(next), Some(metadata));
    }

    /// Makes this node the leader, if a majority agrees.
    pub(super) fn take_the_lead(&mut self) {
        self.paxos.try_become_leader();
    }

    /// How much of the log others have accepted, as far as a leader knows.
    pub(super) fn accepted_by_others(&self) -> Vec<(Pid, usize)> {
        let accepted = self.paxos.get_ui_states().cluster_state.accepted_indexes;
        (0..).map(Pid).zip(accepted).filter(|(pid, _)| *pid != self.me).collect()
    }

    /// Takes in a message of another member.
    pub(super) fn heard(&mut self, message: Message<Entry>, log_limit: usize) -> Heard {
        let Message::SequencePaxos(PaxosMessage { from, to, mut msg }) = message else {
            self.paxos.handle_incoming(message);
            return Heard::Done;
        };
        let start = self.log.read(|acceptor| acceptor.start);
        let (leads, ballot) = (self.leads(), self.ballot());
        let sync = match &mut msg {
            PaxosMsg::Promise(promise) => promise.log_sync.as_mut(),
            PaxosMsg::AcceptSync(sync) => Some(&mut sync.log_sync),
            _ => None,
        };
        // Of a late promise only the numbers are used.
        let usable = leads || sync.is_none_or(|sync| self.log.read(|log| set_right(sync, log)));
        if let PaxosMsg::Promise(promise) = &mut msg
            && leads
            && promise.n_accepted != ballot
        {
            // The promise comes late: it only tells from where on its sender lacks the log.
            promise.n_accepted = NO_BALLOT;
        }
        match &msg {
            PaxosMsg::Prepare(prepare) if prepare.n < ballot => {
                let msg = PaxosMsg::NotAccepted(NotAccepted { n: ballot });
                self.answers.push(Message::SequencePaxos(PaxosMessage { from: to, to: from, msg }));
                return Heard::Done;
            }
            PaxosMsg::PrepareReq(PrepareReq { n }) | PaxosMsg::NotAccepted(NotAccepted { n })
                if leads && *n > ballot =>
            {
                self.rise_above(*n);
                return Heard::Done;
            }
            PaxosMsg::Prepare(prepare) if (prepare.decided_idx as u64) < start => return Heard::PeerIsBehind,
            PaxosMsg::Promise(promise) if (promise.decided_idx as u64) < start => return Heard::PeerIsBehind,
            PaxosMsg::Promise(_) | PaxosMsg::AcceptSync(_) if !usable => return Heard::Done,
            PaxosMsg::Accepted(accepted) => return self.others_accepted(Pid(from), *accepted),
            PaxosMsg::ProposalForward(_) if !leads || self.log.weight() > log_limit => return Heard::Done,
            PaxosMsg::ForwardStopSign(_) if !leads => return Heard::Done,
            PaxosMsg::Compaction(_) => return Heard::Done,
            _ => {}
        }
        if let PaxosMsg::Prepare(prepare) = &msg
            && prepare.n == ballot
            && self.paxos.get_current_leader() == Some((from, true))
        {
            self.fall_out_of_step(from);
        }
        self.paxos.handle_incoming(Message::SequencePaxos(PaxosMessage { from, to, msg }));
        Heard::Done
    }

    /// Makes this node promise again to the leader that it follows, and that has lost its promise.
    fn fall_out_of_step(&mut self, leader: u64) {
        let before = self.take_messages();
        self.paxos.reconnected(leader);
        // The leader does ask. To ask it to would make it lose the promise again.
        let _asks = self.take_messages();
        self.answers = before;
    }

    /// Leads on in a ballot that a member can follow which has promised a larger one.
    fn rise_above(&mut self, other: Ballot) {
        for _ in 0..MAX_RISE {
            if self.ballot() > other {
                break;
            }
            self.paxos.try_become_leader();
        }
    }

    /// The batch that is handed out now has everything that the log has.
    pub(super) fn batch_handed_out(&mut self, batch: BatchId) {
        let vote = self.log.read(Vote::of);
        self.written.push_back((batch, vote));
    }

    /// The batch is on disk: the own vote counts up to there.
    pub(super) fn persisted(&mut self, batch: BatchId) {
        while self.written.front().is_some_and(|(written, _)| *written <= batch) {
            let (_, vote) = self.written.pop_front().expect("one was just looked at");
            self.durable = vote;
        }
        self.report_accepted();
    }

    fn others_accepted(&mut self, from: Pid, accepted: Accepted) -> Heard {
        self.accepted.insert(from, (accepted, 0));
        self.report_accepted();
        Heard::Done
    }

    /// Tells OmniPaxos what others accepted, as far as it may count its own vote beside theirs.
    fn report_accepted(&mut self) {
        let ballot = self.ballot();
        self.accepted.retain(|_, (accepted, _)| accepted.n == ballot);
        let limit = self.own_vote().max(self.vote_of_others());
        let mut news = Vec::new();
        for (from, (accepted, reported)) in &mut self.accepted {
            let accepted_idx = accepted.accepted_idx.min(limit);
            if accepted_idx > *reported {
                *reported = accepted_idx;
                let msg = PaxosMsg::Accepted(Accepted { accepted_idx, ..*accepted });
                news.push(Message::SequencePaxos(PaxosMessage { from: from.0, to: self.me.0, msg }));
            }
        }
        news.into_iter().for_each(|message| self.paxos.handle_incoming(message));
    }

    /// How many places of the log a majority of others have accepted.
    fn vote_of_others(&self) -> usize {
        let mut accepted: Vec<_> = self.accepted.values().map(|(accepted, _)| accepted.accepted_idx).collect();
        accepted.sort_unstable_by(|one, other| other.cmp(one));
        accepted.get(self.majority - 1).copied().unwrap_or(0)
    }

    /// How many places of the log this node has accepted in the current round for good.
    fn own_vote(&self) -> usize {
        if self.mutations.has(Mutation::OwnVoteBeforeDisk) || self.mutations.has(Mutation::NothingWaitsForDisk) {
            return usize::MAX;
        }
        let round = self.log.read(|acceptor| acceptor.accepted_round);
        if round == self.durable.round { self.durable.accepted } else { 0 }
    }
}

/// A larger lead is made up for in several goes.
const MAX_RISE: usize = 32;

/// A ballot of nobody. The default one is that of whoever has accepted nothing yet.
const NO_BALLOT: Ballot = Ballot { config_id: 0, n: 0, priority: 0, pid: u64::MAX };

/// What an acceptor has accepted in which round. Within a round the log only grows.
#[derive(Clone, Copy, Default)]
struct Vote {
    round: Option<Ballot>,
    accepted: usize,
}

impl Vote {
    fn of(acceptor: &Acceptor) -> Self {
        let accepted = usize::try_from(acceptor.accepted()).expect("the log fits into memory");
        Self { round: acceptor.accepted_round, accepted }
    }
}

/// Whether `sync` fits the log; sets its index right where OmniPaxos has counted a stop-sign as an entry.
fn set_right(sync: &mut LogSync<Entry>, log: &Acceptor) -> bool {
    let index = sync.sync_idx as u64;
    if log.decided_stop_sign().is_some() {
        return false;
    }
    if index == log.end() + 1 && sync.suffix.is_empty() && sync.stopsign.is_some() && log.stop_sign.is_some() {
        sync.sync_idx -= 1;
        return true;
    }
    let overwrites_decided = index < log.decided;
    let leaves_hole = index > log.end();
    !overwrites_decided && !leaves_hole
}

fn cluster_config(membership: &Membership) -> ClusterConfig {
    ClusterConfig {
        configuration_id: membership.configuration.0,
        nodes: membership.members.iter().map(|member| member.pid.0).collect(),
        flexible_quorum: None,
    }
}
