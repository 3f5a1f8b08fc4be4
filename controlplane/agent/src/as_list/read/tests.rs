use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use photongate_drkey::{KeyTimes, Protocol};
use photongate_net::config::Format;

use super::*;
use crate::as_list::{Held, SecretFiles};
use crate::keys::shared_secret::SecretMaterial;

#[test]
fn a_peer_has_what_its_section_says() {
    let text = peer(
        "20-ff00:0:112",
        r#"name = "Zürich, 2nd floor"
           prefixes = ["fd00::/8", "10.1.0.0/16"]
           drkey_protocol = 7
           keys = "shared_secret"
           limit = { packets_per_second = 5 }
           best_effort = "drop""#,
    );
    let list = read(&text).unwrap().list;
    let [peer] = list.peers() else { panic!("one peer is expected") };
    assert_eq!((peer.key.isd_as.to_string(), peer.key.protocol), ("20-ff00:0:112".to_owned(), Protocol(7)));
    assert_eq!(peer.name.as_deref(), Some("Zürich, 2nd floor"));
    assert_eq!(peer.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.1.0.0/16", "fd00::/8"]);
    assert_eq!(peer.limit.as_ref().unwrap().packets_per_second, Some(5));
    assert!(peer.refuse_best_effort && list.refuses_best_effort());
    assert_eq!(list.routes().look_up("10.1.2.3".parse().unwrap()).unwrap().peer(), peer.key);
}

#[test]
fn what_a_peer_does_not_say_has_its_default() {
    let list = read(&peer("3-1", "")).unwrap().list;
    let [peer] = list.peers() else { panic!("one peer is expected") };
    assert_eq!(peer.key.protocol, context().default_protocol);
    assert_eq!((peer.name.as_deref(), peer.prefixes.len(), peer.limit.as_ref()), (None, 0, None));
    assert!(!peer.refuse_best_effort);
    assert_eq!(peer.encapsulation, PeerEncapsulation::only(Encapsulation::Lf));
    assert_eq!(peer.source.kind(), "shared_secret");
}

#[test]
fn a_peer_accepts_what_it_is_sent_or_what_its_section_says() {
    let encapsulation = |text: &str| read(&peer("3-1", text)).unwrap().list.peers()[0].encapsulation;
    assert_eq!(encapsulation("encapsulation = \"lf2\""), PeerEncapsulation::only(Encapsulation::Lf2));
    let both = PeerEncapsulation { send: Encapsulation::Lf, accept: Encapsulations::ALL };
    assert_eq!(encapsulation("accept = [\"lf\", \"lf2\"]"), both);
    let crossed = PeerEncapsulation { send: Encapsulation::Lf2, accept: Encapsulations::only(Encapsulation::Lf) };
    assert_eq!(encapsulation("encapsulation = \"lf2\"\naccept = [\"lf\"]"), crossed);
    assert!(!read(&peer("3-1", "")).unwrap().list.accepts_lf2());
    assert!(read(&peer("3-1", "encapsulation = \"lf2\"")).unwrap().list.accepts_lf2());
}

#[test]
fn encapsulations_that_there_are_not_are_refused() {
    let refusal = |text: &str| refusals(&peer("3-1", text)).concat();
    assert!(refusal("encapsulation = \"lf3\"").contains(r#""lf3" is not a choice here: write "lf" or "lf2""#));
    assert!(refusal("accept = [\"spao\"]").contains(r#""spao" is not a choice here: write "lf" or "lf2""#));
    assert!(refusal("accept = []").contains("accepts nothing: write what the peer may send"));
}

#[test]
fn peers_are_found_by_their_keys_whatever_their_order() {
    let list = read(&(peer("9-1", "") + &peer("3-1", "") + &peer("3-1", "drkey_protocol = 1"))).unwrap().list;
    let keys: Vec<_> = list.peers().iter().map(|peer| (peer.key.isd_as.isd(), peer.key.protocol.0)).collect();
    assert_eq!(keys, [(3, 1), (3, 9), (9, 9)]);
    assert!(list.peers().iter().all(|peer| list.get(peer.key).is_some()));
    assert!(list.get(PeerKey { isd_as: IsdAs::from_bits(1), protocol: Protocol(9) }).is_none());
}

#[test]
fn an_empty_document_is_no_list() {
    assert_eq!(
        refusals(""),
        ["list.toml:1:1: peers: missing: add a [[peers]] section for each peer, or peers = [] to have none"]
    );
    assert!(refusals("[[peer]]\n")[1].contains("did you mean `peers`?"), "{:?}", refusals("[[peer]]\n"));
    let read = read("peers = []").unwrap();
    assert!(read.list.peers().is_empty());
    assert_eq!(
        read.warnings[0].to_string(),
        "list.toml:1:9: peers: no peers: nothing can be authenticated, in either direction"
    );
}

#[test]
fn an_empty_peer_is_asked_for_what_it_lacks() {
    let secrets = r#"shared_secrets = [{ secret = "(32 hexadecimal digits)", not_before = "2026-01-01T00:00:00Z" }]"#;
    assert_eq!(
        refusals("[[peers]]\n"),
        [
            r#"list.toml:1:1: peers[0].isd_as: missing: add isd_as = "1-ff00:0:110""#.to_owned(),
            format!("list.toml:1:1: peers[0].shared_secrets: missing: add {secrets}"),
        ]
    );
    let json =
        AsList::read("list.json".as_ref(), r#"{"peers": [{}]}"#, Format::Json, &context()).unwrap_err().to_string();
    let secrets =
        r#""shared_secrets": [{ "not_before": "2026-01-01T00:00:00Z", "secret": "(32 hexadecimal digits)" }]"#;
    assert!(json.contains(&format!("missing: add {secrets}")), "{json}");
}

#[test]
fn mistakes_of_many_peers_are_reported_at_once_with_their_lines() {
    let text = peer("1-1", "nam = \"x\"") + &peer("3-1", "") + &peer("x", "limit = {}") + &peer("3-1", "");
    assert_eq!(
        refusals(&text),
        [
            "list.toml:2:10: peers[0].isd_as: \"1-1\" is this filter's own AS (isd_as): peers are other ASes",
            "list.toml:4:1: peers[0].nam: unknown field: did you mean `name`?",
            "list.toml:10:10: peers[2].isd_as: \"x\" is not an ISD-AS number: write it like 1-ff00:0:110 or 1-64512",
            "list.toml:12:9: peers[2].limit: limits nothing: add bits_per_second or packets_per_second, or remove it",
            "list.toml:14:10: peers[3].isd_as: 3-1 with DRKey protocol 9 is peers[1] already: keep one of them",
        ]
    );
}

#[test]
fn a_peer_is_listed_once_for_each_protocol() {
    refused(&(peer("3-1", "") + &peer("3-1", "drkey_protocol = 9")), "3-1 with DRKey protocol 9 is peers[0] already");
    assert_eq!(read(&(peer("3-1", "") + &peer("3-1", "drkey_protocol = 4"))).unwrap().list.peers().len(), 2);
}

#[test]
fn a_prefix_lies_behind_one_peer() {
    let first = peer("3-1", "prefixes = [\"10.2.0.0/16\"]");
    let second = |prefixes: &str| format!("{first}{}", peer("4-1", &format!("prefixes = [{prefixes}]")));
    refused(
        &second(r#""10.2.0.0/16""#),
        r#"peers[1].prefixes[0]: "10.2.0.0/16" is a prefix of peers[0] already: it can lie behind one peer only"#,
    );
    refused(
        &second(r#""10.3.0.0/16", "10.3.0.0/16""#),
        r#"peers[1].prefixes[1]: "10.3.0.0/16" is listed twice: keep one"#,
    );
    refused(
        &second(r#""10.3.0.1/16""#),
        "\"10.3.0.1/16\" has bits beyond its length: write 10.3.0.0/16, or 10.3.0.1/32 for the one address",
    );
    assert!(read(&second(r#""10.2.0.0/17""#)).is_ok(), "prefixes may lie within one another");
}

#[test]
fn ipv6_needs_links_of_1280_bytes() {
    let context = Context { least_mtu: 1279, ..context() };
    let text = peer("3-1", "prefixes = [\"10.0.0.0/8\", \"2001:db8::/32\"]");
    let problems = AsList::read(FILE.as_ref(), &text, Format::Toml, &context).unwrap_err().to_string();
    let expected = "peers[0].prefixes[1]: \"2001:db8::/32\" is IPv6, which needs links of 1280 bytes, and a port has an mtu \
                    of 1279: raise it";
    assert!(problems.ends_with(expected), "{problems}");
    assert!(read(&text).is_ok());
}

#[test]
fn more_peers_than_there_is_room_for_are_refused() {
    let text: String = (2..6).map(|isd| peer(&format!("{isd}-1"), "")).collect();
    refused(&text, "peers: 4 peers, but keys.max_peers is 3: raise it");
}

#[test]
fn names_can_be_printed_and_are_short() {
    for (name, expected) in [
        ("", "\"\" is no name: write what you call this peer, or leave it out"),
        ("  ", "\"  \" is no name: write what you call this peer, or leave it out"),
        ("\u{1b}[2J", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        ("\u{202e}gpj", "cannot be printed"),
    ] {
        let toml: String = name.chars().map(|character| format!("\\u{:04x}", u32::from(character))).collect();
        refused(&peer("3-1", &format!("name = \"{toml}\"")), expected);
    }
    let longest = "ä".repeat(64);
    assert!(read(&peer("3-1", &format!("name = \"{longest}\""))).is_ok());
    refused(&peer("3-1", &format!("name = \"{longest}x\"")), "has 65 characters: a name has 64 at most");
}

#[test]
fn a_key_source_that_is_not_known_is_answered_with_those_that_are() {
    let expected = r#"peers[0].keys: "scion" is not a choice here: write "shared_secret" or "qks""#;
    refused(&peer("3-1", "keys = \"scion\""), expected);
}

#[test]
fn a_peer_whose_keys_come_from_the_key_server_needs_no_secrets_and_may_have_none() {
    let without = "[[peers]]\nisd_as = \"3-1\"\nkeys = \"qks\"\n";
    assert!(matches!(read(without).unwrap().list.peers()[0].source, Source::KeyServer));
    refused(&peer("3-1", "keys = \"qks\""), "peers[0].shared_secrets: given beside keys = \"qks\"");
}

#[test]
fn keys_from_a_key_server_need_one() {
    let text = "[[peers]]\nisd_as = \"3-1\"\nkeys = \"qks\"\n";
    let context = Context { has_key_server: Some(false), ..context() };
    let problems = AsList::read(FILE.as_ref(), text, Format::Toml, &context).unwrap_err();
    assert!(problems.to_string().contains("peers[0].keys: \"qks\" needs a key server: add [qks]"));
}

#[test]
fn bad_secrets_are_refused_without_showing_them() {
    let zeroes = "0".repeat(32);
    let cases = [
        (
            format!("{{ secret = \"{zeroes}\", {START} }}"),
            ": a shared secret must not be all zeroes: generate one with `openssl rand -hex 16`",
        ),
        (
            format!("{{ secret = \"{SECRET}0\", {START} }}"),
            ".secret: this is no key: it has 33 characters, but a key is 32 hexadecimal digits",
        ),
        (format!("{{ {START} }}"), ".secret: missing: add secret = \"(32 hexadecimal digits)\" or file = \"…\""),
        (format!("{{ secret = \"{SECRET}\" }}"), ".not_before: missing: add not_before = \"2026-01-01T00:00:00Z\""),
        (
            format!("{{ secret = \"{SECRET}\", not_before = \"{SECRET}\" }}"),
            ".not_before: this is not a time: write it like 2026-01-01T00:00:00Z",
        ),
        (
            format!("{{ secret = \"{SECRET}\", not_before = 2200-01-01T00:00:00Z }}"),
            ".not_before: this lies beyond the year 2200: correct the date",
        ),
        (
            format!("{{ secret = \"{SECRET}\", {START} }}, {{ secret = \"{SECRET}\", {START} }}"),
            ".not_before: this is the not_before of an earlier secret too: which one is meant?",
        ),
        (format!("{{ secret = \"{SECRET}\", held = true, {START} }}"), ".held: given beside secret: keep one of them"),
        (format!("{{ held = false, {START} }}"), ".held: false says nothing: leave it out"),
        (format!("{{ held = true, {START} }}"), ".held: no secret is held here: give secret or file"),
        (format!("{{ file = \"{SECRET}\", {START} }}"), ".file: this is a key, not the name of a file that holds one"),
    ];
    for (secrets, expected) in cases {
        let problems = refusals(&format!("[[peers]]\nisd_as = \"3-1\"\nshared_secrets = [{secrets}]\n"));
        let [problem] = &problems[..] else { panic!("one problem is expected: {problems:?}") };
        assert!(problem.ends_with(expected), "{problem}");
        assert!(!problem.contains(&SECRET[..8]), "{problem}");
    }
}

#[test]
fn a_secret_that_ends_its_predecessor_too_soon_is_refused_at_its_date() {
    // Three days after the first secret its second epoch begins; the second secret would end it a second later.
    let second = format!("{START} }}, {{ secret = \"{SECRET}\", not_before = \"2026-01-04T00:00:01Z\"");
    refused(&peer("3-1", "").replace(START, &second), "peers[0].shared_secrets[1].not_before: the shared secret ");
    let late = second.replace("00:00:01Z", "12:00:00Z");
    assert!(read(&peer("3-1", "").replace(START, &late)).is_ok());
}

#[test]
fn secrets_come_into_use_in_their_order_in_time() {
    let second = format!("{START} }}, {{ secret = \"{SECRET}\", not_before = \"2025-01-01T00:00:00Z\"");
    let list = read(&peer("3-1", "").replace(START, &second)).unwrap().list;
    let secrets = list.peers()[0].source.secrets();
    assert!(secrets.is_sorted_by_key(|secret| secret.not_before) && secrets.len() == 2);
}

#[test]
fn a_secret_may_stand_in_a_file_which_is_looked_at_unless_it_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join(FILE), folder.path().join("peer"));
    let text = peer("3-1", "").replace(&format!("secret = \"{SECRET}\""), "file = \"peer\"");
    let read = |secret_files| AsList::read(&file, &text, Format::Toml, &Context { secret_files, ..context() });
    let message = |problems: Problems| problems.iter().next().unwrap().message.clone();

    assert!(message(read(SecretFiles::Check).unwrap_err()).contains("cannot be read"));
    assert!(read(SecretFiles::Trust).is_ok());
    fs::write(&secret, "0".repeat(32)).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    assert!(message(read(SecretFiles::Check).unwrap_err()).contains("must not be all zeroes"));
    fs::write(&secret, SECRET).unwrap();
    let list = read(SecretFiles::Check).unwrap().list;
    let secrets = list.peers()[0].source.secrets();
    assert!(matches!(&secrets[0].material, SecretMaterial::File(path) if *path == secret));
    assert!(
        message(read(SecretFiles::Refuse).unwrap_err()).starts_with("files can be named only in a list that is a file")
    );
}

#[test]
fn a_secret_that_every_user_can_read_is_warned_about_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    fs::write(&file, peer("3-1", "") + &peer("4-1", "")).unwrap();
    for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let read = AsList::load(&file, &context()).unwrap();
        assert_eq!(read.warnings.len(), warnings);
        for warning in read.warnings {
            assert!(warning.message.contains(&format!("run chmod o-r {}", file.display())), "{warning}");
        }
    }
}

#[test]
fn a_held_secret_is_that_of_the_same_peer_and_time() {
    let before = read(&peer("3-1", "")).unwrap().list;
    let context = Context { held: Held::By(&before), ..context() };
    let held = |text: &str| {
        let text = text.replace(&format!("secret = \"{SECRET}\""), "held = true");
        AsList::read(FILE.as_ref(), &text, Format::Toml, &context).map(|read| read.list)
    };
    assert!(before.difference(&held(&peer("3-1", "")).unwrap()).is_empty());
    for other in [peer("4-1", ""), peer("3-1", "").replace("2026", "2025"), peer("3-1", "drkey_protocol = 1")] {
        let problems = held(&other).unwrap_err().to_string();
        assert!(problems.ends_with("with this not_before is held: give secret or file"), "{problems}");
    }
}

#[test]
fn documents_with_held_secrets_can_be_compared_without_the_secrets() {
    let context = Context { held: Held::Unknown, ..context() };
    let held = read(&peer("3-1", "")).unwrap().list.to_toml();
    let read = |text: &str| AsList::read(FILE.as_ref(), text, Format::Toml, &context).unwrap().list;
    assert!(read(&held).difference(&read(&held)).is_empty());
    assert_eq!(
        read(&held).difference(&read(&peer("3-1", ""))).changed.len(),
        1,
        "a known secret is not an unknown one"
    );
}

#[test]
fn a_held_secret_that_one_of_two_documents_gives_is_no_difference() {
    let given = read(&peer("3-1", "")).unwrap().list;
    let context = Context { held: Held::ByOrUnknown(&given), ..context() };
    let shown = given.to_toml() + &peer("4-1", "").replace(&format!("secret = \"{SECRET}\""), "held = true");
    let list = AsList::read(FILE.as_ref(), &shown, Format::Toml, &context).unwrap().list;
    let difference = given.difference(&list);
    assert_eq!((difference.added.len(), difference.changed.len(), difference.unchanged), (1, 0, 1));
}

#[test]
fn the_example_list_is_valid() {
    let read = AsList::load("../../config/as-list.toml".as_ref(), &context()).unwrap();
    assert!(read.list.peers().len() > 1);
}

fn read(text: &str) -> Result<Read, Problems> {
    AsList::read(FILE.as_ref(), text, Format::Toml, &context())
}

fn refusals(text: &str) -> Vec<String> {
    let problems = read(text).expect_err("the list has mistakes");
    problems.iter().map(ToString::to_string).collect()
}

/// Checks that `text` has one problem, and that its message contains `expected`.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let problems = refusals(text);
    assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
}

fn peer(isd_as: &str, lines: &str) -> String {
    format!("[[peers]]\nisd_as = \"{isd_as}\"\nshared_secrets = [{{ secret = \"{SECRET}\", {START} }}]\n{lines}\n")
}

fn context() -> Context<'static> {
    Context {
        local: Some(IsdAs::from_bits(1 << 48 | 1)),
        default_protocol: Protocol(9),
        times: Some(KeyTimes::default()),
        max_peers: 3,
        ..Context::default()
    }
}

const FILE: &str = "list.toml";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const START: &str = "not_before = \"2026-01-01T00:00:00Z\"";
