//! One server, message by message.

use proptest::prelude::*;

use super::*;
use crate::routing::simulation::Hashing;

#[test]
fn what_is_learned_goes_to_all_neighbours_but_the_one_that_brought_it() {
    let mut server = server(["x", "y", "z"]);
    let news = attached("far", 1, &["sae"]);
    let actions = server.on_message(&id("x"), flood([&news]), SOON);
    assert_eq!(flooded_to(&actions, &news), [id("y"), id("z")]);
    assert_eq!(server.routes().server_of(&"sae".parse().unwrap()), Some(&id("far")));
}

#[test]
fn what_is_known_is_acknowledged_and_goes_no_further() {
    let mut server = server(["x", "y"]);
    let news = attached("far", 1, &["sae"]);
    server.on_message(&id("x"), flood([&news]), SOON);
    let actions = server.on_message(&id("y"), flood([&news]), SOON);
    let heading = Heading { key: news.advertisement.key(), stamp: news.advertisement.stamp };
    let acknowledged = Action::Send { to: id("y"), message: Message::Acknowledged(vec![heading]) };
    assert_eq!(actions, [acknowledged]);
}

#[test]
fn who_brings_something_outdated_gets_what_is_newer() {
    let mut server = server(["x", "y"]);
    let [old, new] = [1, 2].map(|sequence| attached("far", sequence, &["sae"]));
    server.on_message(&id("x"), flood([&new]), SOON);
    acknowledge_all(&mut server, "y", SOON);
    let actions = server.on_message(&id("y"), flood(&[old]), SOON);
    assert_eq!(flooded_to(&actions, &new), [id("y")]);
}

#[test]
fn a_neighbour_that_does_not_answer_costs_nothing_and_gets_everything_when_it_does() {
    let mut server = server(["x", "y"]);
    server.neighbour_down(&id("y"), SOON);
    for number in 0..100 {
        server.on_message(&id("x"), flood(&[attached(&format!("far-{number}"), 1, &[])]), SOON);
    }
    let late = Nanos::from_secs(100);
    assert!(server.on_tick(late).iter().all(|action| !matches!(action, Action::Send { to, .. } if *to == id("y"))));
    assert!(server.neighbours[&id("y")].live.is_none());

    let mut back = Routing::new(id("y"), 2, 0, Settings::default(), Arc::new(Hashing(id("y"))), late);
    back.set_link(&id("here"), STOCK, late);
    let there = back.neighbour_up(&id("here"), late);
    let here = server.neighbour_up(&id("y"), late);
    converse((&mut server, here), (&mut back, there), late);
    assert_eq!(back.servers(), 102);
}

#[test]
fn the_pages_of_a_stamp_take_effect_together() {
    let mut server = server(["x"]);
    let before = attached("far", 1, &["a", "b"]);
    let pages = [(0, "a"), (1, "c")].map(|(page, sae)| {
        let saes = vec![sae.parse().unwrap()];
        sign("far", 2, Content::Attached(Attached { page, pages: 2, saes, ases: Vec::new() }))
    });
    server.on_message(&id("x"), flood(&[before]), SOON);
    server.on_message(&id("x"), flood(&pages[1..]), SOON);
    assert_eq!(known(&mut server, "far"), ["a", "b"]);
    server.on_message(&id("x"), flood(&pages[..1]), SOON);
    assert_eq!(known(&mut server, "far"), ["a", "c"]);
}

#[test]
fn a_server_with_many_applications_is_known_whole() {
    let mut one = server(["two"]);
    let count = 3 * MOST_PER_PAGE - 7;
    let saes = (0..count).map(|number| format!("sae-{number}").parse().unwrap());
    let actions = one.set_attached(saes.collect(), BTreeSet::from(["1-15".parse().unwrap()]), LATER);
    let mut two = Routing::new(id("two"), 1, 0, Settings::default(), Arc::new(Hashing(id("two"))), LATER);
    two.set_link(&id("here"), STOCK, LATER);
    let begin = two.neighbour_up(&id("here"), LATER);
    converse((&mut one, actions), (&mut two, begin), LATER);
    assert_eq!(two.routes().saes_of(&id("here")).count(), count);
    assert_eq!(two.routes().server_of_as("1-15".parse().unwrap()), Some(&id("here")));
}

#[test]
fn what_is_not_refreshed_is_forgotten_in_time_and_not_taken_back() {
    let mut server = server(["x"]);
    let news = attached("far", 1, &["sae"]);
    server.on_message(&id("x"), flood([&news]), SOON);
    let end = SOON.saturating_add(Settings::default().max_age);
    server.on_tick(Nanos(end.0 - 1));
    assert_eq!(known(&mut server, "far"), ["sae"]);
    server.on_tick(end);
    assert!(known(&mut server, "far").is_empty());
    let aged = Flooded { signed: Arc::new(news), age_millis: Settings::default().max_age.0 / 1_000_000 };
    server.on_message(&id("x"), Message::Advertisements(vec![aged]), end);
    assert!(known(&mut server, "far").is_empty());
}

#[test]
fn an_age_is_passed_on() {
    let mut server = server(["x", "y"]);
    let flooded = Flooded { signed: Arc::new(attached("far", 1, &["sae"])), age_millis: 30_000 };
    let actions = server.on_message(&id("x"), Message::Advertisements(vec![flooded]), SOON);
    let Some(Action::Send { message: Message::Advertisements(passed), .. }) = actions.last() else {
        panic!("{actions:?}")
    };
    assert_eq!(passed[0].age_millis, 30_000);
    server.on_tick(SOON.saturating_add(Nanos::from_secs(170)));
    assert!(known(&mut server, "far").is_empty());
}

#[test]
fn of_two_servers_that_have_the_same_application_the_first_keeps_it_and_the_operator_is_told() {
    let mut server = server(["x"]);
    server.on_message(&id("x"), flood(&[attached("first", 1, &["sae"])]), LATER);
    let actions =
        server.on_message(&id("x"), flood(&[attached("a-thief", 1, &["sae"])]), LATER.saturating_add(Nanos(1)));
    let conflict =
        Conflict { about: Claimed::Sae("sae".parse().unwrap()), holder: id("first"), others: vec![id("a-thief")] };
    assert!(actions.contains(&Action::Conflict(conflict.clone())));
    assert_eq!(server.routes().conflicts().collect::<Vec<_>>(), [conflict]);
    assert_eq!(server.routes().server_of(&"sae".parse().unwrap()), Some(&id("first")));

    server.on_message(&id("x"), flood(&[attached("first", 2, &["sae", "more"])]), LATER.saturating_add(Nanos(2)));
    assert_eq!(server.routes().server_of(&"sae".parse().unwrap()), Some(&id("first")));
    server.on_message(&id("x"), flood(&[attached("first", 3, &[])]), LATER.saturating_add(Nanos(3)));
    assert_eq!(server.routes().server_of(&"sae".parse().unwrap()), Some(&id("a-thief")));
    assert_eq!(server.routes().conflicts().count(), 0);
}

#[test]
fn claims_that_come_right_after_the_start_go_by_name_whichever_comes_first() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut server = server(["x"]);
        for (moment, claimer) in (1..).zip(order) {
            server.on_message(&id("x"), flood(&[attached(claimer, 1, &["sae"])]), Nanos(moment));
        }
        assert_eq!(server.routes().server_of(&"sae".parse().unwrap()), Some(&id("a")));
    }
}

#[test]
fn nobody_can_claim_what_is_attached_here() {
    let mut server = server(["x"]);
    server.on_message(&id("x"), flood(&[attached("a-thief", 1, &["sae"])]), SOON);
    server.set_attached(BTreeSet::from(["sae".parse().unwrap()]), BTreeSet::new(), LATER);
    assert_eq!(server.routes().server_of(&"sae".parse().unwrap()), Some(&id("here")));
}

#[test]
fn small_changes_of_the_stock_are_not_advertised() {
    let mut server = server(["x"]);
    acknowledge_all(&mut server, "x", LATER);
    for (free_bits, advertised) in [(505, false), (495, false), (460, false), (300, true), (300, false)] {
        let stock = LinkStock { free_bits, capacity_bits: 1_000 };
        let before = server.own.stamp;
        server.set_link(&id("x"), stock, LATER);
        let at = LATER.saturating_add(Nanos::from_secs(1));
        server.on_tick(at);
        assert_eq!(server.own.stamp > before, advertised, "{free_bits}");
        server.own.advertised(Kind::Adjacent, Nanos::from_secs(900), Nanos(0));
    }
}

#[test]
fn changes_in_quick_succession_are_advertised_together() {
    let mut server = server(["x"]);
    server.on_tick(LATER);
    let before = server.own.stamp;
    for moment in 0..100 {
        let url = Some(format!("https://qks.example:{}", 1_000 + moment));
        server.set_url(url, LATER.saturating_add(Nanos::from_millis(moment)));
    }
    assert!(server.own.stamp.sequence <= before.sequence + 1);
    server.on_tick(LATER.saturating_add(Nanos::from_secs(1)));
    assert_eq!(server.routes().url_of(&id("here")), Some("https://qks.example:1099"));
}

#[test]
fn only_urls_of_https_are_advertised() {
    let mut server = server(["x"]);
    for url in ["http://a", "https:///", "file:///etc", "a", &format!("https://{}.example", "a".repeat(600))] {
        server.set_url(Some(url.to_owned()), SOON);
        assert_eq!(server.own.url, None, "{url}");
    }
}

#[test]
fn a_server_that_lost_count_goes_on_after_its_last_advertisement() {
    let mut server = server(["x"]);
    let remembered = Advertisement {
        origin: id("here"),
        stamp: Stamp { boot: 9, sequence: 5 },
        content: Content::Attached(Attached { page: 0, pages: 1, saes: Vec::new(), ases: Vec::new() }),
    };
    let actions = server.on_message(&id("x"), flood(&[signed_by("here", remembered)]), LATER);
    assert!(actions.contains(&Action::KeepBoot(9)));
    assert!(server.own.stamp > Stamp { boot: 9, sequence: 5 });
    assert!(
        server.database.stamp(&Key { origin: id("here"), kind: Kind::Attached, page: 0 })
            > Some(Stamp { boot: 9, sequence: 5 })
    );
}

#[test]
fn messages_read_back_as_they_were_written() {
    let news = attached("far", 1, &["sae \"quoted\""]);
    let heading = Heading { key: news.advertisement.key(), stamp: news.advertisement.stamp };
    let adjacent = Adjacent {
        url: Some("https://a".to_owned()),
        neighbours: vec![Neighbour { server: id("n"), cost: Cost::NEW, free_bits: u64::MAX }],
    };
    for message in [
        flood(&[news, sign("far", 7, Content::Adjacent(adjacent))]),
        Message::Summary(vec![u64::MAX; BUCKETS]),
        Message::Digest(Digest { buckets: vec![3], headings: vec![heading.clone()] }),
        Message::Wanted(vec![heading.key.clone()]),
        Message::Acknowledged(vec![heading]),
    ] {
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message, "{text}");
    }
}

proptest! {
    #[test]
    fn other_advertisements_have_other_bytes_to_sign(one in content(), other in content(), sequence in 0..3_u64) {
        let [first, second] = [(one, 1), (other, sequence)].map(|(content, sequence)| {
            Advertisement { origin: id("o"), stamp: Stamp { boot: 1, sequence }, content }
        });
        prop_assert_eq!(first == second, first.signed_bytes() == second.signed_bytes());
    }
}

fn content() -> impl Strategy<Value = Content> {
    let name = "[ab]{1,2}";
    let attached = (0..2_u16, 0..3_u16, prop::collection::vec(name, 0..3), prop::collection::vec(0..2_u64, 0..2));
    let attached = attached.prop_map(|(page, pages, saes, ases)| {
        let saes = saes.iter().map(|sae| sae.parse().unwrap()).collect();
        Content::Attached(Attached { page, pages, saes, ases: ases.into_iter().map(IsdAs::from_bits).collect() })
    });
    let neighbours = prop::collection::vec((name, 1..3_u8, 0..3_u64), 0..3);
    let adjacent = (prop::option::of("[ab]{0,2}"), neighbours).prop_map(|(url, neighbours)| {
        let neighbour = |(server, cost, free_bits): (String, u8, u64)| Neighbour {
            server: id(&server),
            cost: Cost::try_from(cost).unwrap(),
            free_bits,
        };
        Content::Adjacent(Adjacent { url, neighbours: neighbours.into_iter().map(neighbour).collect() })
    });
    prop_oneof![attached, adjacent]
}

/// Lets two servers talk until neither has anything to say.
fn converse((one, first): (&mut Routing, Vec<Action>), (other, second): (&mut Routing, Vec<Action>), now: Nanos) {
    let mut open: Vec<_> = first.into_iter().map(|action| (true, action)).collect();
    open.extend(second.into_iter().map(|action| (false, action)));
    while let Some((from_one, action)) = open.pop() {
        let Action::Send { to, message } = action else { continue };
        let (from, receiver) =
            if from_one { (one.local.clone(), &mut *other) } else { (other.local.clone(), &mut *one) };
        if to == receiver.local {
            let answers = receiver.on_message(&from, message, now);
            open.extend(answers.into_iter().map(|answer| (!from_one, answer)));
        }
    }
}

/// A server called `here` whose neighbours are up, and have acknowledged what there was.
pub(super) fn server<const N: usize>(neighbours: [&str; N]) -> Routing {
    let signatures = Arc::new(Hashing(id("here")));
    let mut server = Routing::new(id("here"), 1, 0, Settings::default(), signatures, Nanos(0));
    for neighbour in neighbours {
        server.set_link(&id(neighbour), STOCK, Nanos(0));
        server.neighbour_up(&id(neighbour), Nanos(0));
    }
    server.on_tick(Nanos::from_millis(600));
    neighbours.iter().for_each(|neighbour| acknowledge_all(&mut server, neighbour, Nanos::from_millis(600)));
    server
}

/// As if the neighbour acknowledged all there is.
fn acknowledge_all(server: &mut Routing, neighbour: &str, now: Nanos) {
    for _ in 0..3 {
        let headings = (0..BUCKETS).flat_map(|bucket| server.database.bucket(bucket)).collect();
        server.on_message(&id(neighbour), Message::Acknowledged(headings), now);
    }
}

pub(super) fn flood<'a>(all: impl IntoIterator<Item = &'a Signed>) -> Message {
    Message::Advertisements(
        all.into_iter().map(|one| Flooded { signed: Arc::new(one.clone()), age_millis: 0 }).collect(),
    )
}

pub(super) fn attached(origin: &str, sequence: u64, saes: &[&str]) -> Signed {
    let mut saes: Vec<SaeId> = saes.iter().map(|sae| sae.parse().unwrap()).collect();
    saes.sort();
    sign(origin, sequence, Content::Attached(Attached { page: 0, pages: 1, saes, ases: Vec::new() }))
}

pub(super) fn sign(origin: &str, sequence: u64, content: Content) -> Signed {
    signed_by(origin, Advertisement { origin: id(origin), stamp: Stamp { boot: 1, sequence }, content })
}

pub(super) fn signed_by(signer: &str, advertisement: Advertisement) -> Signed {
    let seal = Hashing(id(signer)).sign(&advertisement.signed_bytes()).unwrap();
    Signed { advertisement, seal }
}

/// The applications that are known to be attached to a server.
pub(super) fn known(server: &mut Routing, origin: &str) -> Vec<String> {
    server.routes().saes_of(&id(origin)).map(ToString::to_string).collect()
}

/// The neighbours that the advertisement is sent to.
fn flooded_to(actions: &[Action], signed: &Signed) -> Vec<QksId> {
    let to = actions.iter().filter_map(|action| match action {
        Action::Send { to, message: Message::Advertisements(sent) } => {
            sent.iter().any(|flooded| *flooded.signed == *signed).then(|| to.clone())
        }
        _ => None,
    });
    to.collect()
}

pub(super) fn id(name: &str) -> QksId {
    name.parse().unwrap()
}

const STOCK: LinkStock = LinkStock { free_bits: 500, capacity_bits: 1_000 };
pub(super) const SOON: Nanos = Nanos::from_secs(1);
/// After claims have settled.
const LATER: Nanos = Nanos::from_secs(90);
