//! What somebody can try who is not who they should be, or does not keep to the rules.

#[path = "qks/site.rs"]
mod site;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use photongate_net::tls;
use photongate_qks::encoding::Bytes64;
use photongate_qks::ids::StreamId;
use photongate_qks::key_id::AssignmentId;
use photongate_qks::peer::{Purpose, Reservation};
use photongate_qks::relay::frame::{Cipher, Frame, Header, HopKeyName};
use photongate_qks::relay::{Kind, RelayId};
use photongate_qks::routing::{
    Adjacent, Advertisement, Attached, Content, Cost, Flooded, Message, Neighbour, Signatures, Signed, Stamp,
    TlsSignatures,
};
use photongate_qks::stock::{BlockName, Piece};
use photongate_qks::store::Material;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType, date_time_ymd};
use reqwest::{Client, Identity, StatusCode};
use serde_json::{Value, json};
use site::{Site, answer, get, ids, keys, post};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_good_ends_the_handshake_at_either_interface() {
    let site = pair().await;
    let good = Made { name: "sae-a", ..Made::default() };
    let url = site.url("a", "sae-b", "status");
    assert_eq!(get(&site.made(&good), url.clone()).await.status, StatusCode::OK, "one like this is good");
    let bad = [
        ("another authority, an application", site.client_of("other-pki", "sae-a").unwrap()),
        ("another authority, a server", site.client_of("other-pki", "qks-b").unwrap()),
        ("expired", site.made(&Made { is_expired: true, ..good })),
        ("its own authority", site.made(&Made { is_self_signed: true, ..good })),
        ("no certificate", site.anonymous()),
    ];
    for (case, client) in bad {
        assert!(client.get(&url).send().await.is_err(), "{case}: as an application");
        let peer = client.post(site.peer_url("a", "blocks")).body(r#"{"blocks":[]}"#).send().await;
        assert!(peer.is_err(), "{case}: as a server");
    }
    assert_eq!(get(&site.client("sae-a"), url).await.status, StatusCode::OK, "others are served as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_no_servers_servers_are_no_applications_and_only_neighbours_are_heard() {
    let site = pair().await;
    let blocks = json!({"blocks": []});
    let bob = site.client("qks-b");
    assert_eq!(post(&bob, site.peer_url("a", "blocks"), &blocks).await.status, StatusCode::OK, "a neighbour is heard");
    let strangers = [
        ("an application", site.client("sae-a")),
        (
            "a server that is no neighbour",
            site.made(&Made { name: "qks-x", uri: Some("photongate:qks:qks-x"), ..Made::default() }),
        ),
        ("this server itself", site.client("qks-a")),
        (
            "an application that is called like a neighbour",
            site.made(&Made { name: "qks-b", uri: Some("photongate:sae:qks-b"), ..Made::default() }),
        ),
    ];
    for (case, client) in strangers {
        for path in PEER_PATHS {
            let answer = post(&client, site.peer_url("a", path), &blocks).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{case}: {path}: {answer:?}");
        }
    }
    for server in ["qks-a", "qks-b"] {
        let refused = post(&site.client(server), site.url("a", "sae-b", "enc_keys"), &json!({})).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{server}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shows_the_certificate_of_another_one_is_no_neighbour() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b")]);
    for file in ["qks-b.pem", "qks-b-key.pem"] {
        fs::rename(site.pki(file), site.pki(&format!("kept-{file}"))).unwrap();
        fs::copy(site.pki(&file.replace("-b", "-c")), site.pki(file)).unwrap();
    }
    site.start("b").await;
    site.fill("a", "b", 1 << 18);
    site.start("a").await;
    let logged = |site: &Site| site.log("a").contains("the neighbour does not answer");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        assert_eq!(site.stock("a", "b").await, None, "it answers");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let refused = post(&site.client("sae-a"), site.url("a", "sae-b", "enc_keys"), &json!({})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}; logged: {}", logged(&site));
    site.stop("b");
    for file in ["qks-b.pem", "qks-b-key.pem"] {
        fs::rename(site.pki(&format!("kept-{file}")), site.pki(file)).unwrap();
    }
    site.start("b").await;
    site.wait_for_keys("a", "sae-a", "sae-b", 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_changed_and_replayed_advertisements_change_nothing() {
    let site = pair().await;
    let d = Made { name: "qks-d", uri: Some("photongate:qks:qks-d"), ..Made::default() };
    site.keep("qks-d", &d);
    let (genuine, forger) = (site.signatures("qks-d"), site.signatures("qks-b"));
    let bob = site.client("qks-b");
    let said = |signatures: &TlsSignatures, sequence, saes: &[&str]| {
        [attached(saes), adjacent("qks-b")].map(|content| sign(signatures, "qks-d", sequence, content)).to_vec()
    };
    let bring = async |signed: Vec<Signed>| {
        let flooded = signed.into_iter().map(|signed| Flooded { signed: Arc::new(signed), age_millis: 0 }).collect();
        let message = serde_json::to_value(Message::Advertisements(flooded)).unwrap();
        assert_eq!(post(&bob, site.peer_url("a", "routing"), &message).await.status, StatusCode::OK);
    };
    let alice = site.client("sae-a");
    let knows = async |sae: &str| get(&alice, site.url("a", sae, "status")).await.status == StatusCode::OK;

    let begun = Instant::now();
    while !knows("sae-d1").await {
        // A server does not listen before it has seen the neighbour answer, and neighbours repeat what is not acknowledged.
        bring(said(&genuine, 5, &["sae-d1"])).await;
        assert!(begun.elapsed() < PATIENCE, "what the server says itself is not believed:\n{}", site.log("a"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Signed by a neighbour in another's name; changed after it was signed; said before.
    bring(said(&forger, 7, &["sae-forged"])).await;
    let mut changed = said(&genuine, 8, &["sae-d1"]);
    changed[0].advertisement.content = attached(&["sae-changed"]);
    bring(changed).await;
    let mut reused = said(&genuine, 5, &["sae-d1"]);
    reused[0].advertisement.stamp.sequence = 9;
    bring(reused).await;
    bring(said(&genuine, 4, &["sae-replayed"])).await;
    // All that came before has been looked at once this is known.
    bring(said(&genuine, 10, &["sae-d1", "sae-last"])).await;
    let begun = Instant::now();
    while !knows("sae-last").await {
        assert!(begun.elapsed() < PATIENCE, "{}", site.log("a"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for sae in ["sae-forged", "sae-changed", "sae-replayed"] {
        assert!(!knows(sae).await, "{sae} is believed");
    }
    assert!(site.log("a").contains("has a wrong signature"));
    assert!(knows("sae-b").await && knows("sae-d1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn relayed_frames_that_are_changed_replayed_or_cut_short_are_refused() {
    let site = pair().await;
    let bob = site.client("qks-b");
    let relay = site.peer_url("a", "relay");
    let trouble = async |frame: &Value| {
        let answer = post(&bob, relay.clone(), frame).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json["trouble"]["why"].as_str().unwrap_or_else(|| panic!("the frame is taken: {answer:?}")).to_owned()
    };
    // B gives out the blocks of odd numbers; it is not to use this one itself meanwhile, so it is the last.
    let block = BlockName { stream: stream("ab", "1.key"), number: 7 };
    let share = 64;
    let bytes = Cipher::OneTimePad.key_bytes(share) as u32;
    let piece = |place: u32| Piece { block, offset: place * bytes, length: bytes };
    let frame = |piece: Piece, path: &[&str]| Frame {
        header: Header {
            id: RelayId(Uuid::new_v4()),
            kind: Kind::Keys,
            attempt: 0,
            share: 0,
            shares: 1,
            path: path.iter().map(|name| name.parse().unwrap()).collect(),
            hop: 1,
        },
        cipher: Cipher::OneTimePad,
        key: HopKeyName(vec![piece]),
        ciphertext: Bytes64(vec![7; share]),
        tag: Bytes64(vec![7; 32]),
    };
    let json_of = |frame: &Frame| serde_json::to_value(frame).unwrap();
    let announce = async |place: u32| {
        let material = Material { key_bytes: bytes, count: 1, pieces: vec![piece(place)], sealed: None };
        let id = AssignmentId::from_bytes([place as u8; AssignmentId::LENGTH]);
        let reservation = Reservation { id, material, purpose: Purpose::OneMessage };
        let answer = post(&bob, site.peer_url("a", "reserve"), &json!({ "reservations": [reservation] })).await;
        assert_eq!(answer.json, json!({"outcomes": [null]}), "{answer:?}");
    };

    assert!(trouble(&json_of(&frame(piece(0), &["qks-b", "qks-a"]))).await.contains("not announced"));
    announce(0).await;
    let changed = json_of(&frame(piece(0), &["qks-b", "qks-a"]));
    assert!(trouble(&changed).await.contains("was changed, or sealed with another key"));
    assert!(trouble(&changed).await.contains("used before"), "replayed");
    announce(1).await;
    for (path, why) in [
        (&["qks-x", "qks-a"][..], "not the one before on its path"),
        (&["qks-b", "qks-x"], "not for this server"),
        (&["qks-b", "qks-a", "qks-b"], "loop"),
        (&["qks-b"], "not for this server"),
    ] {
        let said = trouble(&json_of(&frame(piece(1), path))).await;
        assert!(said.contains(why) || said.contains("bounds"), "{path:?}: {said}");
    }
    let text = changed.to_string();
    for length in [0, 1, text.len() / 2, text.len() - 1] {
        let cut =
            answer(bob.post(&relay).header("content-type", "application/json").body(text[..length].to_owned())).await;
        assert!(cut.status.is_client_error(), "cut at {length}: {cut:?}");
    }
    // Bytes that were given out once are not given out again, not even to their owner.
    let material = Material { key_bytes: bytes, count: 1, pieces: vec![piece(0)], sealed: None };
    let id = AssignmentId::from_bytes([9; AssignmentId::LENGTH]);
    let again = Reservation { id, material, purpose: Purpose::OneMessage };
    let answer = post(&bob, site.peer_url("a", "reserve"), &json!({ "reservations": [again] })).await;
    assert_eq!(answer.json["outcomes"][0]["material"]["why"], "gone", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_long_or_make_no_sense_are_refused_and_harm_nobody() {
    let site = pair().await;
    let (alice, bob) = (site.client("sae-a"), site.client("qks-b"));
    let enc = site.url("a", "sae-b", "enc_keys");
    let nested = "[".repeat(100_000);
    let senseless: [&[u8]; 8] =
        [b"{", b"\xff\xfe", b"null", b"\"", b"{\"number\":1e999}", b"{\"number\":{}}", b"\0\0\0\0", nested.as_bytes()];
    for body in senseless {
        let shown = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        let refused = answer(alice.post(&enc).header("content-type", "application/json").body(body.to_vec())).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{shown}: {refused:?}");
        assert!(refused.json["message"].is_string(), "{shown}: {refused:?}");
        for path in PEER_PATHS {
            let request =
                bob.post(site.peer_url("a", path)).header("content-type", "application/json").body(body.to_vec());
            let refused = answer(request).await;
            assert!(refused.status.is_client_error(), "{path}: {shown}: {refused:?}");
        }
    }
    let long = vec![b' '; 3 << 20];
    // Applications are told in the words of ETSI GS QKD 014, which has no other status for it.
    for (request, status) in [
        (alice.post(&enc), StatusCode::BAD_REQUEST),
        (bob.post(site.peer_url("a", "reserve")), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        // The server may say so, or just go while the rest is on its way.
        if let Ok(response) = request.header("content-type", "application/json").body(long.clone()).send().await {
            assert_eq!(response.status(), status);
        }
    }
    let many = json!({"reservations": vec![json!(null); 0], "ids": vec!["00".repeat(14); 3_000]});
    assert_eq!(post(&bob, site.peer_url("a", "void"), &many).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(keys(&post(&alice, enc, &json!({})).await).len(), 1, "others are served as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_takes_forever_holds_up_nobody() {
    let site = pair().await;
    let silent: Vec<_> =
        (0..100).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, site.sae_port("a"))).unwrap()).collect();
    let slow: Vec<_> = (0..30)
        .map(|_| {
            let request = site.client("sae-a").post(site.url("a", "sae-b", "enc_keys"));
            let endless = futures_util::stream::unfold(0, async |sent| {
                if sent > 0 {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                Some((Ok::<_, std::io::Error>(" "), sent + 1))
            });
            tokio::spawn(request.body(reqwest::Body::wrap_stream(endless)).send())
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (alice, bob) = (site.client("sae-a"), site.client("sae-b"));
    for _ in 0..20 {
        // On a connection of its own each, as one that is there already proves little.
        let given = keys(&post(&site.client("sae-a"), site.url("a", "sae-b", "enc_keys"), &json!({})).await);
        assert_eq!(keys(&post(&bob, site.url("b", "sae-a", "dec_keys"), &ids(&given)).await), given);
    }
    assert!(slow.iter().all(|slow| !slow.is_finished()), "the slow ones are still at it");
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    drop(silent);
    assert_eq!(get(&alice, site.url("a", "sae-b", "status")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_bytes_are_in_any_log_of_those_who_relay() {
    let mut site = Site::new(&["a", "b", "c"], &[("a", "b"), ("b", "c")]);
    site.start_all().await;
    for (one, other) in [("a", "b"), ("b", "c")] {
        site.fill(one, other, 1 << 19);
    }
    site.wait_for_keys("a", "sae-a", "sae-c", 100).await;
    let given = keys(&post(&site.client("sae-a"), site.url("a", "sae-c", "enc_keys"), &json!({"number": 5})).await);
    let fetched = post(&site.client("sae-c"), site.url("c", "sae-a", "dec_keys"), &ids(&given)).await;
    assert_eq!(keys(&fetched), given);
    let mut forms = BTreeSet::new();
    for (_, key) in &given {
        let bytes: Bytes64 = serde_json::from_value(json!(key)).unwrap();
        let part = &bytes.0[..8];
        forms.insert(key[..10].to_owned());
        forms.insert(part.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        forms.insert(format!("{part:?}").trim_matches(['[', ']']).to_owned());
    }
    for server in ["a", "b", "c"] {
        let log = site.log(server);
        assert!(log.contains("TRACE"), "the log of {server} is there");
        for form in &forms {
            assert!(!log.contains(form), "a key is in the log of {server}");
        }
    }
}

/// Two servers with keys in stock.
async fn pair() -> Site {
    let mut site = Site::new(&["a", "b"], &[("a", "b")]);
    site.start_all().await;
    site.fill("a", "b", 1 << 20);
    site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    site.wait_for_agreement("a", "b").await;
    site
}

/// A certificate that `photongate pki` would not make.
#[derive(Clone, Copy, Default)]
struct Made {
    name: &'static str,
    uri: Option<&'static str>,
    is_expired: bool,
    is_self_signed: bool,
}

impl Made {
    /// Certificate and key, PEM.
    fn make(&self, site: &Site) -> (String, String) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, self.name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names.extend(self.uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = if self.is_expired { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2100, 1, 1) };
        let key = KeyPair::generate().unwrap();
        let certificate = if self.is_self_signed {
            params.self_signed(&key).unwrap()
        } else {
            let read = |file: &str| fs::read_to_string(site.pki(file)).unwrap();
            let authority = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
            params.signed_by(&key, &Issuer::from_ca_cert_pem(&read("ca.pem"), authority).unwrap()).unwrap()
        };
        (certificate.pem(), key.serialize_pem())
    }
}

impl Site {
    fn made(&self, made: &Made) -> Client {
        let (certificate, key) = made.make(self);
        self.with_identity(Identity::from_pem(format!("{key}{certificate}").as_bytes()).unwrap())
    }

    /// Puts a certificate beside those of the site.
    fn keep(&self, name: &str, made: &Made) {
        let (certificate, key) = made.make(self);
        fs::write(self.pki(&format!("{name}.pem")), certificate).unwrap();
        let file = self.pki(&format!("{name}-key.pem"));
        fs::write(&file, key).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Signs as a server of that name.
    fn signatures(&self, name: &str) -> TlsSignatures {
        let identity =
            tls::Identity::load(&self.pki(&format!("{name}.pem")), &self.pki(&format!("{name}-key.pem"))).unwrap();
        TlsSignatures::new(identity, &self.pki("ca.pem")).unwrap()
    }
}

fn sign(signatures: &TlsSignatures, origin: &str, sequence: u64, content: Content) -> Signed {
    let advertisement = Advertisement { origin: origin.parse().unwrap(), stamp: Stamp { boot: 1, sequence }, content };
    let seal = signatures.sign(&advertisement.signed_bytes()).unwrap();
    Signed { advertisement, seal }
}

fn attached(saes: &[&str]) -> Content {
    let saes = saes.iter().map(|sae| sae.parse().unwrap()).collect();
    Content::Attached(Attached { page: 0, pages: 1, saes, ases: Vec::new() })
}

fn adjacent(neighbour: &str) -> Content {
    let neighbour = Neighbour { server: neighbour.parse().unwrap(), cost: Cost::NEW, free_bits: 1 };
    Content::Adjacent(Adjacent { url: None, neighbours: vec![neighbour] })
}

/// What a link calls the stream of a key file.
fn stream(link: &str, file: &str) -> StreamId {
    let mut hash = Vec::new();
    let text = format!("photongate keyfile\n{link}\n{file}");
    let mut openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-binary"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut openssl.stdin.take().unwrap(), text.as_bytes()).unwrap();
    openssl.stdout.take().unwrap().read_to_end(&mut hash).unwrap();
    assert!(openssl.wait().unwrap().success());
    StreamId(Uuid::new_v8(hash[..16].try_into().unwrap()))
}

const PEER_PATHS: [&str; 8] =
    ["blocks", "handover", "links/none/0", "relay", "relay/void", "reserve", "review", "routing"];
const PATIENCE: Duration = Duration::from_secs(30);
