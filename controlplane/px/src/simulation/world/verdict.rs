//! Whether all went well.

use std::collections::BTreeSet;

use super::{FAULTS_END, World};
use crate::{command::Revision, node::Node};

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// Entries of the log.
    pub(crate) entries: usize,
    /// Writes and reads that were answered.
    pub(crate) answered: usize,
    /// Machines that died, and disks that were replaced.
    pub(crate) crashes: usize,
    pub(crate) replaced: usize,
    /// Configurations that began, and states that were taken over.
    pub(crate) configurations: usize,
    pub(crate) caught_up: usize,
    /// How often somebody was told that nobody runs where the leader was.
    pub(crate) vacancies: usize,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.answered += other.answered;
        self.crashes += other.crashes;
        self.replaced += other.replaced;
        self.configurations += other.configurations;
        self.caught_up += other.caught_up;
        self.vacancies += other.vacancies;
    }
}

/// What must not happen, and did.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl World {
    /// Whether all members have the same state, and the clients could write since the faults ended.
    pub(super) fn is_settled(&mut self) -> bool {
        if !self.scheduled.is_multiple_of(64) || self.now < FAULTS_END + 600_000 || !self.all_members_agree() {
            return false;
        }
        self.history.answered > self.report.answered
    }

    pub(in crate::simulation) fn all_members_agree(&self) -> bool {
        let Some(members) = self.members() else { return false };
        let mut revisions = members.iter().map(|host| {
            let node = self.hosts[*host].node.as_ref();
            node.map(|node| (node.status().revision, node.hello().configuration))
        });
        let first = revisions.next().flatten();
        first.is_some() && revisions.all(|other| other == first)
    }

    /// The hosts that are members in the newest configuration with the disks that they have.
    pub(in crate::simulation) fn members(&self) -> Option<Vec<usize>> {
        let nodes = self.hosts.iter().filter_map(|machine| machine.node.as_ref());
        let membership =
            nodes.filter_map(|node| node.status().membership).max_by_key(|membership| membership.configuration)?;
        membership
            .members
            .iter()
            .map(|member| {
                let host = self.hosts.iter().position(|machine| machine.name == member.name)?;
                (self.hosts[host].disk.store() == member.store).then_some(host)
            })
            .collect()
    }

    pub(super) fn judge(mut self) -> Result<Report, Failure> {
        let failed = |text: String| Err(Failure(text));
        let Some(members) = self.members() else { return failed("a member has lost its disk for good".to_owned()) };
        if !self.all_members_agree() || self.history.answered <= self.report.answered {
            let states: Vec<_> = self.hosts.iter().map(|machine| machine.node.as_ref().map(Node::status)).collect();
            return failed(format!("the nodes do not agree long after all faults have ended: {states:?}"));
        }
        let nodes = || members.iter().filter_map(|host| self.hosts[*host].node.as_ref());
        let digests: BTreeSet<_> = nodes().filter_map(Node::digest).collect();
        if digests.len() != 1 {
            return failed(format!("the nodes have different states: {digests:x?}"));
        }
        let revision = nodes().map(|node| node.status().revision).max().unwrap_or(Revision(0));
        if let Err(failure) = self.oracle.judge(revision) {
            return failed(failure);
        }
        if let Some((name, operations)) = self.history.unexplained() {
            return failed(format!("no order explains what clients saw of {name}: {operations:#?}"));
        }
        self.report.entries = self.oracle.entries();
        self.report.answered = self.history.answered;
        Ok(self.report)
    }

    /// What was answered up to now does not count as answered after the faults.
    pub(in crate::simulation) fn count_answers_from_now(&mut self) {
        self.report.answered = self.history.answered;
    }
}
