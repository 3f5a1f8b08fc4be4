//! What a neighbour may try that is not honest.

use proptest::prelude::*;

use super::protocol::{SOON, attached, flood, id, known, server, sign, signed_by};
use super::*;
use crate::encoding::Bytes64;
use crate::routing::message::MOST_ADVERTISEMENTS;

#[test]
fn what_its_origin_did_not_sign_is_refused_and_not_passed_on() {
    let mut server = server(["x", "y"]);
    let mut changed = attached("far", 1, &["sae"]);
    changed.advertisement.stamp.sequence = 2;
    let by_another = signed_by("x", attached("far", 3, &["sae"]).advertisement);
    for forged in [changed, by_another] {
        let actions = server.on_message(&id("x"), flood(&[forged]), SOON);
        let refusal = Refusal::Forged { origin: id("far") };
        assert!(actions.contains(&Action::Refused { from: id("x"), refusal }), "{actions:?}");
        assert!(!actions.iter().any(|action| matches!(action, Action::Send { to, .. } if *to == id("y"))));
        assert!(known(&mut server, "far").is_empty());
    }
}

#[test]
fn a_forged_advertisement_of_the_far_future_does_not_silence_the_true_origin() {
    let mut server = server(["x"]);
    let mut forged = attached("far", 1, &["hijacked"]);
    forged.advertisement.stamp = Stamp { boot: 1 << 61, sequence: 1 << 61 };
    server.on_message(&id("x"), flood(&[forged]), SOON);
    server.on_message(&id("x"), flood(&[attached("far", 1, &["sae"])]), SOON);
    assert_eq!(known(&mut server, "far"), ["sae"]);
}

#[test]
fn a_forged_advertisement_of_this_server_does_not_make_it_jump() {
    let mut server = server(["x"]);
    let mut forged = attached("here", 1, &[]);
    forged.advertisement.stamp.boot = 77;
    let before = server.own.stamp;
    server.on_message(&id("x"), flood(&[forged]), SOON);
    assert_eq!(server.own.stamp, before);
}

#[test]
fn nobody_signs_the_last_of_all_stamps() {
    let mut server = server(["x"]);
    for stamp in [Stamp { boot: u64::MAX, sequence: 0 }, Stamp { boot: (1 << 62) - 1, sequence: (1 << 62) - 1 }] {
        let mut last = attached("far", 1, &[]).advertisement;
        last.stamp = stamp;
        let actions = server.on_message(&id("x"), flood(&[signed_by("far", last)]), SOON);
        let refusal = Refusal::Malformed { origin: id("far"), why: Malformed::LastStamp };
        assert!(actions.contains(&Action::Refused { from: id("x"), refusal }));
    }
}

#[test]
fn a_replay_changes_nothing() {
    let mut server = server(["x"]);
    let [old, new] = [(1, "old"), (2, "new")].map(|(sequence, sae)| attached("far", sequence, &[sae]));
    server.on_message(&id("x"), flood(&[old.clone(), new]), SOON);
    server.on_message(&id("x"), flood([&old]), SOON);
    assert_eq!(known(&mut server, "far"), ["new"]);
    // Nor does it when the newer one has just been forgotten.
    let end = SOON.saturating_add(Settings::default().max_age);
    server.on_tick(end);
    server.on_message(&id("x"), flood(&[old]), end);
    assert!(known(&mut server, "far").is_empty());
}

#[test]
fn whoever_lies_that_an_advertisement_is_over_is_corrected_by_the_next_who_does_not() {
    let mut server = server(["liar", "y"]);
    server.on_message(&id("y"), flood(&[attached("far", 1, &["sae"])]), SOON);
    let new = Arc::new(attached("far", 2, &["sae"]));
    let old_age = Message::Advertisements(vec![Flooded { signed: Arc::clone(&new), age_millis: u64::MAX }]);
    server.on_message(&id("liar"), old_age, SOON);
    assert!(known(&mut server, "far").is_empty());
    server.on_message(&id("y"), flood([&*new]), SOON);
    assert_eq!(known(&mut server, "far"), ["sae"]);
}

#[test]
fn there_is_room_for_so_many_servers_and_no_more() {
    let mut server = server(["x"]);
    server.settings.most_servers = 3;
    server.database = Database::new(Limits { max_age: Settings::default().max_age, most_origins: 3 });
    for origin in ["a", "b", "c", "d", "e"] {
        server.on_message(&id("x"), flood(&[attached(origin, 1, &[])]), SOON);
    }
    assert_eq!(server.servers(), 3);
}

#[test]
fn what_is_too_large_or_makes_no_sense_is_refused() {
    let neighbour = |name: &str| Neighbour { server: id(name), cost: Cost::MIN, free_bits: 0 };
    let adjacent = |url: Option<&str>, neighbours: Vec<Neighbour>| {
        Content::Adjacent(Adjacent { url: url.map(str::to_owned), neighbours })
    };
    let attached = |page, pages, saes: &[&str]| {
        let saes = saes.iter().map(|sae| sae.parse().unwrap()).collect();
        Content::Attached(Attached { page, pages, saes, ases: Vec::new() })
    };
    let many: Vec<_> = (0..=MOST_PER_PAGE).map(|number| format!("{number:09}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let crowd = (0..=MOST_NEIGHBOURS).map(|number| neighbour(&format!("{number:09}"))).collect();
    for (content, why) in [
        (attached(0, 0, &[]), Malformed::NoSuchPage),
        (attached(3, 3, &[]), Malformed::NoSuchPage),
        (attached(0, MOST_PAGES + 1, &[]), Malformed::NoSuchPage),
        (attached(0, 1, &many), Malformed::TooLarge),
        (attached(0, 1, &["b", "a"]), Malformed::Unordered),
        (attached(0, 1, &["a", "a"]), Malformed::Unordered),
        (adjacent(None, crowd), Malformed::TooLarge),
        (adjacent(None, vec![neighbour("b"), neighbour("a")]), Malformed::Unordered),
        (adjacent(None, vec![neighbour("far")]), Malformed::OwnNeighbour),
        (adjacent(Some("http://a"), vec![]), Malformed::Url),
    ] {
        let mut server = server(["x"]);
        let actions = server.on_message(&id("x"), flood(&[sign("far", 1, content)]), SOON);
        let refusal = Refusal::Malformed { origin: id("far"), why };
        assert!(actions.contains(&Action::Refused { from: id("x"), refusal }), "{why}");
        assert_eq!(server.servers(), 1);
    }
}

#[test]
fn a_message_or_a_seal_that_is_too_large_is_refused() {
    let mut server = server(["x"]);
    let mut heavy = attached("far", 1, &[]);
    heavy.seal.chain = vec![Bytes64(vec![0; 9_000])];
    let actions = server.on_message(&id("x"), flood(&[heavy]), SOON);
    let refusal = Refusal::Malformed { origin: id("far"), why: Malformed::TooLarge };
    assert!(actions.contains(&Action::Refused { from: id("x"), refusal }));
    for message in [Message::Summary(Vec::new()), flood(&vec![attached("far", 1, &[]); MOST_ADVERTISEMENTS + 1])] {
        let actions = server.on_message(&id("x"), message, SOON);
        assert!(actions.contains(&Action::Refused { from: id("x"), refusal: Refusal::TooLarge }));
    }
}

#[test]
fn strangers_are_not_listened_to() {
    let mut server = server(["x"]);
    assert!(server.on_message(&id("stranger"), flood(&[attached("far", 1, &["sae"])]), SOON).is_empty());
    assert!(known(&mut server, "far").is_empty());
}

proptest! {
    #[test]
    fn whatever_arrives_is_answered_without_a_panic(text in json(), buckets in prop::collection::vec(any::<u16>(), 0..9)) {
        let mut server = server(["x"]);
        if let Ok(message) = serde_json::from_str::<Message>(&text) {
            server.on_message(&id("x"), message, SOON);
        }
        let headings = vec![Heading { key: attached("q", 1, &[]).advertisement.key(), stamp: Stamp::first(u64::MAX) }];
        server.on_message(&id("x"), Message::Digest(Digest { buckets, headings: headings.clone() }), SOON);
        server.on_message(&id("x"), Message::Acknowledged(headings), SOON);
        server.on_message(&id("x"), Message::Wanted(vec![Key { origin: id("here"), kind: Kind::Attached, page: u16::MAX }]), SOON);
    }
}

/// Texts, many of which look like messages.
fn json() -> impl Strategy<Value = String> {
    let number =
        prop_oneof![Just("0".to_owned()), Just("1".to_owned()), any::<u64>().prop_map(|number| number.to_string())];
    let adjacent = (number.clone(), number.clone(), number.clone(), number.clone()).prop_map(|(boot, sequence, age, bits)| {
        format!(
            r#"{{"about":"advertisements","body":[{{"signed":{{"advertisement":{{"origin":"o","stamp":{{"boot":{boot},"sequence":{sequence}}},
            "content":{{"type":"K","url":null,"neighbours":[{{"server":"here","cost":1,"free_bits":{bits}}}]}}}},
            "seal":{{"chain":[],"scheme":0,"signature":""}}}},"age_millis":{age}}}]}}"#
        )
    });
    let attached = (number.clone(), number.clone(), number).prop_map(|(page, pages, age)| {
        format!(
            r#"{{"about":"advertisements","body":[{{"signed":{{"advertisement":{{"origin":"here","stamp":{{"boot":9,"sequence":9}},
            "content":{{"type":"S","page":{page},"pages":{pages},"saes":["s"],"ases":["1-1"]}}}},
            "seal":{{"chain":["AA=="],"scheme":0,"signature":"AAAA"}}}},"age_millis":{age}}}]}}"#
        )
    });
    prop_oneof![".*", adjacent, attached]
}
