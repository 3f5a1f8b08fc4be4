//! Sealing and opening, by one process and by several.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::secrets::embedded::{Master, MasterKeys};
use crate::secrets::testing::Shelf;

#[tokio::test]
async fn what_was_sealed_is_opened_with_its_context_and_no_other() {
    let keyring = process(&Arc::default());
    let sealed = keyring.seal(b"block 7", b"key material").await.unwrap();
    assert_eq!(keyring.open(b"block 7", &sealed).await.unwrap().as_slice(), b"key material");
    for context in [&b"block 8"[..], b"block 7\0", b"block ", b""] {
        assert_eq!(keyring.open(context, &sealed).await, Err(SecretsError::Broken));
    }
}

#[tokio::test]
async fn a_change_of_any_byte_is_noticed() {
    let keyring = process(&Arc::default());
    let sealed = keyring.seal(b"", b"key material").await.unwrap();
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        assert_eq!(keyring.open(b"", &changed).await, Err(SecretsError::Broken), "byte {position}");
        assert_eq!(keyring.open(b"", &sealed[..position]).await, Err(SecretsError::Broken), "cut at {position}");
    }
}

#[tokio::test]
async fn the_same_text_never_looks_the_same_and_never_shows() {
    let keyring = process(&Arc::default());
    let first = keyring.seal(b"", b"key material").await.unwrap();
    let second = keyring.seal(b"", b"key material").await.unwrap();
    assert_ne!(first, second);
    assert!(!first.windows(4).any(|window| b"key material".windows(4).any(|clear| clear == window)));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_begin_together_each_get_a_key_and_open_what_the_others_sealed() {
    let shelf: Arc<Shelf> = Arc::default();
    let processes: Vec<_> = (0..16).map(|_| process(&shelf)).collect();
    let sealing = processes
        .iter()
        .cloned()
        .map(|keyring| tokio::spawn(async move { keyring.seal(b"context", b"key material").await.unwrap() }));
    let sealed = futures_util::future::join_all(sealing).await;
    assert_eq!(shelf.content().keys().copied().collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    for sealed in sealed.into_iter().map(Result::unwrap) {
        for keyring in &processes {
            assert_eq!(keyring.open(b"context", &sealed).await.unwrap().as_slice(), b"key material");
        }
    }
}

#[tokio::test]
async fn after_much_was_sealed_another_key_goes_on_and_the_old_one_still_opens() {
    for limits in [Limits { seals: 3, ..Limits::default() }, Limits { bytes: 30, ..Limits::default() }] {
        let shelf: Arc<Shelf> = Arc::default();
        let keyring = Envelope::new(masters(1, &[]), Arc::clone(&shelf) as _, limits);
        let mut sealed = Vec::new();
        while shelf.content().len() < 3 {
            sealed.push(keyring.seal(b"", b"0123456789").await.unwrap());
            tokio::task::yield_now().await;
        }
        assert!(sealed.len() >= 6, "{}", sealed.len());
        let other = process(&shelf);
        for sealed in &sealed {
            assert_eq!(other.open(b"", sealed).await.unwrap().as_slice(), b"0123456789");
        }
    }
}

#[tokio::test]
async fn while_the_guard_is_away_known_keys_go_on_and_the_rest_waits_for_it() {
    let shelf: Arc<Shelf> = Arc::default();
    let foreign = process(&shelf).seal(b"", b"of another process").await.unwrap();
    let (keyring, away) = fickle(&shelf, Limits::default());
    let own = keyring.seal(b"", b"own").await.unwrap();
    away.store(true, Ordering::SeqCst);
    assert_eq!(keyring.open(b"", &own).await.unwrap().as_slice(), b"own");
    keyring.seal(b"", b"more").await.unwrap();
    assert!(matches!(keyring.open(b"", &foreign).await, Err(SecretsError::Unavailable(_))));
    away.store(false, Ordering::SeqCst);
    assert_eq!(keyring.open(b"", &foreign).await.unwrap().as_slice(), b"of another process");
}

#[tokio::test(start_paused = true)]
async fn a_worn_key_goes_on_while_the_guard_is_away_up_to_its_end_and_is_replaced_later() {
    let shelf: Arc<Shelf> = Arc::default();
    let (keyring, away) = fickle(&shelf, Limits { seals: 2, bytes: u64::MAX, most_seals: 10 });
    keyring.seal(b"", b"1").await.unwrap();
    away.store(true, Ordering::SeqCst);
    for _ in 2..=10 {
        keyring.seal(b"", b"more").await.unwrap();
        tokio::time::sleep(BETWEEN_RENEWALS * 2).await;
    }
    assert!(matches!(keyring.seal(b"", b"too much").await, Err(SecretsError::Unavailable(_))));
    assert_eq!(shelf.content().len(), 1);
    away.store(false, Ordering::SeqCst);
    keyring.seal(b"", b"again").await.unwrap();
    assert_eq!(shelf.content().len(), 2);
}

#[tokio::test]
async fn a_wrapped_key_does_not_pass_for_another() {
    let shelf: Arc<Shelf> = Arc::default();
    let (first, second) = (process(&shelf), process(&shelf));
    let sealed = first.seal(b"", b"first").await.unwrap();
    second.seal(b"", b"second").await.unwrap();
    let keys = shelf.content();
    shelf.put(1, keys[&2].clone());
    assert_eq!(process(&shelf).open(b"", &sealed).await, Err(SecretsError::Broken));
}

#[tokio::test]
async fn a_key_that_is_not_there_opens_nothing() {
    let sealed = process(&Arc::default()).seal(b"", b"elsewhere").await.unwrap();
    assert_eq!(process(&Arc::default()).open(b"", &sealed).await, Err(SecretsError::Broken));
}

#[tokio::test]
async fn a_new_master_key_takes_over_once_everything_is_wrapped_anew() {
    let shelf: Arc<Shelf> = Arc::default();
    let sealed = process(&shelf).seal(b"", b"old").await.unwrap();
    let only_new = || Envelope::new(masters(2, &[]), Arc::clone(&shelf) as _, Limits::default());
    assert_eq!(only_new().verify().await, Err(SecretsError::Broken));

    let both = Envelope::new(masters(2, &[1]), Arc::clone(&shelf) as _, Limits::default());
    assert_eq!(both.verify().await, Ok(()));
    assert_eq!(both.open(b"", &sealed).await.unwrap().as_slice(), b"old");
    let newer = both.seal(b"", b"new").await.unwrap();
    assert_eq!(both.rewrap(&*shelf).await, Ok(2));
    for (sealed, plain) in [(sealed, &b"old"[..]), (newer, b"new")] {
        assert_eq!(only_new().open(b"", &sealed).await.unwrap().as_slice(), plain);
    }
    assert_eq!(process(&shelf).verify().await, Err(SecretsError::Broken));
}

#[tokio::test]
async fn nothing_about_keys_is_printed() {
    let keyring = process(&Arc::default());
    keyring.seal(b"", b"key material").await.unwrap();
    assert_eq!(format!("{:?}", keyring.0.sealing.load().as_ref().unwrap().key), "DataKey(1)");
    assert!(format!("{keyring:?}").contains("Key(..)"));
}

/// A process with master key 1, which knows no data key yet.
fn process(shelf: &Arc<Shelf>) -> Envelope {
    Envelope::new(masters(1, &[]), Arc::clone(shelf) as _, Limits::default())
}

fn masters(current: u8, previous: &[u8]) -> MasterKeys {
    let master = |number: &u8| Master::Key(Zeroizing::new([*number; 32]));
    MasterKeys::new(master(&current), previous.iter().map(master).collect())
}

/// A process whose guard can be sent away.
fn fickle(shelf: &Arc<Shelf>, limits: Limits) -> (Envelope, Arc<AtomicBool>) {
    let away = Arc::default();
    let guard = Fickle { masters: masters(1, &[]), away: Arc::clone(&away) };
    (Envelope::new(guard, Arc::clone(shelf) as _, limits), away)
}

/// Master keys that cannot always be reached.
#[derive(Debug)]
struct Fickle {
    masters: MasterKeys,
    away: Arc<AtomicBool>,
}

impl Fickle {
    fn reach(&self) -> Result<&MasterKeys, SecretsError> {
        let away = self.away.load(Ordering::SeqCst);
        if away { Err(SecretsError::Unavailable("away".to_owned())) } else { Ok(&self.masters) }
    }
}

impl Guard for Fickle {
    fn wrap<'g>(&'g self, number: u32, key: &'g KeyBytes) -> Sealing<'g, Vec<u8>> {
        Box::pin(async move { self.reach()?.wrap(number, key).await })
    }

    fn unwrap<'g>(&'g self, number: u32, wrapped: &'g [u8]) -> Sealing<'g, KeyBytes> {
        Box::pin(async move { self.reach()?.unwrap(number, wrapped).await })
    }
}
