use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use photongate_drkey::{Protocol, Rotation, SharedSecret, SharedSecrets};
use photongate_pipeline::PeerKey;
use photongate_wire::Nanos;

use super::*;

#[tokio::test]
async fn each_direction_has_the_key_of_the_schedule() {
    let source = source(vec![inline(1, 1_000), inline(2, 1_240)]);
    let secrets = [(1, 1_000), (2, 1_240)].map(|(byte, at)| SharedSecret::new(key(byte), seconds(at)).unwrap());
    let rotation = Rotation::new(LOCAL, PEER, SharedSecrets::new(secrets.into()), times()).unwrap();
    for at in [1_000, 1_099, 1_100, 1_299, 1_300, 1_339, 1_340, 9_999] {
        let keys = rotation.key_set(seconds(at));
        let [inbound, outbound] = [keys.inbound_containers(), keys.outbound_containers()]
            .map(|keys| keys.into_iter().rev().flatten().find(|key| key.epoch.contains(seconds(at))));
        for (direction, expected) in [(Direction::Inbound, inbound), (Direction::Outbound, outbound)] {
            let (expected, fetched) = (expected.unwrap(), source.fetch(request(direction, at)).await.unwrap());
            assert_eq!(fetched.epoch, expected.epoch, "{direction:?} at {at}");
            assert_eq!(fetched.key.as_bytes(), expected.key.as_bytes(), "{direction:?} at {at}");
        }
    }
}

#[tokio::test]
async fn the_key_before_a_new_secret_says_when_that_one_begins() {
    let source = source(vec![inline(1, 1_000), inline(2, 1_240)]);
    let successor_from = async |at| source.fetch(request(Direction::Inbound, at)).await.unwrap().successor_from;
    assert_eq!(successor_from(1_150).await, None);
    assert_eq!(successor_from(1_250).await, Some(seconds(1_240)));
    assert_eq!(successor_from(1_300).await, None);
}

#[tokio::test]
async fn before_the_first_secret_there_is_no_key_until_it_comes_into_use() {
    let error = source(vec![inline(1, 1_000)]).fetch(request(Direction::Inbound, 999)).await.unwrap_err();
    let reason = "the first secret shared with this peer comes into use at 1970-01-01T00:16:40Z".to_owned();
    assert_eq!(error, FetchError::NoKey { reason, until: Some(seconds(1_000)) });
    let error = source(Vec::new()).fetch(request(Direction::Inbound, 999)).await.unwrap_err();
    assert!(matches!(error, FetchError::NoKey { until: None, .. }));
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_for_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let filed = filed(&path);
    let fetch = async || filed.fetch(request(Direction::Inbound, 1_000)).await;

    let absent = fetch().await.unwrap_err().to_string();
    assert_eq!(absent, format!("the file {} cannot be read: No such file or directory (os error 2)", path.display()));
    secret_file::create(&path, &"01".repeat(16)).unwrap();
    let first = fetch().await.unwrap();
    secret_file::replace(&path, "02".repeat(16).as_bytes()).unwrap();
    let second = fetch().await.unwrap();
    assert_ne!(first.key.as_bytes(), second.key.as_bytes());
    assert_eq!(first.epoch, second.epoch);
    let given = source(vec![inline(2, 1_000)]).fetch(request(Direction::Inbound, 1_000)).await.unwrap();
    assert_eq!(second.key.as_bytes(), given.key.as_bytes());
}

#[tokio::test]
async fn a_file_that_holds_no_secret_or_is_open_to_others_gives_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let filed = filed(&path);
    let refusal = async || filed.fetch(request(Direction::Outbound, 1_000)).await.unwrap_err().to_string();

    secret_file::create(&path, &"00".repeat(16)).unwrap();
    assert!(refusal().await.contains("must not be all zeroes"));
    secret_file::replace(&path, b"sesame").unwrap();
    assert!(refusal().await.ends_with("does not hold a key: it has 6 characters, but a key is 32 hexadecimal digits"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal().await.contains("has mode 644, so not only its owner can use it"));
}

#[tokio::test]
async fn no_more_threads_are_sent_after_one_that_hangs_while_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    secret_file::create(&path, &"01".repeat(16)).unwrap();
    let fetch = async || filed(&path).fetch(request(Direction::Inbound, 1_000)).await;
    let mut hanging = Reading::begin(&path).unwrap();
    assert!(fetch().await.is_ok(), "it has hardly begun");
    let long_ago = Instant::now().checked_sub(2 * LONGEST_READ).unwrap();
    *Reading::files().get_mut(&path).unwrap() = vec![long_ago];
    hanging.since = long_ago;
    let refusal = fetch().await.unwrap_err().to_string();
    assert!(refusal.ends_with("does not answer: an earlier attempt to read it has not ended"), "{refusal}");
    drop(hanging);
    assert!(fetch().await.is_ok());
    assert!(!Reading::files().contains_key(&path));
}

#[tokio::test]
async fn only_the_secret_in_force_is_read() {
    let absent = Secret { material: SecretMaterial::File("/absent/secret".into()), not_before: seconds(5_000) };
    let source = source(vec![absent, inline(1, 1_000)]);
    assert!(source.fetch(request(Direction::Inbound, 4_999)).await.is_ok());
    assert!(source.fetch(request(Direction::Inbound, 5_000)).await.is_err());
}

#[test]
fn printing_a_source_shows_no_secret() {
    let printed = format!("{:?}", source(vec![inline(0xab, 1_000)]));
    assert!(printed.contains("Key(..)") && !printed.contains("171"), "{printed}");
}

#[test]
fn secrets_that_follow_one_another_too_closely_are_refused() {
    let secrets: Arc<[Secret]> = Arc::new([inline(1, 1_000), inline(2, 1_201)]);
    let error = SharedSecretSource::new(LOCAL, PEER, times(), secrets).unwrap_err();
    assert!(matches!(error, RotationError::SecretTooEarly { .. }));
}

fn source(secrets: Vec<Secret>) -> SharedSecretSource {
    SharedSecretSource::new(LOCAL, PEER, times(), secrets.into()).unwrap()
}

fn filed(path: &Path) -> SharedSecretSource {
    source(vec![Secret { material: SecretMaterial::File(path.to_owned()), not_before: seconds(1_000) }])
}

fn inline(byte: u8, not_before: u64) -> Secret {
    Secret { material: SecretMaterial::Inline(key(byte)), not_before: seconds(not_before) }
}

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 16])
}

fn request(direction: Direction, at: u64) -> KeyRequest {
    let peer = PeerKey { isd_as: PEER, protocol: Protocol(3) };
    KeyRequest { peer, direction, at: seconds(at) }
}

fn times() -> KeyTimes {
    KeyTimes { epoch: Nanos::from_secs(100), ..KeyTimes::default() }
}

fn seconds(seconds: u64) -> UnixNanos {
    UnixNanos(seconds * 1_000_000_000)
}

const LOCAL: IsdAs = IsdAs::from_bits(0x0001_ff00_0000_0111);
const PEER: IsdAs = IsdAs::from_bits(0x0014_ff00_0000_0112);
