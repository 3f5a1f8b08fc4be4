//! What relaying promises.

use std::collections::BTreeSet;

use photongate_wire::Nanos;
use proptest::prelude::*;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::destination::{self, Destination};
use super::envelope::{self, Journey};
use super::frame::{Arrived, Cipher, Frame, Header, Refusal, Role};
use super::plan::{NoPlan, Plan, Wish};
use super::simulation::{Network, id, key_name};
use super::source::{Failure, NotBegun, Outcome};
use super::*;
use crate::routing::simulation::Random;

#[test]
fn without_disturbances_every_payload_arrives_at_once() {
    for shares in 1..=5 {
        let mut network = Network::new(shares as u64);
        let sent: Vec<_> = (0..20).map(|number| network.send(&[number; 100], shares).unwrap()).collect();
        network.run();
        assert_eq!(BTreeSet::from_iter(network.held.clone()), BTreeSet::from_iter(sent));
        assert_all_held_are_kept(&network);
    }
}

#[test]
fn what_is_held_is_kept_unchanged_and_once_whatever_happens_on_the_way() {
    let mut held = 0;
    for seed in 0..100 {
        let mut network = Network::new(seed);
        (network.lost, network.doubled, network.crashes) = (10, 20, 10);
        if seed % 3 == 0 {
            network.tampering.insert(id("b"));
        }
        if seed % 4 == 0 {
            network.dead.insert(id("c"));
        }
        for number in 0..10 {
            network.send(&[number; 40], 1 + usize::from(number) % 3).unwrap();
        }
        network.run();
        assert_all_held_are_kept(&network);
        assert_eq!(network.held.len() + network.failed.len(), 10);
        held += network.held.len();
    }
    assert!(held > 800, "{held} of 1000");
}

#[test]
fn a_relay_that_changes_what_it_passes_on_is_noticed_and_gone_around() {
    let mut network = Network::new(1);
    network.tampering.insert(id("b"));
    let sent = network.send(b"payload", 1).unwrap();
    network.run();
    assert_eq!(network.held, [sent]);
    assert!(network.seen[&id("b")].contains(&(sent, 1, 0)));
    assert_all_held_are_kept(&network);
}

#[test]
fn if_every_way_is_disturbed_nothing_is_held_and_nothing_kept() {
    for shares in 1..=3 {
        let mut network = Network::new(shares as u64);
        network.tampering = ["b", "c", "d", "e", "f"].map(id).into();
        let sent = network.send(b"payload", shares).unwrap();
        network.run();
        assert_eq!(network.failed, [(sent, Failure::Attempts)]);
        assert!(network.store.is_empty() && network.held.is_empty());
    }
}

#[test]
fn no_relay_sees_more_than_one_share_of_an_attempt_or_any_twice() {
    for seed in 0..20 {
        let mut network = Network::new(seed);
        network.lost = 30;
        let payload = [0x55; 64];
        for _ in 0..5 {
            network.send(&payload, 2 + usize::try_from(seed).unwrap() % 3).unwrap();
        }
        network.run();
        for (relay, seen) in &network.seen {
            let attempts: BTreeSet<_> = seen.iter().map(|(id, attempt, _)| (id, attempt)).collect();
            assert_eq!(attempts.len(), seen.len(), "{relay} saw two shares of an attempt");
            let shares = &network.seen_bytes[relay];
            assert_eq!(BTreeSet::from_iter(shares).len(), shares.len(), "{relay} saw the same share twice");
            assert!(shares.iter().all(|share| !share.windows(8).any(|bytes| bytes == &payload[..8])));
        }
    }
}

#[test]
fn all_shares_but_one_are_nothing_but_random_bytes() {
    let mut drawn = Vec::new();
    let mut random = Random(3);
    let envelope = vec![7; 50];
    let shares = envelope::split(&envelope, 4, &mut |bytes: &mut [u8]| {
        random.fill(bytes);
        drawn.push(bytes.to_vec());
    });
    assert_eq!(shares[..3].iter().map(|share| share.to_vec()).collect::<Vec<_>>(), drawn);
    // The last one is random too, as long as one of the others is not known: any three of them fit any envelope.
    let other: Vec<u8> = envelope.iter().map(|byte| byte ^ 0x5a).collect();
    for missing in 0..4 {
        let mut fitting: Vec<_> = shares.clone();
        fitting[missing].iter_mut().for_each(|byte| *byte ^= 0x5a);
        assert_eq!(*envelope::combine(&fitting).unwrap(), other);
    }
}

#[test]
fn plans_follow_the_wish() {
    let routes = Network::new(0).routes;
    let wish = |shares: usize, avoid: &[&str]| Wish {
        shares,
        avoid: avoid.iter().map(|name| id(name)).collect(),
        ..Wish::default()
    };
    let plan = |wish: &Wish| Plan::make(&routes, &id("z"), wish).map(|plan| plan.paths);
    assert_eq!(plan(&wish(1, &[])).unwrap(), [["a", "b", "z"].map(id)]);
    assert_eq!(plan(&wish(1, &["b"])).unwrap(), [["a", "c", "z"].map(id)]);
    assert_eq!(plan(&wish(3, &["c"])).unwrap(), ["b", "d", "e"].map(|relay| ["a", relay, "z"].map(id)));
    assert_eq!(plan(&wish(6, &[])), Err(NoPlan::TooFew { found: 5, wanted: 6 }));
    assert_eq!(plan(&wish(0, &[])), Err(NoPlan::Shares));
    assert_eq!(plan(&wish(1, &["b", "c", "d", "e", "g"])), Err(NoPlan::Unreachable));
    let short = Wish { most_hops: 2, ..wish(5, &[]) };
    assert_eq!(plan(&short), Err(NoPlan::TooLong { hops: 3 }));
}

#[test]
fn a_payload_that_cannot_go_is_not_remembered() {
    let mut network = Network::new(0);
    assert_eq!(network.send(&vec![0; LARGEST_PAYLOAD + 1], 1), Err(NotBegun::TooLarge));
    assert_eq!(network.send(&[], 7), Err(NotBegun::NoPlan(NoPlan::TooFew { found: 5, wanted: 7 })));
    assert!(network.source.is_empty());
}

#[test]
fn the_pad_is_taken_while_the_stock_allows() {
    let needed = 8 * Cipher::OneTimePad.key_bytes(100) as u64;
    assert_eq!(Cipher::choose(needed + 1_000, 1_000, 100), Cipher::OneTimePad);
    assert_eq!(Cipher::choose(needed + 999, 1_000, 100), Cipher::Aes256Gcm);
    assert_eq!(Cipher::choose(0, 0, 100), Cipher::Aes256Gcm);
}

#[test]
fn the_same_share_again_gets_the_same_answer_and_is_kept_once() {
    let (journey, shares) = shares(b"payload", 2);
    let mut destination = Destination::new(destination::Settings::default());
    let give =
        |destination: &mut Destination, share: u8| destination.on_share(arrived(&journey, &shares, share, 1), Nanos(0));
    assert!(matches!(outcome(give(&mut destination, 0)), Outcome::Waiting));
    assert!(matches!(outcome(give(&mut destination, 0)), Outcome::Waiting));
    let destination::Action::Store { payload, .. } = give(&mut destination, 1) else { panic!("it is whole") };
    assert_eq!(*payload, b"payload");
    assert!(matches!(outcome(give(&mut destination, 1)), Outcome::Waiting));
    let first = outcome(destination.on_stored(&journey, true, Nanos(0)).unwrap());
    assert!(matches!(first, Outcome::Held(_)));
    assert_eq!(outcome(give(&mut destination, 0)), first);
    assert_eq!(outcome(destination.on_share(arrived(&journey, &shares, 0, 2), Nanos(0))), first);
}

#[test]
fn a_payload_that_its_source_gave_up_is_discarded_and_does_not_come_back() {
    let mut random = Random(1);
    let journey = journey(1);
    let (envelope, keys) = envelope::wrap(&journey, b"payload", &mut |bytes: &mut [u8]| random.fill(bytes));
    let mut destination = Destination::new(destination::Settings::default());
    let shares = vec![envelope];
    destination.on_share(arrived(&journey, &shares, 0, 1), Nanos(0));
    destination.on_stored(&journey, true, Nanos(0));
    let forged = source::Void { journey: journey.clone(), proof: keys.held() };
    assert!(destination.on_void(&forged).is_none());
    let void = source::Void { journey: journey.clone(), proof: keys.void() };
    assert!(matches!(destination.on_void(&void), Some(destination::Action::Discard(_))));
    assert_eq!(outcome(destination.on_share(arrived(&journey, &shares, 0, 2), Nanos(0))), Outcome::Refused);
}

#[test]
fn what_never_becomes_whole_is_forgotten_and_memory_has_a_bound() {
    let settings =
        destination::Settings { most_per_source: 10, most_waiting_bytes: 500, ..destination::Settings::default() };
    let mut destination = Destination::new(settings);
    let mut refused = 0;
    for number in 0..20 {
        let journey = journey(number);
        let shares = vec![Zeroizing::new(vec![0; 71]); 2];
        refused +=
            u32::from(outcome(destination.on_share(arrived(&journey, &shares, 0, 1), Nanos(0))) == Outcome::Refused);
    }
    assert_eq!(refused, 13);
    assert_eq!(destination.len(), 10);
    destination.on_tick(settings.remember);
    assert!(destination.is_empty());
}

#[test]
fn a_source_cannot_take_the_room_of_another() {
    let settings = destination::Settings { most_per_source: 1, ..destination::Settings::default() };
    let mut destination = Destination::new(settings);
    for (source, number, expected) in
        [("a", 1, Outcome::Waiting), ("a", 2, Outcome::Refused), ("b", 3, Outcome::Waiting)]
    {
        let journey = Journey { source: id(source), ..journey(number) };
        let shares = vec![Zeroizing::new(vec![0; 71]); 2];
        assert_eq!(outcome(destination.on_share(arrived(&journey, &shares, 0, 1), Nanos(0))), expected);
    }
}

#[test]
fn a_frame_is_taken_only_by_whose_turn_it_is_from_the_one_before() {
    let frame = frame(Cipher::OneTimePad, b"share").0;
    assert_eq!(frame.role(&id("b"), &id("a")), Ok(Role::Relay { next: id("z") }));
    assert_eq!(frame.role(&id("z"), &id("a")), Err(Refusal::NotForUs));
    assert_eq!(frame.role(&id("b"), &id("z")), Err(Refusal::WrongSender));
    let change = |change: fn(&mut Frame)| {
        let mut changed = frame.clone();
        change(&mut changed);
        changed.role(&id("b"), &id("a")).unwrap_err()
    };
    assert_eq!(change(|frame| frame.header.path = ["a", "b", "a"].map(id).into()), Refusal::Loop);
    assert_eq!(change(|frame| frame.header.path.push(id("b"))), Refusal::Loop);
    assert_eq!(change(|frame| frame.header.path = vec![id("a")]), Refusal::Malformed);
    assert_eq!(change(|frame| frame.header.path.extend((0..14).map(|n| id(&n.to_string())))), Refusal::Malformed);
    assert_eq!(change(|frame| frame.header.hop = 0), Refusal::Malformed);
    assert_eq!(change(|frame| frame.header.hop = 3), Refusal::Malformed);
    assert_eq!(change(|frame| frame.header.shares = 0), Refusal::Malformed);
    assert_eq!(change(|frame| frame.header.share = 1), Refusal::Malformed);
    assert_eq!(change(|frame| frame.tag.0.truncate(16)), Refusal::Malformed);
    assert_eq!(change(|frame| frame.key.0.clear()), Refusal::WrongKey);
    assert_eq!(change(|frame| frame.key.0[0].length = u32::MAX), Refusal::WrongKey);
}

#[test]
fn a_frame_says_nothing_of_its_share_in_a_log() {
    let (frame, _) = frame(Cipher::Aes256Gcm, b"secret share");
    let key = Zeroizing::new(vec![9; 32]);
    let arrived = frame.open(key).unwrap();
    let text = format!("{arrived:?}");
    assert!(text.contains("12 secret bytes") && !text.contains("115, 101"), "{text}");
}

proptest! {
    #[test]
    fn what_one_end_of_a_hop_seals_the_other_opens(share: Vec<u8>, pad: bool) {
        let cipher = if pad { Cipher::OneTimePad } else { Cipher::Aes256Gcm };
        let (frame, key) = frame(cipher, &share);
        let text = serde_json::to_string(&frame).unwrap();
        let frame: Frame = serde_json::from_str(&text).unwrap();
        let header = frame.header.clone();
        let arrived = frame.open(key).unwrap();
        prop_assert_eq!(&arrived.header, &header);
        prop_assert_eq!(&*arrived.into_share().1.0, &share);
    }

    #[test]
    fn a_frame_that_was_changed_anywhere_does_not_open(pad: bool, which in 0..14_usize, at: prop::sample::Index, bit in 0..8_u8) {
        let cipher = if pad { Cipher::OneTimePad } else { Cipher::Aes256Gcm };
        let (mut frame, key) = frame(cipher, b"some share");
        let flip = |bytes: &mut [u8]| bytes[at.index(bytes.len())] ^= 1 << bit;
        match which {
            0 => flip(&mut frame.ciphertext.0),
            1 => flip(&mut frame.tag.0),
            2 => frame.header.id = RelayId(Uuid::from_u128(frame.header.id.0.as_u128() ^ 1 << bit)),
            3 => frame.header.kind = Kind::Drkey,
            4 => frame.header.attempt ^= 1 << bit,
            5 => frame.header.share ^= 1 << bit,
            6 => frame.header.shares ^= 1 << bit,
            7 => frame.header.hop ^= 1 << bit,
            8 => frame.header.path[0] = id("x"),
            9 => frame.header.path[2] = id("x"),
            10 => frame.header.path.push(id("x")),
            11 => frame.key.0[0].offset ^= 1 << bit,
            12 => frame.key.0[0].block.number ^= 1 << bit,
            _ => frame.header.path = vec![id("a"), id("bz")],
        }
        prop_assert_eq!(frame.open(key).unwrap_err(), Refusal::Broken);
    }

    #[test]
    fn another_key_opens_nothing(pad: bool, at: prop::sample::Index) {
        let cipher = if pad { Cipher::OneTimePad } else { Cipher::Aes256Gcm };
        let (frame, mut key) = frame(cipher, b"");
        let at = at.index(key.len());
        key[at] ^= 1;
        prop_assert_eq!(frame.open(key).unwrap_err(), Refusal::Broken);
    }

    #[test]
    fn a_key_of_another_length_is_refused(pad: bool, length in 0..200_usize) {
        let cipher = if pad { Cipher::OneTimePad } else { Cipher::Aes256Gcm };
        let (frame, key) = frame(cipher, b"some share");
        prop_assume!(length != key.len());
        prop_assert_eq!(frame.open(Zeroizing::new(vec![0; length])).unwrap_err(), Refusal::WrongKey);
    }

    #[test]
    fn shares_make_the_envelope_again_and_a_changed_one_does_not(payload: Vec<u8>, count in 1..=MOST_SHARES, at: prop::sample::Index) {
        let (journey, mut shares) = shares(&payload, count);
        let whole = envelope::combine(&shares).unwrap();
        let (opened, _) = envelope::unwrap(&journey, &whole).unwrap_or_else(|_| panic!("it was not changed"));
        prop_assert_eq!(&*opened, &payload);
        let share = &mut shares[at.index(count)];
        let place = at.index(share.len());
        share[place] ^= 1;
        prop_assert!(envelope::unwrap(&journey, &envelope::combine(&shares).unwrap()).is_err());
        let other = Journey { kind: Kind::Drkey, ..journey };
        prop_assert!(envelope::unwrap(&other, &whole).is_err());
    }

    #[test]
    fn whatever_arrives_is_judged_without_a_panic(text in json()) {
        if let Ok(frame) = serde_json::from_str::<Frame>(&text) {
            let _ = frame.role(&id("b"), &id("a"));
            let _ = frame.open(Zeroizing::new(vec![0; 32]));
        }
        let _ = serde_json::from_str::<source::Answer>(&text);
        let _ = serde_json::from_str::<source::Void>(&text);
    }
}

fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![Just(0), Just(1), any::<u8>()];
    let path = prop::collection::vec("[abz]", 0..5);
    let frame = (number.clone(), number.clone(), number, path, "[A-Za-z0-9+/]{0,8}", any::<u32>());
    let frame = frame.prop_map(|(hop, share, shares, path, bytes, length)| {
        format!(
            r#"{{"header":{{"id":"00000000-0000-0000-0000-000000000000","kind":"keys","attempt":1,"share":{share},"shares":{shares},
            "path":{path:?},"hop":{hop}}},"cipher":"aes-256-gcm","key":[{{"stream":"00000000-0000-0000-0000-000000000000",
            "number":1,"offset":0,"length":{length}}}],"ciphertext":"{bytes}","tag":"{bytes}"}}"#
        )
    });
    prop_oneof![".*", frame]
}

fn assert_all_held_are_kept(network: &Network) {
    for held in &network.held {
        let kept = network.store.iter().find(|(journey, _)| journey.id == *held).map(|(_, payload)| payload);
        assert_eq!(kept, Some(&network.sent[held]));
    }
    for (journey, payload) in &network.store {
        assert_eq!(payload, &network.sent[&journey.id]);
    }
}

fn frame(cipher: Cipher, share: &[u8]) -> (Frame, Secret) {
    let header = Header {
        id: RelayId(Uuid::from_u128(5)),
        kind: Kind::Keys,
        attempt: 1,
        share: 0,
        shares: 1,
        path: ["a", "b", "z"].map(id).into(),
        hop: 1,
    };
    let key = Zeroizing::new(vec![9; cipher.key_bytes(share.len())]);
    let arrived = Arrived::at_source(header, Zeroizing::new(share.to_vec()));
    (arrived.depart(cipher, key_name(1, key.len()), key.clone()).unwrap(), key)
}

fn journey(number: u128) -> Journey {
    Journey { source: id("a"), id: RelayId(Uuid::from_u128(number)), kind: Kind::Keys, destination: id("z") }
}

fn shares(payload: &[u8], count: usize) -> (Journey, Vec<Secret>) {
    let mut random = Random(1);
    let journey = journey(1);
    let mut fill = |bytes: &mut [u8]| random.fill(bytes);
    let (envelope, _) = envelope::wrap(&journey, payload, &mut fill);
    (journey, envelope::split(&envelope, count, &mut fill))
}

fn arrived(journey: &Journey, shares: &[Secret], share: u8, attempt: u8) -> Arrived {
    let header = Header {
        id: journey.id,
        kind: journey.kind,
        attempt,
        share,
        shares: u8::try_from(shares.len()).unwrap(),
        path: vec![journey.source.clone(), journey.destination.clone()],
        hop: 1,
    };
    Arrived::at_source(header, shares[usize::from(share)].clone())
}

fn outcome(action: destination::Action) -> Outcome {
    match action {
        destination::Action::Answer(answer) => answer.outcome,
        other => panic!("no answer: {other:?}"),
    }
}
