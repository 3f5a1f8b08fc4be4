//! What the core wants an operator to know, in words.

use super::{Turns, came_in_at};
use crate::membership::Membership;
use crate::node::Notice;

impl Turns {
    pub(super) fn note(&mut self, notice: Notice) {
        match notice {
            Notice::Founded(membership) => {
                self.board.state().remarks.clear();
                let cluster = membership.cluster;
                tracing::info!(%cluster, members = ?names(&membership), "the cluster is founded");
            }
            Notice::CannotFound(why) => self.remark("founding", format!("the configured servers make no cluster: {why}")),
            Notice::OtherServers { peer } => self.remark(
                &format!("servers of {peer}"),
                format!("`servers` of {peer} are others than those of this node: a cluster is founded by nodes that know the same"),
            ),
            Notice::WaitsForMembership { peer, replaced } => {
                let (name, verb) = (self.board.name(), if replaced { "replace" } else { "add" });
                let remark = format!(
                    "there is a cluster, and this node with its disk is not in it: run `photongate px member {verb} {name}` at {peer}"
                );
                self.remark("membership", remark);
            }
            Notice::DiskReplaced { peer, .. } => self.remark(
                &format!("disk of {peer}"),
                format!(
                    "the disk of {peer} was replaced, and it cannot vote under its old number: run `photongate px member replace {peer}`"
                ),
            ),
            Notice::OtherCluster { peer } => self.remark(
                &format!("cluster of {peer}"),
                format!("{peer} belongs to another cluster, and is not heard: was its state directory copied?"),
            ),
            Notice::MembersChanged { from, to } => {
                // What is still so is said again.
                self.board.state().remarks.clear();
                // Who leaves must be able to hear of it.
                self.welcome(from.members.iter().filter(|member| to.member(&member.name).is_none()).filter_map(came_in_at));
                let configuration = to.configuration;
                let (from, to) = (names(&from), names(&to));
                tracing::info!(%configuration, ?from, ?to, "the members changed");
            }
            Notice::Leader(leader) => {
                self.board.leader_changes.add(1);
                match leader {
                    Some(leader) => tracing::info!(%leader, "there is a leader"),
                    None => tracing::warn!("there is no leader"),
                }
            }
            Notice::CaughtUp { from, revision } => {
                self.board.state().remarks.remove("membership");
                self.set_peers();
                tracing::info!(%from, %revision, "the state was taken over");
            }
        }
    }

    /// Something that an operator should know, until it is not so any more.
    fn remark(&self, about: &str, sentence: impl Into<String>) {
        let sentence = sentence.into();
        let is_news = self.board.state().remarks.insert(about.to_owned(), sentence.clone()).as_ref() != Some(&sentence);
        if is_news {
            tracing::warn!("{sentence}");
        }
    }
}

/// Who votes, each with its number.
fn names(membership: &Membership) -> Vec<String> {
    membership.members.iter().map(|member| format!("{}={}", member.name, member.pid)).collect()
}
