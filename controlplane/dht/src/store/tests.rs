use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn values_are_there_after_the_store_was_closed_or_killed() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let held = store.put(b"held", Keep::Held).unwrap().key;
    let cached = store.put(b"cached", Keep::Cached).unwrap().key;
    drop(store);
    let store = open(&folder);
    assert_eq!((store.get(held).as_deref(), store.keep_of(held)), (Some(&b"held"[..]), Some(Keep::Held)));
    assert_eq!((store.get(cached).as_deref(), store.keep_of(cached)), (Some(&b"cached"[..]), Some(Keep::Cached)));
    assert_eq!(store.held().iter().map(|value| (value.key, value.size)).collect::<Vec<_>>(), [(held, 4)]);
}

#[test]
fn what_is_damaged_on_disk_is_dropped_when_the_store_is_opened() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let (good, torn) = (store.put(b"good", Keep::Held).unwrap().key, store.put(b"torn", Keep::Held).unwrap().key);
    fs::write(file(&folder, "held", torn), "to").unwrap();
    // As a crash in the middle of writing leaves it.
    fs::write(file(&folder, "held", torn).with_file_name("unfinished-7"), "x").unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!((store.size_of(good), store.size_of(torn)), (Some(4), None));
    assert_eq!((store.usage().held, store.usage().corrupt), (1, 1));
    assert!(!file(&folder, "held", torn).exists());
    assert!(!file(&folder, "held", torn).with_file_name("unfinished-7").exists());
}

#[test]
fn what_is_damaged_later_is_never_handed_out() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let key = store.put(b"value", Keep::Cached).unwrap().key;
    fs::write(file(&folder, "cached", key), "other").unwrap();
    assert_eq!((store.get(key), store.size_of(key), store.usage().corrupt), (None, None, 1));
    // And can be stored again.
    store.put(b"value", Keep::Cached).unwrap();
    assert_eq!(store.get(key).as_deref(), Some(&b"value"[..]));
}

#[test]
fn of_cached_values_the_one_gives_way_that_was_not_used_for_longest() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 12).unwrap();
    let keys = ["aaaa", "bbbb", "cccc"].map(|value| store.put(value.as_bytes(), Keep::Cached).unwrap().key);
    store.get(keys[0]).unwrap();
    store.put(b"dddd", Keep::Cached).unwrap();
    assert_eq!(keys.map(|key| store.size_of(key).is_some()), [true, false, true]);
    assert_eq!((store.usage().cached_bytes, store.usage().evicted), (12, 1));
    assert!(!file(&folder, "cached", keys[1]).exists());
}

#[test]
fn held_values_give_way_to_no_cached_one() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 10).unwrap();
    let held = store.put(b"aaaa", Keep::Held).unwrap().key;
    let cached = store.put(b"bbbb", Keep::Cached).unwrap().key;
    assert_eq!(store.put(b"cccccc", Keep::Held).unwrap().gave_way, [cached]);
    assert_eq!((store.size_of(held), store.size_of(cached)), (Some(4), None));
    assert!(matches!(store.put(b"d", Keep::Cached), Err(StoreError::Full { limit: 10 })));
    store.keep(held, Keep::Cached).unwrap();
    store.put(b"d", Keep::Cached).unwrap();
    assert_eq!(store.size_of(held), None);
}

#[test]
fn a_store_full_of_held_values_takes_nearer_ones_in_place_of_the_farthest() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 4 * 8).unwrap();
    let values = by_distance::<8>();
    for value in &values[2..6] {
        store.put(value, Keep::Held).unwrap();
    }
    let [nearest, near, .., far, farthest] = values.map(|value| Id::of(&value));
    assert!(matches!(store.put(&values[7], Keep::Held), Err(StoreError::Full { .. })), "the farthest of all");
    assert_eq!((store.usage().held, store.size_of(far), store.size_of(farthest)), (4, None, None));
    assert_eq!(store.put(&values[0], Keep::Held).unwrap().gave_way, [Id::of(&values[5])]);
    assert_eq!(store.put(&values[1], Keep::Held).unwrap().gave_way, [Id::of(&values[4])]);
    assert_eq!((store.size_of(nearest), store.size_of(near), store.usage().displaced), (Some(8), Some(8), 2));
    assert!(!file(&folder, "held", Id::of(&values[5])).exists());
}

#[test]
fn what_was_put_here_stays_and_takes_the_place_of_what_is_held_for_others() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 2 * 8).unwrap();
    let values = by_distance::<4>();
    let own = store.put(&values[3], Keep::Own).unwrap().key;
    store.put(&values[0], Keep::Held).unwrap();
    assert_eq!(store.put(&values[2], Keep::Own).unwrap().gave_way, [Id::of(&values[0])]);
    assert!(matches!(store.put(&values[1], Keep::Held), Err(StoreError::Full { .. })), "its own do not give way");
    assert!(matches!(store.put(&values[1], Keep::Own), Err(StoreError::Full { .. })), "nor to each other");
    drop(store);
    let store = Store::open(folder.path(), 2 * 8).unwrap();
    assert_eq!((store.keep_of(own), store.held().len()), (Some(Keep::Own), 2));
}

#[test]
fn nothing_gives_way_to_what_has_no_room_even_then() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 3 * 8).unwrap();
    let values = by_distance::<3>();
    store.put(&values[0], Keep::Held).unwrap();
    store.put(&values[2], Keep::Held).unwrap();
    store.put(b"cached", Keep::Cached).unwrap();
    // Its key decides, and it is as long as three of them.
    let long =
        (0..).map(|number| format!("{number:024}")).find(|long| is_between(&Id::of(long.as_bytes()), &values)).unwrap();
    assert!(matches!(store.put(long.as_bytes(), Keep::Held), Err(StoreError::Full { .. })));
    assert_eq!((store.usage().held, store.usage().cached, store.usage().evicted), (2, 1, 0));
}

#[test]
fn a_smaller_limit_makes_cached_values_give_way_when_the_store_is_opened() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let held = store.put(b"aaaa", Keep::Held).unwrap().key;
    store.put(b"bbbb", Keep::Cached).unwrap();
    drop(store);
    let store = Store::open(folder.path(), 5).unwrap();
    assert_eq!((store.usage().held, store.usage().cached), (1, 0));
    assert_eq!(store.get(held).as_deref(), Some(&b"aaaa"[..]));
}

#[test]
fn a_cached_value_that_is_stored_for_the_network_is_held() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let key = store.put(b"value", Keep::Cached).unwrap().key;
    store.put(b"value", Keep::Held).unwrap();
    store.put(b"value", Keep::Cached).unwrap();
    assert_eq!(store.keep_of(key), Some(Keep::Held));
    assert_eq!(store.usage(), Usage { held: 1, held_bytes: 5, limit_bytes: LIMIT, ..Usage::default() });
    drop(store);
    assert_eq!(open(&folder).keep_of(key), Some(Keep::Held));
}

#[test]
fn a_value_that_is_too_long_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.put(&vec![0; LONGEST_VALUE as usize], Keep::Held).unwrap();
    let too_long = store.put(&vec![0; LONGEST_VALUE as usize + 1], Keep::Held);
    assert!(matches!(too_long, Err(StoreError::TooLong { size }) if size == LONGEST_VALUE as usize + 1));
}

/// Values of eight bytes, the one first whose key is nearest to a node of zeros, which a store takes for its own unless it is told.
fn by_distance<const N: usize>() -> [[u8; 8]; N] {
    let mut values: [_; N] = std::array::from_fn(|number| (number as u64).to_be_bytes());
    values.sort_by_key(|value| Id::of(value));
    values
}

fn is_between(key: &Id, values: &[[u8; 8]; 3]) -> bool {
    (Id::of(&values[0])..Id::of(&values[2])).contains(key)
}

fn open(folder: &TempDir) -> Store {
    Store::open(folder.path(), LIMIT).unwrap()
}

fn file(folder: &TempDir, keep: &str, key: Id) -> PathBuf {
    folder.path().join(keep).join(&key.to_string()[..2]).join(key.to_string())
}

const LIMIT: u64 = 2 << 20;
