use std::collections::{BTreeMap, BTreeSet};

use photongate_crypto::Key;
use photongate_drkey::Protocol;
use photongate_pipeline::Encapsulations;
use photongate_wire::IsdAs;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::api::model::Change;
use crate::keys::shared_secret::SecretMaterial;

proptest! {
    #[test]
    fn a_list_does_not_differ_from_itself(list in list()) {
        let difference = list.difference(&list);
        prop_assert!(difference.is_empty());
        prop_assert_eq!(difference.unchanged, list.peers().len());
    }

    #[test]
    fn applying_the_difference_to_the_one_list_gives_the_other(from in list(), to in list()) {
        let difference = from.difference(&to);
        prop_assert_eq!(whole(&apply(&from, &difference, &to)), whole(&to));
        prop_assert!(difference.changed.iter().all(|(_, changes)| !changes.is_empty()));
        let touched = difference.added.len() + difference.changed.len() + difference.unchanged;
        prop_assert_eq!(touched, to.peers().len());
    }

    #[test]
    fn what_is_shown_of_a_list_reads_as_the_same_list(list in list()) {
        let context = Context { held: Held::By(&list), ..Context::default() };
        for (format, text) in [(Format::Toml, list.to_toml()), (Format::Json, list.to_json())] {
            let read = AsList::read("list".as_ref(), &text, format, &context).unwrap();
            prop_assert_eq!(whole(&read.list), whole(&list));
            prop_assert_eq!(read.list.digest(), list.digest());
        }
    }

    #[test]
    fn json_and_toml_of_a_list_read_alike(list in list()) {
        let context = Context { secret_files: SecretFiles::Trust, ..Context::default() };
        let toml = AsList::read("list".as_ref(), &whole(&list), Format::Toml, &context).unwrap();
        let json = AsList::read("list".as_ref(), &json_with_secrets(&list), Format::Json, &context).unwrap();
        prop_assert_eq!(whole(&toml.list), whole(&list));
        prop_assert_eq!(whole(&json.list), whole(&list));
    }

    #[test]
    fn a_sealed_list_comes_back_whole(list in list()) {
        let sealed = list.to_sealable();
        let unsealed = AsList::from_sealed(&sealed, &Context::default()).unwrap();
        prop_assert_eq!(whole(&unsealed), whole(&list));
    }

    #[test]
    fn nothing_that_is_shown_has_a_secret_in_it(list in list()) {
        for text in [list.to_toml(), list.to_json(), format!("{list:?}")] {
            for byte in 1..=3_u8 {
                let (digits, bytes) = (format!("{byte:02x}").repeat(16), format!("[{byte}, {byte}"));
                prop_assert!(!text.contains(&digits) && !text.contains(&bytes), "{}", text);
            }
        }
    }
}

#[test]
fn another_name_is_no_reason_to_do_anything_else() {
    assert_eq!(changes(|peer| peer.name = Some("new".into())), [Change::Name]);
    assert_eq!(changes(|peer| peer.limit = None), [Change::Limit]);
    assert_eq!(changes(|peer| peer.prefixes = Box::default()), [Change::Prefixes]);
    assert_eq!(changes(|peer| peer.refuse_best_effort = true), [Change::BestEffort]);
    assert_eq!(changes(|peer| peer.encapsulation.accept = Encapsulations::ALL), [Change::Encapsulation]);
    assert_eq!(changes(|peer| peer.source = source(&[(2, 0)])), [Change::Keys]);
    assert_eq!(changes(|peer| peer.source = source(&[(1, 0), (1, 1)])), [Change::Keys]);
    assert_eq!(changes(|peer| peer.source = source(&[(1, 0)])), [], "the same secret, read anew");
}

#[test]
fn a_peer_is_too_early_until_its_first_secret_begins() {
    let mut late = plain(2, &[]);
    late.source = source(&[(1, 2), (2, 3)]);
    let list = AsList::new(vec![plain(1, &[]), late]);
    let early = |year: u64| {
        list.too_early(UnixNanos(FIRST.0 + year * YEAR)).map(|peer| peer.key.isd_as.isd()).collect::<Vec<_>>()
    };
    assert_eq!(early(1), [2]);
    assert_eq!(early(2), Vec::<u16>::new());
}

#[test]
fn the_digest_depends_on_what_is_listed_and_not_on_its_order() {
    let peers = |isds: [u16; 2]| AsList::new(isds.map(|isd| plain(isd, &[])).into());
    assert_eq!(peers([1, 2]).digest(), peers([2, 1]).digest());
    assert_ne!(peers([1, 2]).digest(), peers([1, 3]).digest());
    assert_eq!(peers([1, 2]).digest().len(), 64);
}

#[test]
fn a_hundred_thousand_peers_take_300_bytes_each_at_most() {
    // One secret and two prefixes, and what the allocator adds to each of the two allocations.
    let heap = |bytes: usize| bytes.next_multiple_of(16) + 16;
    let secrets = heap(2 * size_of::<usize>() + size_of::<Secret>());
    let peer = size_of::<ListedPeer>() + heap(2 * size_of::<IpNet>()) + secrets;
    assert!(peer <= 300, "{peer} bytes");
}

/// What differs after `change` about a peer with a limit, a prefix and a secret.
fn changes(change: impl FnOnce(&mut ListedPeer)) -> Vec<Change> {
    let mut peer = plain(1, &["10.0.0.0/8"]);
    peer.limit = Some(Box::new(LimitSettings { packets_per_second: Some(1), ..LimitSettings::default() }));
    let from = AsList::new(vec![peer.clone()]);
    change(&mut peer);
    let difference = from.difference(&AsList::new(vec![peer]));
    assert!(difference.added.is_empty() && difference.removed.is_empty());
    difference.changed.into_iter().next().map(|(_, changes)| changes).unwrap_or_default()
}

/// Does to `from` what `difference` says, and nothing else; `to` is where what is new comes from.
fn apply(from: &AsList, difference: &Difference, to: &AsList) -> AsList {
    let mut peers: BTreeMap<_, _> = from.peers().iter().map(|peer| (peer.key, peer.clone())).collect();
    for key in &difference.removed {
        peers.remove(key).expect("what is removed was there");
    }
    for key in &difference.added {
        assert!(peers.insert(*key, to.get(*key).unwrap().clone()).is_none(), "what is added was not there");
    }
    for (key, changes) in &difference.changed {
        let (peer, new) = (peers.get_mut(key).unwrap(), to.get(*key).unwrap().clone());
        for change in changes {
            match change {
                Change::Name => peer.name = new.name.clone(),
                Change::Prefixes => peer.prefixes = new.prefixes.clone(),
                Change::Limit => peer.limit = new.limit.clone(),
                Change::BestEffort => peer.refuse_best_effort = new.refuse_best_effort,
                Change::Encapsulation => peer.encapsulation = new.encapsulation,
                Change::Keys => peer.source = new.source.clone(),
            }
        }
    }
    AsList::new(peers.into_values().collect())
}

/// All there is to a list, secrets included: two lists are equal if their texts are.
fn whole(list: &AsList) -> String {
    String::from_utf8(list.to_sealable().to_vec()).unwrap()
}

fn json_with_secrets(list: &AsList) -> String {
    let mut document: serde_json::Value = serde_json::from_str(&list.to_json()).unwrap();
    for (peer, listed) in document["peers"].as_array_mut().unwrap().iter_mut().zip(list.peers()) {
        let secrets = listed.source.secrets();
        for (written, secret) in peer["shared_secrets"].as_array_mut().unwrap().iter_mut().zip(secrets) {
            written.as_object_mut().unwrap().remove("held");
            match &secret.material {
                SecretMaterial::Inline(key) => {
                    let digits: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                    written["secret"] = digits.into();
                }
                SecretMaterial::File(path) => written["file"] = path.to_str().unwrap().into(),
            }
        }
    }
    document.to_string()
}

/// Any list of few peers, so that two of them have much in common.
fn list() -> impl Strategy<Value = AsList> {
    vec(listed_peer(), 0..6).prop_map(|peers| {
        let (mut keys, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
        let mut unique = Vec::new();
        for mut peer in peers {
            peer.prefixes = peer.prefixes.into_iter().filter(|prefix| prefixes.insert(*prefix)).collect();
            if keys.insert(peer.key) {
                unique.push(peer);
            }
        }
        AsList::new(unique)
    })
}

fn listed_peer() -> impl Strategy<Value = ListedPeer> {
    let prefix = prop_oneof![
        (0..4_u8).prop_map(|net| format!("10.{net}.0.0/16").parse::<IpNet>().unwrap()),
        (0..4_u8).prop_map(|net| format!("2001:db8:{net}::/48").parse().unwrap()),
    ];
    let limit = (option::of(0..9_u64), option::of(1..9_u64)).prop_map(|(bits, packets)| {
        let burst_packets = packets.map(|packets| packets + 1);
        let limit =
            LimitSettings { bits_per_second: bits, packets_per_second: packets, burst_bytes: None, burst_packets };
        (limit != LimitSettings { burst_packets: None, ..LimitSettings::default() }).then_some(limit)
    });
    let name = option::of("[a-zé\"\\\\ ]{0,8}x");
    let secrets = btree_set((0..3_u8, 0..3_u64), 1..3);
    let encapsulations = (any::<bool>(), prop::sample::select(vec![ONLY_LF, ONLY_LF2, Encapsulations::ALL]));
    let encapsulation = encapsulations.prop_map(|(lf2, accept)| PeerEncapsulation {
        send: if lf2 { Encapsulation::Lf2 } else { Encapsulation::Lf },
        accept,
    });
    (1..4_u16, 0..2_u16, name, btree_set(prefix, 0..3), limit, any::<bool>(), encapsulation, secrets).prop_map(
        |(isd, protocol, name, prefixes, limit, refuse_best_effort, encapsulation, secrets)| ListedPeer {
            key: PeerKey { isd_as: isd_as(isd), protocol: Protocol(protocol) },
            name: name.map(String::into_boxed_str),
            prefixes: prefixes.into_iter().collect(),
            limit: limit.map(Box::new),
            refuse_best_effort,
            encapsulation,
            source: source(&secrets.into_iter().collect::<Vec<_>>()),
        },
    )
}

const ONLY_LF: Encapsulations = Encapsulations::only(Encapsulation::Lf);
const ONLY_LF2: Encapsulations = Encapsulations::only(Encapsulation::Lf2);

fn plain(isd: u16, prefixes: &[&str]) -> ListedPeer {
    ListedPeer {
        key: PeerKey { isd_as: isd_as(isd), protocol: Protocol(3) },
        name: None,
        prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        limit: None,
        refuse_best_effort: false,
        encapsulation: PeerEncapsulation::default(),
        source: source(&[(1, 0)]),
    }
}

/// Secrets by number, of which 0 lies in a file, with the year in which each comes into use. One for each year.
fn source(secrets: &[(u8, u64)]) -> Source {
    let years: BTreeMap<_, _> = secrets.iter().map(|(secret, year)| (*year, *secret)).collect();
    let secret = |(year, secret): (u64, u8)| Secret {
        material: match secret {
            0 => SecretMaterial::File("/run/keys/a \"quoted\" name".into()),
            _ => SecretMaterial::Inline(Key::from_bytes([secret; 16])),
        },
        not_before: UnixNanos(FIRST.0 + year * YEAR),
    };
    Source::SharedSecret(years.into_iter().map(secret).collect())
}

fn isd_as(isd: u16) -> IsdAs {
    IsdAs::from_bits(u64::from(isd) << 48 | 0xff00_0000_0110)
}

const FIRST: UnixNanos = UnixNanos(1_700_000_000_000_000_001);
const YEAR: u64 = 31_536_000_000_000_000;
