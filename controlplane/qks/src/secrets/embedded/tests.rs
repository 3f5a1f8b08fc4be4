//! Wrapping by a master key and by a passphrase.

use super::*;

#[tokio::test]
async fn a_passphrase_unwraps_what_it_has_wrapped_also_in_another_process() {
    let wrapped = passphrase("correct horse battery").wrap(3, &KEY).await.unwrap();
    let other = passphrase("correct horse battery");
    assert_eq!(other.unwrap(3, &wrapped).await.unwrap(), *KEY);
    assert_eq!(other.unwrap(4, &wrapped).await, Err(SecretsError::Broken));
    assert_eq!(passphrase("correct horse batter").unwrap(3, &wrapped).await, Err(SecretsError::Broken));
}

#[tokio::test]
async fn a_salt_from_the_store_is_taken_over_unless_it_makes_guessing_easy() {
    let first = passphrase("correct horse battery").wrap(1, &KEY).await.unwrap();
    let other = passphrase("correct horse battery");
    other.unwrap(1, &first).await.unwrap();
    let second = other.wrap(2, &KEY).await.unwrap();
    assert_eq!(first[..PASSPHRASE_HEADER_LEN], second[..PASSPHRASE_HEADER_LEN]);

    let mut easy = first.clone();
    easy[1..5].copy_from_slice(&1_u32.to_be_bytes());
    let third = passphrase("correct horse battery");
    assert_eq!(third.unwrap(1, &easy).await, Err(SecretsError::Broken));
    assert_eq!(third.wrap(2, &KEY).await.unwrap()[1..5], ITERATIONS.to_be_bytes());
}

#[tokio::test]
async fn a_number_of_iterations_that_would_take_hours_is_refused() {
    let mut wrapped = passphrase("correct horse battery").wrap(1, &KEY).await.unwrap();
    for iterations in [0, MOST_ITERATIONS + 1, u32::MAX] {
        wrapped[1..5].copy_from_slice(&iterations.to_be_bytes());
        assert_eq!(passphrase("correct horse battery").unwrap(1, &wrapped).await, Err(SecretsError::Broken));
    }
}

#[tokio::test]
async fn a_change_of_any_byte_of_a_wrapped_key_is_noticed() {
    let master = MasterKeys::new(Master::Key(Zeroizing::new([1; 32])), Vec::new());
    let wrapped = master.wrap(1, &KEY).await.unwrap();
    assert_eq!(master.unwrap(1, &wrapped).await.unwrap(), *KEY);
    for position in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[position] ^= 1;
        assert_eq!(master.unwrap(1, &changed).await, Err(SecretsError::Broken), "byte {position}");
        assert_eq!(master.unwrap(1, &wrapped[..position]).await, Err(SecretsError::Broken), "cut at {position}");
    }
}

#[tokio::test]
async fn a_passphrase_may_follow_a_key() {
    let wrapped = MasterKeys::new(Master::Key(Zeroizing::new([1; 32])), Vec::new()).wrap(1, &KEY).await.unwrap();
    let both = MasterKeys::new(
        Master::Passphrase("correct horse battery".to_owned().into()),
        vec![Master::Key(Zeroizing::new([1; 32]))],
    );
    assert_eq!(both.unwrap(1, &wrapped).await.unwrap(), *KEY);
}

fn passphrase(text: &str) -> MasterKeys {
    MasterKeys::new(Master::Passphrase(text.to_owned().into()), Vec::new())
}

static KEY: std::sync::LazyLock<KeyBytes> = std::sync::LazyLock::new(|| Zeroizing::new([7; 32]));
