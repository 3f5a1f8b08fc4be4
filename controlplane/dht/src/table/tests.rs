//! The table beside a naive one: a list of all contacts, in which everything is looked for from beginning to end.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use proptest::{collection::vec, prelude::*};

use super::*;

#[test]
fn a_live_old_contact_is_never_given_up_for_a_new_one() {
    let mut table = table(PrefixLimits::default());
    let far = |number: u8| contact(0x80, number, number);
    (0..4).for_each(|number| assert_eq!(table.answered(far(number), AT), Heard::Placed));
    assert_eq!(table.answered(far(9), AT), Heard::Waits { oldest: far(0), heard: AT });
    assert_eq!(table.contacts().collect::<Vec<_>>(), (0..4).map(far).collect::<Vec<_>>());
}

#[test]
fn who_waits_is_pinged_when_an_old_contact_is_silent() {
    let mut table = table(PrefixLimits::default());
    let far = |number: u8| contact(0x80, number, number);
    (0..4).for_each(|number| assert_eq!(table.answered(far(number), AT), Heard::Placed));
    assert!(!table.should_ping(far(9)));
    assert_eq!(table.silent(&far(0)), Some(far(9)));
    assert!(!table.knows(&far(9)), "nobody has a place before it has answered");
    assert_eq!(table.answered(far(9), AT), Heard::Placed);
    assert!(table.knows(&far(9)) && !table.knows(&far(0)));
}

#[test]
fn one_silence_costs_no_place_that_nobody_wants() {
    let mut table = table(PrefixLimits::default());
    let far = contact(0x80, 1, 1);
    table.answered(far, AT);
    assert_eq!(table.silent(&far), None);
    assert!(!table.knows(&far), "but nobody is told of it");
    table.answered(far, AT);
    assert!(table.knows(&far));
    (0..3).for_each(|_| assert_eq!(table.silent(&far), None));
    table.answered(contact(0x80, 2, 2), AT);
    assert_eq!(table.fill().sum::<usize>(), 1);
}

#[test]
fn an_id_is_not_taken_over_from_another_address() {
    let mut table = table(PrefixLimits::default());
    let (old, new) = (contact(0x80, 1, 1), contact(0x80, 1, 2));
    table.answered(old, AT);
    assert_eq!(table.answered(new, AT), Heard::Elsewhere(old));
    assert!(table.knows(&old));
}

#[test]
fn one_network_fills_neither_a_bucket_nor_the_table() {
    let mut table = table(PrefixLimits { bucket: Some(2), table: Some(3) });
    let from = |top: u8, number: u8, network: u8| Contact {
        address: format!("192.0.{network}.{number}:1").parse().unwrap(),
        ..contact(top, number, 0)
    };
    let place = |table: &mut Table, contact| table.answered(contact, AT) == Heard::Placed;
    assert!(place(&mut table, from(0x80, 1, 7)) && place(&mut table, from(0x80, 2, 7)));
    assert!(!place(&mut table, from(0x80, 3, 7)) && !table.should_ping(from(0x80, 3, 7)));
    assert!(place(&mut table, from(0x80, 3, 8)));
    assert!(place(&mut table, from(0x40, 1, 7)));
    assert!(!place(&mut table, from(0x20, 1, 7)));
}

#[test]
fn an_ipv6_site_counts_as_one_network() {
    let [one, other, another] =
        ["2001:db8:1:2::3", "2001:db8:1:ffff::", "2001:db8:2::"].map(|text| prefix(text.parse().unwrap()));
    assert_eq!(one, other);
    assert_ne!(one, another);
}

proptest! {
    #[test]
    fn a_table_knows_what_a_naive_one_knows(
        me in prop_oneof![Just([0; 32]), any::<[u8; 32]>()],
        steps in vec(any_step(), 0..300),
        targets in vec(any_id(), 1..8),
    ) {
        let mut table = Table::new(Id(me), &settings(PrefixLimits::default(), 0));
        let mut naive = Naive { me: Id(me), known: Vec::new() };
        for (at, step) in steps.into_iter().enumerate() {
            let now = Nanos(at as u64);
            match step {
                Step::Answered(id) => {
                    let contact = Contact { id, address: ADDRESS };
                    prop_assert_eq!(table.answered(contact, now) == Heard::Placed, naive.answered(id, now));
                }
                Step::Silent(id) => {
                    table.silent(&Contact { id, address: ADDRESS });
                    naive.silent(id);
                }
            }
            prop_assert!(table.fill().all(|contacts| contacts <= CAPACITY));
        }
        let known: BTreeSet<_> = table.contacts().map(|contact| contact.id).collect();
        prop_assert_eq!(known, naive.live().collect::<BTreeSet<_>>());
        for target in targets.into_iter().chain([Id(me)]) {
            for count in [0, 1, 7, 1_000] {
                let nearest: Vec<_> = table.nearest(&target, count).into_iter().map(|contact| contact.id).collect();
                prop_assert_eq!(nearest, naive.nearest(&target, count));
            }
        }
        let since = Nanos(150);
        for oldest in table.unheard(since) {
            prop_assert!(naive.known.iter().any(|known| known.id == oldest.id && known.heard < since));
        }
    }

    #[test]
    fn an_id_for_a_bucket_belongs_there(me: [u8; 32], random: [u8; 32], index in 0..256_usize) {
        let table = Table::new(Id(me), &settings(PrefixLimits::default(), 0));
        prop_assert_eq!(table.id_in(index, &Id(random)).distance(&Id(me)).common_bits(), index);
    }
}

/// All contacts in one list, in the order in which they are given up. Nobody waits: then nobody else can get a place.
struct Naive {
    me: Id,
    known: Vec<Known>,
}

struct Known {
    id: Id,
    heard: Nanos,
    silent: u8,
}

impl Naive {
    fn answered(&mut self, id: Id, now: Nanos) -> bool {
        let shared = |other: &Id| self.me.distance(other).common_bits();
        if id == self.me {
            return false;
        }
        if let Some(at) = self.known.iter().position(|known| known.id == id) {
            self.known.remove(at);
        } else if self.known.iter().filter(|known| shared(&known.id) == shared(&id)).count() == CAPACITY {
            let first = self.known.iter().position(|known| shared(&known.id) == shared(&id)).unwrap();
            if self.known[first].silent == 0 {
                return false;
            }
            self.known.remove(first);
        }
        self.known.push(Known { id, heard: now, silent: 0 });
        true
    }

    fn silent(&mut self, id: Id) {
        if let Some(at) = self.known.iter().position(|known| known.id == id) {
            let known = self.known.remove(at);
            if known.silent < 2 {
                self.known.insert(0, Known { silent: known.silent + 1, ..known });
            }
        }
    }

    fn live(&self) -> impl Iterator<Item = Id> {
        self.known.iter().filter(|known| known.silent == 0).map(|known| known.id)
    }

    fn nearest(&self, target: &Id, count: usize) -> Vec<Id> {
        let mut all: Vec<_> = self.live().collect();
        all.sort_by_key(|id| id.distance(target));
        all.truncate(count);
        all
    }
}

#[derive(Clone, Debug)]
enum Step {
    Answered(Id),
    Silent(Id),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => any_id().prop_map(Step::Answered), 1 => any_id().prop_map(Step::Silent)]
}

/// Few enough that they meet again, and spread over near and far buckets.
fn any_id() -> impl Strategy<Value = Id> {
    (0..12_usize, 0..16_u8).prop_map(|(zeroes, number)| {
        let mut bytes = [0; 32];
        bytes[zeroes / 4] = 0x80 >> (zeroes % 4 * 2);
        bytes[31] = number;
        Id(bytes)
    })
}

fn contact(top: u8, number: u8, port: u8) -> Contact {
    let mut bytes = [0; 32];
    (bytes[0], bytes[31]) = (top, number);
    Contact { id: Id(bytes), address: SocketAddr::new([127, 0, 0, 1].into(), 1_000 + u16::from(port)) }
}

fn table(prefixes: PrefixLimits) -> Table {
    Table::new(Id([0; 32]), &settings(prefixes, 2))
}

fn settings(prefixes: PrefixLimits, replacements: usize) -> Settings {
    Settings { bucket: CAPACITY, replacements, prefixes, ..Settings::default() }
}

const CAPACITY: usize = 4;
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const AT: Nanos = Nanos(17);
