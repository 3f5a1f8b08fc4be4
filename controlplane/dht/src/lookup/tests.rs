//! A look-up among nodes that know everybody near them, or lie, or are silent.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use proptest::{collection::btree_set, prelude::*};

use super::*;
use crate::message::{Known, Magic};
use crate::node::PrefixLimits;

#[test]
fn one_that_leads_astray_does_not_hold_up_the_other_paths() {
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings(2), vec![contact(200), contact(201)], None);
    assert_eq!([lookup.next(), lookup.next()], [Some(contact(200)), Some(contact(201))]);
    let inventions: Vec<_> = (1..8).map(contact).collect();
    lookup.answered(&contact(200), &contact(200), naming(inventions), |_| true);
    lookup.answered(&contact(201), &contact(201), naming(vec![contact(100)]), |_| true);
    assert_eq!([lookup.next(), lookup.next()], [Some(contact(1)), Some(contact(100))]);
}

#[test]
fn who_lets_a_query_wait_is_passed_over_and_may_still_answer() {
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings(1), (1..4).map(contact).collect(), None);
    assert_eq!([lookup.next(), lookup.next()], [Some(contact(1)), None]);
    lookup.slow(&contact(1));
    assert_eq!(lookup.next(), Some(contact(2)));
    for number in [2, 3] {
        lookup.answered(&contact(number), &contact(number), naming(vec![]), |_| true);
        lookup.next();
    }
    assert!(!lookup.is_done(), "the nearest may still answer");
    lookup.answered(&contact(1), &contact(1), naming(vec![]), |_| true);
    assert!(lookup.next().is_none() && lookup.is_done());
    assert_eq!(lookup.into_found(9).nearest, (1..4).map(contact).collect::<Vec<_>>());
}

#[test]
fn who_is_told_of_at_a_wrong_address_on_one_path_is_asked_at_the_right_one_on_another() {
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings(2), vec![contact(200), contact(201)], None);
    assert_eq!([lookup.next(), lookup.next()], [Some(contact(200)), Some(contact(201))]);
    let displaced = |port| Contact { address: SocketAddr::new(contact(99).address.ip(), port), ..contact(7) };
    lookup.answered(&contact(200), &contact(200), naming((1..5).map(displaced).collect()), |_| true);
    lookup.answered(&contact(201), &contact(201), naming(vec![contact(7)]), |_| true);
    assert_eq!([lookup.next(), lookup.next()], [Some(displaced(1)), Some(contact(7))]);
    lookup.failed(&displaced(1));
    lookup.answered(&contact(7), &contact(7), naming(vec![]), |_| true);
    assert!(lookup.next().is_none() && lookup.is_done(), "one path's lies are tried once");
    assert_eq!(lookup.into_found(9).nearest, [contact(7), contact(200), contact(201)]);
}

#[test]
fn who_is_told_of_under_a_wrong_id_is_found_under_the_one_it_answers_with() {
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings(1), vec![contact(200)], None);
    assert_eq!(lookup.next(), Some(contact(200)));
    let renamed = |number| Contact { address: contact(7).address, ..contact(number) };
    lookup.answered(&contact(200), &contact(200), naming((1..4).map(renamed).collect()), |_| true);
    assert_eq!(lookup.next(), Some(renamed(1)));
    lookup.answered(&renamed(1), &contact(7), naming(vec![contact(5), renamed(6)]), |_| true);
    assert_eq!(lookup.next(), Some(contact(5)), "of an address that has answered no other id is tried");
    lookup.answered(&contact(5), &contact(5), naming(vec![]), |_| true);
    assert!(lookup.next().is_none() && lookup.is_done());
    assert_eq!(lookup.into_found(9).nearest, [contact(5), contact(7), contact(200)]);
}

#[test]
fn an_address_that_answers_under_many_ids_is_one_node() {
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings(3), (200..203).map(contact).collect(), None);
    let mut renamed = (1..4).map(|number| Contact { address: contact(7).address, ..contact(number) });
    (0..3).for_each(|_| assert!(lookup.next().is_some()));
    for number in 200..203 {
        lookup.answered(&contact(number), &contact(number), naming(vec![renamed.next().unwrap()]), |_| true);
    }
    let asked: Vec<_> = std::iter::from_fn(|| lookup.next()).collect();
    assert_eq!(asked.len(), 3, "each path is told of another");
    for contact in &asked {
        lookup.answered(contact, contact, naming(vec![]), |_| true);
    }
    assert!(lookup.next().is_none() && lookup.is_done());
    assert_eq!(lookup.into_found(9).nearest.iter().filter(|found| found.address == contact(7).address).count(), 1);
}

#[test]
fn one_answer_that_names_providers_is_not_enough() {
    let wanted = Wanted::Value { key: TARGET, providers: 1 };
    let mut lookup = Lookup::new(wanted, &settings(1), (1..9).map(contact).collect(), None);
    for number in [1, 2] {
        assert_eq!(lookup.next(), Some(contact(number)));
        let value = Some(Known { providers: vec![contact(number + 100)], count: 5, data: None });
        lookup.answered(&contact(number), &contact(number), Answer { value, ..naming(vec![]) }, |_| true);
    }
    assert!(lookup.next().is_none() && lookup.is_done());
    let found = lookup.into_found(9);
    assert_eq!((found.providers, found.count), (vec![contact(101), contact(102)], 5));
}

#[test]
fn who_looks_for_holders_is_not_content_with_the_value() {
    let asked = |wanted| {
        let mut lookup = Lookup::new(wanted, &settings(1), (1..9).map(contact).collect(), None);
        while let Some(next) = lookup.next() {
            let value = Some(Known { providers: vec![next], count: 1, data: Some(vec![7]) });
            lookup.answered(&next, &next, Answer { value, ..naming(vec![]) }, |_| true);
        }
        lookup.into_found(9).providers.len()
    };
    assert_eq!(asked(Wanted::Value { key: TARGET, providers: 3 }), 1);
    assert_eq!(asked(Wanted::Holders { key: TARGET, providers: 3 }), 3);
}

#[test]
fn who_has_the_value_is_known_by_the_address_it_answers_from() {
    let wanted = Wanted::Value { key: TARGET, providers: 1 };
    let mut lookup = Lookup::new(wanted, &settings(1), vec![contact(1)], None);
    lookup.next();
    let itself = Contact { address: "0.0.0.0:6881".parse().unwrap(), ..contact(1) };
    let value = Some(Known { providers: vec![itself], count: 1, data: None });
    lookup.answered(&contact(1), &contact(1), Answer { value, ..naming(vec![]) }, |_| true);
    assert_eq!(lookup.into_found(9).providers, [contact(1)]);
}

#[test]
fn a_value_that_the_nearest_do_not_have_is_looked_for_farther_out() {
    let asked = |wanted| {
        let mut lookup = Lookup::new(wanted, &settings(1), (1..60).map(contact).collect(), None);
        while let Some(next) = lookup.next() {
            lookup.answered(&next, &next, naming(vec![]), |_| true);
        }
        lookup.into_found(9).queries
    };
    assert_eq!(asked(Wanted::Nodes(TARGET)), 5, "a path asks one more than there are replicas");
    assert_eq!(asked(Wanted::Value { key: TARGET, providers: 1 }), 17);
}

#[test]
fn nodes_that_are_suspiciously_far_are_not_believed_to_be_the_nearest() {
    let asked = |spacing| {
        let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings(1), (1..60).map(contact).collect(), spacing);
        while let Some(next) = lookup.next() {
            lookup.answered(&next, &next, naming(vec![]), |_| true);
        }
        lookup.into_found(9).queries
    };
    assert_eq!(asked(Some(1 << 120)), 5, "the fourth is as far as four spaces");
    assert_eq!(asked(Some(1 << 116)), 17);
}

#[test]
fn a_value_is_stored_in_several_networks_though_one_of_them_surrounds_its_key() {
    // The nearest twelve share a network, as if somebody had chosen their ids; the others have each its own.
    let everybody = |number: u8| Contact {
        address: if number <= 12 {
            format!("203.0.113.{number}:6881").parse().unwrap()
        } else {
            contact(number).address
        },
        ..contact(number)
    };
    let replicas = |prefixes| {
        let settings = Settings { prefixes, ..settings(1) };
        let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings, (1..60).map(everybody).collect(), None);
        while let Some(next) = lookup.next() {
            lookup.answered(&next, &next, Answer { token: Some(Token([0; 16])), ..naming(vec![]) }, |_| true);
        }
        lookup.replicas(4).into_iter().map(|(contact, _)| contact.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(replicas(PrefixLimits::OPEN), [1, 2, 13, 14]);
    assert_eq!(replicas(PrefixLimits::default()), [1, 2, 3, 4]);
}

#[test]
fn a_network_that_is_all_there_is_ends_a_lookup_as_well() {
    let neighbour =
        |number: u8| Contact { address: format!("203.0.113.{number}:6881").parse().unwrap(), ..contact(number) };
    let settings = Settings { prefixes: PrefixLimits::OPEN, ..settings(1) };
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &settings, (1..60).map(neighbour).collect(), None);
    while let Some(next) = lookup.next() {
        lookup.answered(&next, &next, Answer { token: Some(Token([0; 16])), ..naming(vec![]) }, |_| true);
    }
    assert!(lookup.is_done());
    assert_eq!(lookup.replicas(4).len(), 2);
    assert!(lookup.into_found(9).queries <= 17);
}

#[test]
fn a_lookup_ends_however_many_nodes_it_is_told_of() {
    let mut lookup = Lookup::new(Wanted::Nodes(TARGET), &Settings::default(), vec![far(1)], None);
    let mut asked = 0_u32;
    while let Some(next) = lookup.next() {
        asked += 1;
        // Each names others that are a little nearer.
        let nearer = (0..7).map(|number| far(1 + asked * 7 + number)).collect();
        lookup.answered(&next, &next, naming(nearer), |_| true);
    }
    assert!(lookup.is_done());
    assert_eq!(asked as usize, Settings::default().limits.queries);
}

proptest! {
    #[test]
    fn the_nearest_that_answer_are_found_whoever_is_silent(
        everybody in btree_set(1..=255_u8, 1..80),
        silent in btree_set(any::<u8>(), 0..40),
    ) {
        let answers = |number: &u8| !silent.contains(number);
        let mut lookup =
            Lookup::new(Wanted::Nodes(TARGET), &settings(3), everybody.iter().rev().take(20).copied().map(contact).collect(), None);
        while let Some(next) = lookup.next() {
            let number = next.id.0[0];
            if answers(&number) {
                let nearer = everybody.iter().copied().filter(|other| *other < number).rev().take(7);
                lookup.answered(&next, &next, naming(nearer.map(contact).collect()), |_| true);
            } else {
                lookup.failed(&next);
            }
        }
        prop_assert!(lookup.is_done());
        let found = lookup.into_found(usize::MAX).nearest;
        prop_assert!(found.iter().all(|contact| answers(&contact.id.0[0])));
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
        prop_assert!(found.is_sorted_by_key(|contact| contact.id.distance(&TARGET)));
        // Seven that are silent in a row hide who is behind them.
        let is_hidden = everybody.iter().collect::<Vec<_>>().windows(7).any(|row| row.iter().all(|number| !answers(number)));
        if !is_hidden {
            let nearest: Vec<_> = everybody.iter().copied().filter(answers).take(4).map(contact).collect();
            prop_assert_eq!(&found[..nearest.len().min(found.len())], &nearest[..]);
        }
    }
}

fn naming(nodes: Vec<Contact>) -> Answer {
    Answer { magic: Magic(1), id: TARGET, nodes, token: None, value: None, stored: None }
}

/// The smaller the number the nearer it is.
fn contact(number: u8) -> Contact {
    let mut id = TARGET;
    id.0[0] = number;
    Contact { id, address: format!("198.51.{number}.1:6881").parse().unwrap() }
}

/// The greater the number the nearer it is.
fn far(number: u32) -> Contact {
    let mut id = Id([0xff; 32]);
    id.0[..4].copy_from_slice(&(u32::MAX - number).to_be_bytes());
    Contact { id, address: format!("10.{}.{}.1:1", number >> 8, number & 255).parse().unwrap() }
}

fn settings(paths: usize) -> Settings {
    Settings { paths, replicas: 4, ..Settings::default() }
}

const TARGET: Id = Id([0; 32]);
