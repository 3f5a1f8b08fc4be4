//! Stories of a few nodes that hear each other at once: what they do for those who ask, and what they refuse.

mod group;

use super::*;
use crate::command::{Generation, Outcome, Pid};
use crate::membership::{BadMembership, MemberChange};
use group::{Group, WAITING, others_than, put, read, register};

#[test]
fn a_cluster_is_founded_when_all_have_met_and_then_somebody_leads() {
    let mut group = Group::of(&["a", "b", "c"]);
    group.connect(0, 1);
    group.ticks(20);
    assert!(group.nodes.iter().all(|node| node.status().membership.is_none()), "the third was not met");
    group.connect(0, 2);
    group.connect(1, 2);
    let founded: BTreeSet<_> = group
        .notices
        .iter()
        .filter_map(|(_, notice)| match notice {
            Notice::Founded(membership) => Some(membership.cluster),
            _ => None,
        })
        .collect();
    assert_eq!(founded.len(), 1, "all work out the same one");
    let leader = group.leader();
    assert!(group.nodes.iter().all(|node| node.status().leader.as_ref() == Some(&group.name(leader))));
}

#[test]
fn nodes_that_are_set_to_found_different_clusters_found_none_and_say_so() {
    let mut group = Group::of(&["a", "b"]);
    group.add("c", &["a", "b"], StoreId(9));
    group.connect(0, 2);
    assert!(group.notices.contains(&(0, Notice::OtherServers { peer: "c".into() })), "{:?}", group.notices);
    assert!(group.notices.contains(&(2, Notice::OtherServers { peer: "a".into() })), "{:?}", group.notices);
    assert!(group.nodes.iter().all(|node| node.status().membership.is_none()));
}

#[test]
fn who_is_in_no_cluster_does_nothing_for_anybody() {
    let mut group = Group::of(&["a", "b"]);
    for request in [register(), read(Consistency::Linearizable), read(Consistency::Stale)] {
        assert_eq!(group.ask(0, request), Some(Reply::Refused(Refusal::NotAMember)));
    }
}

#[test]
fn a_write_is_answered_when_a_majority_has_it_on_disk_and_not_before() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let client = group.client(one);
    group.slow_disks.extend([leader, other]);
    assert_eq!(group.ask(one, put(client, 1)), None, "one disk of three has it");
    group.finish_disk(leader);
    let Some(Reply::Done(Outcome::Written { generation, .. })) = group.last_reply() else { panic!("it is on two") };
    assert_eq!(generation, Generation(1));
}

#[test]
fn a_command_that_is_asked_for_again_elsewhere_is_answered_as_the_first_time() {
    let mut group = Group::founded(3);
    let client = group.client(0);
    let first = group.ask(0, put(client, 1));
    assert!(matches!(first, Some(Reply::Done(Outcome::Written { generation: Generation(1), .. }))), "{first:?}");
    assert_eq!(group.ask(1, put(client, 1)), first);
    assert_eq!(group.ask(2, put(client, 1)), first);
}

#[test]
fn more_requests_than_may_wait_are_refused_as_busy_and_nothing_of_them_is_done() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let clients: Vec<_> = (0..=WAITING as u64).map(|_| group.client(leader)).collect();
    group.slow_disks.extend(0..3);
    for client in &clients[..WAITING] {
        assert_eq!(group.ask(leader, put(*client, 1)), None);
    }
    assert_eq!(group.ask(leader, put(clients[WAITING], 1)), Some(Reply::Refused(Refusal::Busy)));
    (0..3).for_each(|node| group.finish_disk(node));
    let read = group.ask(leader, read(Consistency::Linearizable));
    let Some(Reply::Read { answer: Answer::Document(Some(document)), .. }) = read else { panic!("{read:?}") };
    assert_eq!(document.generation, Generation(WAITING as u64));
}

#[test]
fn a_leader_that_is_cut_off_says_in_time_that_it_does_not_know_and_its_stale_reads_how_old_they_are() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let client = group.client(leader);
    group.cut_off(leader);
    assert_eq!(group.ask(leader, put(client, 1)), None);
    let write = group.asked;
    assert_eq!(group.ask(leader, read(Consistency::Linearizable)), None);
    let wait = group.nodes[leader].settings.timing.deadline_ticks;
    group.ticks(wait);
    assert_eq!(group.replies.get(&write), Some(&Reply::Refused(Refusal::Unknown)), "it is in its log");
    assert_eq!(group.last_reply(), Some(Reply::Refused(Refusal::NoMajority)));
    let stale = group.ask(leader, read(Consistency::Stale));
    let Some(Reply::Read { answer: Answer::Document(None), age_ticks: Some(age), .. }) = stale else {
        panic!("{stale:?}")
    };
    assert!(age >= wait, "{age}");
    // The others have a leader that is none of its business, and go on.
    let other = (leader + 1) % 3;
    assert!(matches!(group.ask(other, put(client, 2)), Some(Reply::Done(Outcome::Written { .. }))));
}

#[test]
fn what_was_proposed_nowhere_is_refused_as_not_done() {
    let mut group = Group::of(&["a", "b", "c"]);
    (0..3).for_each(|node| group.join(node));
    // Before it has heard of a leader.
    group.cut_off(0);
    assert_eq!(group.ask(0, register()), None);
    let wait = group.nodes[0].settings.timing.deadline_ticks;
    group.ticks(wait);
    assert_eq!(group.last_reply(), Some(Reply::Refused(Refusal::NoMajority)));
}

#[test]
fn a_leader_that_is_to_stop_takes_nothing_more_and_another_one_leads() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let client = group.client(leader);
    group.tell(leader, Input::HandOver);
    group.settle();
    assert_eq!(group.ask(leader, put(client, 1)), Some(Reply::Refused(Refusal::Stopping)));
    group.ticks(60);
    assert!(group.handed_over.contains(&leader));
    assert_ne!(group.leader(), leader);
}

#[test]
fn a_leader_whose_process_is_gone_is_replaced_before_the_next_heartbeat() {
    let mut group = Group::founded(3);
    let (leader, gone) = group.lose_leader();
    assert_eq!(group.probes.iter().filter(|peer| **peer == gone).count(), 2, "both others look for it");
    let [last, first] = others_than(leader);
    for node in [last, first] {
        group.tell(node, Input::Gone { peer: gone.clone() });
    }
    group.settle();
    assert!(group.nodes[first].leads(), "no tick has passed, and the one with the larger number leads");
}

#[test]
fn a_promise_is_given_once_it_is_on_disk_and_not_before() {
    let leads_without_it = |mutation| {
        let mut group = Group::founded_with(mutation);
        let (leader, gone) = group.lose_leader();
        let [slow, first] = others_than(leader);
        group.slow_disks.insert(slow);
        for node in [slow, first] {
            group.tell(node, Input::Gone { peer: gone.clone() });
        }
        group.settle();
        let leads_too_early = group.nodes[first].leads();
        group.finish_disk(slow);
        assert!(group.nodes[first].leads(), "the promise is on disk");
        leads_too_early
    };
    assert!(!leads_without_it(None));
    assert!(leads_without_it(Some(Mutation::PromiseBeforeDisk)), "a node that makes the mistake is found out");
}

#[test]
fn if_the_first_to_follow_does_nothing_the_next_one_does() {
    let mut group = Group::founded(3);
    let (leader, gone) = group.lose_leader();
    let [last, first] = others_than(leader);
    group.slow_disks.insert(first);
    for node in [last, first] {
        group.tell(node, Input::Gone { peer: gone.clone() });
    }
    group.settle();
    assert!(!group.nodes[last].leads(), "it is not its turn");
    group.ticks(2);
    assert!(!group.nodes[first].leads(), "its own promise is not on disk");
    assert_eq!(group.nodes[last].status().leader, Some(group.name(last)), "it asks for promises itself");
}

#[test]
fn a_leader_that_one_member_is_told_to_be_gone_leads_on() {
    let mut group = Group::founded(3);
    let (leader, gone) = group.lose_leader();
    let [other, cut_off] = others_than(leader);
    group.connect(leader, other);
    group.probes.clear();
    group.tell(cut_off, Input::Gone { peer: gone.clone() });
    group.settle();
    assert_eq!(group.probes, std::slice::from_ref(&gone), "the other one looks for itself, and is not told so");
    group.ticks(20);
    assert!(group.nodes[leader].leads());
    assert_eq!(group.nodes[other].status().leader, Some(gone));
}

#[test]
fn a_leader_that_answers_is_not_replaced_whatever_is_said_of_it() {
    let mut group = Group::founded(3);
    let leader = group.leader();
    let gone = group.name(leader);
    for node in (0..3).filter(|node| *node != leader) {
        group.tell(node, Input::Gone { peer: gone.clone() });
    }
    group.ticks(1);
    assert_eq!(group.leader(), leader);
    assert!(group.probes.is_empty(), "nobody had a reason to look for it");
}

#[test]
fn members_change_one_configuration_after_the_other_and_what_makes_no_sense_is_refused() {
    let mut group = Group::founded(3);
    let add = |name: &str, store| MemberChange::Add { name: name.into(), store: StoreId(store), address: None };
    let taken = group.ask(0, Request::ChangeMembers(add("b", 77)));
    assert_eq!(
        taken,
        Some(Reply::Refused(Refusal::Members(BadMembership::NameTaken { name: "b".into() }))),
        "its disk must be replaced"
    );
    let removed = group.ask(0, Request::ChangeMembers(MemberChange::Remove { name: "c".into() }));
    let Some(Reply::MembersChanged(membership)) = removed else { panic!("{removed:?}") };
    assert_eq!((membership.configuration, membership.members.len()), (ConfigurationId(2), 2));
    group.ticks(60);
    assert_eq!(group.nodes[2].status().pid, None, "it votes no more");
    let last = group.ask(0, Request::ChangeMembers(MemberChange::Remove { name: "b".into() }));
    assert_eq!(last, Some(Reply::Refused(Refusal::Members(BadMembership::Size { members: 1 }))));
}

#[test]
fn a_node_that_comes_back_with_an_empty_disk_does_not_vote_until_it_is_let_in_with_it() {
    let mut group = Group::founded(3);
    let lost = (group.leader() + 1) % 3;
    let (name, others) = (group.name(lost), [(lost + 1) % 3, (lost + 2) % 3]);
    let client = group.client(others[0]);
    group.cut_off(lost);
    group.replace(lost, StoreId(77));
    group.join(lost);
    group.ticks(20);
    let told = Notice::DiskReplaced { peer: name.clone(), store: StoreId(77) };
    assert!(group.notices.contains(&(others[0], told)), "{:?}", group.notices);
    let waits = |(node, notice): &(usize, Notice)| *node == lost && matches!(notice, Notice::WaitsForMembership { .. });
    assert!(group.notices.iter().any(waits), "{:?}", group.notices);
    assert_eq!(group.nodes[lost].status().pid, None);

    let replace = MemberChange::Replace { name: name.clone(), store: StoreId(77), address: None };
    let replaced = group.ask(others[0], Request::ChangeMembers(replace));
    assert!(matches!(replaced, Some(Reply::MembersChanged(_))), "{replaced:?}");
    group.ticks(60);
    assert_eq!(group.nodes[lost].status().pid, Some(Pid(4)), "nobody ever had this number");
    assert!(matches!(group.ask(lost, put(client, 1)), Some(Reply::Done(Outcome::Written { .. }))));
}

#[test]
fn a_node_of_another_cluster_is_not_heard() {
    let (mut group, other) = (Group::founded(2), Group::founded_from(2, 50));
    let mut stranger = other.nodes[1].hello();
    stranger.name = "b".into();
    group.tell(0, Input::Connected { peer: "b".into(), hello: stranger });
    group.settle();
    assert!(group.notices.contains(&(0, Notice::OtherCluster { peer: "b".into() })), "{:?}", group.notices);
}
