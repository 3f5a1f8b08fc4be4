use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::sealing::PIECE;
use super::*;

#[test]
fn what_was_sealed_is_unsealed_also_by_the_next_process() {
    let bench = Bench::new();
    assert!(bench.store().unseal("keys").unwrap().is_none());
    bench.store().seal("keys", |file| file.put(b"first")).unwrap();
    bench.store().seal("keys", |file| file.put(b"second")).unwrap();
    bench.store().seal("list", |file| file.put(b"")).unwrap();
    assert_eq!(bench.store().unseal("keys").unwrap().unwrap().as_slice(), b"second");
    assert_eq!(bench.store().unseal("list").unwrap().unwrap().as_slice(), b"");
}

#[test]
fn a_sealed_file_shows_nothing_of_its_content_and_is_its_owners_alone() {
    let bench = Bench::new();
    let content = b"a secret that nobody may see at rest";
    bench.store().seal("keys", |file| file.put(content)).unwrap();
    let sealed = bench.sealed("keys");
    assert!(!sealed.windows(8).any(|window| content.windows(8).any(|part| part == window)));
    assert_eq!(mode(&bench.store().path("keys")), 0o600);
    assert_eq!(mode(&bench.directory()), 0o700);
}

#[test]
fn the_same_content_is_never_sealed_the_same_way() {
    let bench = Bench::new();
    bench.store().seal("keys", |file| file.put(b"content")).unwrap();
    let first = bench.sealed("keys");
    bench.store().seal("keys", |file| file.put(b"content")).unwrap();
    assert_ne!(first[HEADER_LEN..], bench.sealed("keys")[HEADER_LEN..]);
}

#[test]
fn a_file_with_any_bit_changed_or_cut_short_is_refused() {
    let bench = Bench::new();
    bench.store().seal("keys", |file| file.put(b"content")).unwrap();
    let sealed = bench.sealed("keys");
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1 << (position % 8);
        bench.put("keys", &changed);
        assert!(bench.store().unseal("keys").is_err(), "byte {position}");
        bench.put("keys", &sealed[..position]);
        assert!(bench.store().unseal("keys").is_err(), "cut to {position}");
    }
    bench.put("keys", &sealed);
    assert!(bench.store().unseal("keys").is_ok());
}

#[test]
fn what_is_wrong_with_a_file_is_told_apart() {
    let bench = Bench::new();
    bench.store().seal("keys", |file| file.put(b"content")).unwrap();
    let sealed = bench.sealed("keys");
    let error = |bytes: &[u8]| {
        bench.put("keys", bytes);
        bench.store().unseal("keys").unwrap_err()
    };
    assert!(matches!(error(b"isd_as = \"1-ff00:0:111\""), UnsealError::NotSealed { .. }));
    let mut later = sealed.clone();
    later[MAGIC.len()] = 2;
    assert!(matches!(error(&later), UnsealError::OtherVersion { version: 2, .. }));
    let mut damaged = sealed.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(error(&damaged), UnsealError::Damaged { .. }));

    bench.put("keys", &sealed);
    let other = Bench::new();
    fs::copy(bench.store().path("keys"), other.store().path("keys")).unwrap();
    assert!(matches!(other.store().unseal("keys").unwrap_err(), UnsealError::OtherKey { .. }));
}

#[test]
fn content_of_any_length_comes_back_however_it_was_put_there() {
    let bench = Bench::new();
    for length in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5] {
        let content = content(length);
        bench.store().seal("keys", |file| content.chunks(70_001).for_each(|part| file.put(part))).unwrap();
        assert!(*bench.store().unseal("keys").unwrap().unwrap() == content, "{length} bytes");
    }
}

#[test]
fn no_piece_can_be_left_out_added_moved_or_taken_from_an_older_file() {
    let bench = Bench::new();
    let pieces = |content: &[u8]| {
        bench.store().seal("keys", |file| file.put(content)).unwrap();
        let sealed = bench.sealed("keys");
        let (head, pieces) = sealed.split_at(HEADER_LEN + ID_LEN);
        let pieces: Vec<_> = pieces.chunks(PIECE + 12 + 16).map(<[u8]>::to_vec).collect();
        (head.to_vec(), <[Vec<u8>; 3]>::try_from(pieces).unwrap())
    };
    let (_, older) = pieces(&content(3 * PIECE));
    let (head, whole) = pieces(&content(3 * PIECE));
    let unsealed = |pieces: &[&Vec<u8>]| {
        bench.put("keys", &[head.clone(), pieces.iter().copied().flatten().copied().collect()].concat());
        bench.store().unseal("keys")
    };
    let [first, second, third] = whole.each_ref();
    assert!(unsealed(&[first, second, third]).is_ok());
    for pieces in [
        &[first, second][..],
        &[first, third],
        &[second, first, third],
        &[first, second, third, third],
        &[first, &older[1], third],
        &[],
    ] {
        assert!(matches!(unsealed(pieces), Err(UnsealError::Damaged { .. })));
    }
}

#[test]
fn a_sealed_file_cannot_stand_in_for_another() {
    let bench = Bench::new();
    bench.store().seal("keys", |file| file.put(b"content")).unwrap();
    bench.put("list", &bench.sealed("keys"));
    assert!(matches!(bench.store().unseal("list").unwrap_err(), UnsealError::Damaged { .. }));
}

#[test]
fn what_an_interrupted_write_left_is_removed() {
    let bench = Bench::new();
    bench.store();
    let left = bench.directory().join(".unfinished-a1b2");
    fs::write(&left, "half").unwrap();
    bench.store();
    assert!(!left.exists());
}

#[test]
fn the_first_start_makes_a_key_for_its_owner_alone_and_the_next_finds_it() {
    let bench = Bench::new();
    let first = bench.key(None, None).unwrap();
    assert_eq!(mode(&bench.directory().join("state.key")), 0o600);
    assert_eq!(first.bytes(), bench.key(None, None).unwrap().bytes());
    assert_ne!(first.bytes(), Bench::new().key(None, None).unwrap().bytes());
}

#[test]
fn a_configured_file_comes_first_then_a_credential_then_the_state_directory() {
    let bench = Bench::new();
    bench.key(None, None).unwrap();
    let credentials = bench.folder.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let own = *bench.key(None, Some(&credentials)).unwrap().bytes();
    write(&credentials.join(CREDENTIAL), &"c1".repeat(32), 0o440);
    let configured = bench.folder.path().join("configured");
    write(&configured, &"c2".repeat(32), 0o600);
    assert_ne!(own, [0xc1; 32]);
    assert_eq!(*bench.key(None, Some(&credentials)).unwrap().bytes(), [0xc1; 32]);
    assert_eq!(*bench.key(Some(&configured), Some(&credentials)).unwrap().bytes(), [0xc2; 32]);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let bench = Bench::new();
    let configured = bench.folder.path().join("configured");
    write(&configured, &"c2".repeat(32), 0o640);
    let error = bench.key(Some(&configured), None).unwrap_err().to_string();
    assert!(error.contains("has mode 640, so not only its owner can use it: run chmod 600"), "{error}");
    bench.key(None, None).unwrap();
    fs::set_permissions(bench.directory().join("state.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(bench.key(None, None).unwrap_err(), StateKeyError::Unusable { .. }));
}

#[test]
fn a_configured_key_is_never_made_and_must_be_one() {
    let bench = Bench::new();
    let configured = bench.folder.path().join("configured");
    assert!(matches!(bench.key(Some(&configured), None).unwrap_err(), StateKeyError::Unusable { .. }));
    assert!(!configured.exists());
    for (text, expected) in [
        ("sesame", "it has 6 characters, but a key is 64 hexadecimal digits"),
        (&"00".repeat(32), "holds only zeroes: make a key with `openssl rand -hex 32`"),
    ] {
        write(&configured, text, 0o600);
        let error = bench.key(Some(&configured), None).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn printing_a_key_or_a_store_shows_no_key() {
    let bench = Bench::new();
    let configured = bench.folder.path().join("configured");
    write(&configured, &"ab".repeat(32), 0o600);
    let key = bench.key(Some(&configured), None).unwrap();
    let printed = format!("{key:?} {:?}", SealedStore::open(&bench.directory(), &key).unwrap());
    assert!(printed.starts_with("StateKey(..)") && !printed.contains("171, 171"), "{printed}");
}

/// A state directory that does not exist yet.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn key(&self, configured: Option<&Path>, credentials: Option<&Path>) -> Result<StateKey, StateKeyError> {
        StateKey::find(configured, credentials, &self.directory())
    }

    fn store(&self) -> SealedStore {
        SealedStore::open(&self.directory(), &self.key(None, None).unwrap()).unwrap()
    }

    fn sealed(&self, name: &str) -> Vec<u8> {
        fs::read(self.store().path(name)).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.store().path(name), bytes).unwrap();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
