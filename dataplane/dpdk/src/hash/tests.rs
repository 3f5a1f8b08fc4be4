//! The table against a model, with hashes that put many keys into one bucket.

use std::array;
use std::collections::{HashMap, HashSet};
use std::iter;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::buckets::Spot;
use super::*;

#[test]
fn a_table_behaves_like_a_map_whatever_comes_and_goes() {
    for seed in SEEDS {
        compare_with_a_map(seed, Secrets::random(), 300, 400);
    }
}

#[test]
fn a_table_behaves_like_a_map_when_half_of_the_keys_have_the_same_home() {
    for seed in SEEDS {
        compare_with_a_map(seed, CROWD_MEETS, 100, 140);
    }
}

#[test]
fn a_table_behaves_like_a_map_when_all_keys_have_the_same_home() {
    for seed in SEEDS {
        compare_with_a_map(seed, ALL_MEET, 40, 60);
    }
}

#[test]
fn as_many_keys_fit_as_were_asked_for_even_if_all_have_the_same_home() {
    for capacity in [1, 63, 64, 65, 200] {
        let (table, mut writer) = table::<u64>(capacity, ALL_MEET);
        for number in 0..u64::from(capacity) {
            assert_eq!(writer.insert(&key(number), number), Ok(Inserted::New));
        }
        assert_eq!(writer.insert(&key(1000), 0), Err(InsertError::Full { capacity, waiting: 0 }));
        let reader = table.reader().unwrap();
        for number in 0..u64::from(capacity) {
            assert_eq!(reader.look_up(&key(number)), Some(&number));
        }
        assert_eq!(reader.look_up(&key(1000)), None);
    }
}

#[test]
fn a_key_beyond_a_full_bucket_stays_where_it_is_when_there_is_room_before_it() {
    let (table, mut writer) = table(64, ALL_MEET);
    for number in 0..SLOTS as u64 + 1 {
        writer.insert(&key(number), number).unwrap();
    }
    let last = Words::new(key(SLOTS as u64));
    let (spot, _) = table.0.buckets.locate(last).unwrap();
    assert_eq!(spot, Spot { bucket: 1, slot: 0 });
    assert!(writer.remove(&key(0)));
    writer.reclaim();
    writer.insert(&key(SLOTS as u64), 7).unwrap();
    assert_eq!(table.0.buckets.locate(last).map(|(spot, _)| spot), Some(spot));
}

#[test]
fn a_miss_ends_at_home_again_when_no_key_is_beyond_it_any_more() {
    let (table, mut writer) = table(64, ALL_MEET);
    let goes_on = |number| {
        let view = table.0.buckets.view();
        let words = Words::new(key(number));
        view.look(view.share(words), words).goes_on()
    };
    for number in 0..SLOTS as u64 + 2 {
        writer.insert(&key(number), number).unwrap();
    }
    assert!(goes_on(100));
    writer.remove(&key(SLOTS as u64));
    assert!(goes_on(100), "another one is beyond");
    writer.remove(&key(SLOTS as u64 + 1));
    assert!(!goes_on(100));
    assert!(!goes_on(0), "what is at home is found there");
}

#[test]
fn the_slot_of_a_removed_key_is_used_again_after_a_grace_period_and_not_before() {
    let (table, mut writer) = table(64, ALL_MEET);
    let mut reader = table.reader().unwrap();
    let spot = |number| table.0.buckets.locate(Words::new(key(number))).map(|(spot, _)| spot);
    for number in 0..SLOTS as u64 {
        writer.insert(&key(number), number).unwrap();
    }
    let before = spot(1);
    writer.remove(&key(1));
    writer.reclaim();
    writer.insert(&key(10), 10).unwrap();
    assert_eq!(spot(10), Some(Spot { bucket: 1, slot: 0 }));
    reader.quiesce();
    writer.reclaim();
    writer.insert(&key(11), 11).unwrap();
    assert_eq!(spot(11), before);
}

#[test]
fn the_place_of_a_value_is_used_again_after_a_grace_period_and_not_before() {
    let (table, mut writer) = table(8, Secrets::random());
    let mut reader = table.reader().unwrap();
    let places = u64::from(FEWEST_BUCKETS) * SLOTS as u64;
    let place = || table.0.buckets.locate(Words::new(key(0))).map(|(_, place)| place);
    writer.insert(&key(0), 0).unwrap();
    let mut seen = HashSet::from([place()]);
    for value in 1..places {
        assert_eq!(writer.insert(&key(0), value), Ok(Inserted::Replaced));
        assert!(seen.insert(place()), "nobody has quiesced since {value} values ago");
    }
    assert_eq!(writer.insert(&key(0), 0), Err(InsertError::Full { capacity: 8, waiting: places as usize - 1 }));
    assert_eq!(reader.look_up(&key(0)), Some(&(places - 1)));
    reader.quiesce();
    writer.insert(&key(0), places).unwrap();
    assert!(seen.contains(&place()));
}

#[test]
fn all_values_can_be_replaced_at_once_while_no_reader_quiesces() {
    let keys = u64::from(FEWEST_BUCKETS);
    let (table, mut writer) = table(FEWEST_BUCKETS, Secrets::random());
    let reader = table.reader().unwrap();
    for round in 0..4 {
        for number in 0..keys {
            writer.insert(&key(number), round).unwrap();
        }
    }
    assert_eq!(writer.retired() as u64, 3 * keys);
    assert!((0..keys).all(|number| reader.look_up(&key(number)) == Some(&3)));
}

#[test]
fn a_key_that_stays_is_always_found_while_those_around_it_come_and_go() {
    for secrets in [ALL_MEET, CROWD_MEETS] {
        let (table, mut writer) = table::<u64>(64, secrets);
        for number in (0..64).step_by(4) {
            writer.insert(&key(number), number).unwrap();
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for seed in 1..=3 {
                let (mut reader, is_over) = (table.reader().unwrap(), &is_over);
                scope.spawn(move || {
                    let mut random = random(seed);
                    while !is_over.load(Ordering::Relaxed) {
                        let numbers: [u64; 64] = array::from_fn(|_| random.next().unwrap() % 64);
                        let mut values = [None; 64];
                        reader.look_up_bulk_by(&numbers, |number| key(*number), &mut values);
                        for (number, value) in numbers.iter().zip(values) {
                            let value = value.map(|value| value % 64);
                            assert!(
                                value == Some(*number) || value.is_none() && !number.is_multiple_of(4),
                                "{number}: {value:?}"
                            );
                        }
                        reader.quiesce();
                    }
                });
            }
            let _stop = StopAtEnd(&is_over);
            let mut random = random(4);
            for round in 0..20_000_u64 {
                let number = random.next().unwrap() % 64;
                if !number.is_multiple_of(4) && round.is_multiple_of(2) {
                    writer.remove(&key(number));
                } else {
                    // While readers are slow there may be no place for another value.
                    let _ = writer.insert(&key(number), number + 64 * round);
                }
            }
        });
    }
}

#[test]
fn keys_at_equal_distances_are_spread_as_random_ones_are() {
    for stride in [1, 256, 1 << 32, 1 << 48] {
        let (table, mut writer) = table(FEWEST_BUCKETS, Secrets::random());
        for number in 0..u64::from(FEWEST_BUCKETS) {
            writer.insert(&key(number.wrapping_mul(stride)), number).unwrap();
        }
        let view = table.0.buckets.view();
        let beyond =
            writer.iter().filter(|(key, _)| view.look(view.share(Words::new(*key)), Words::new(*key)).goes_on());
        // 140 are expected.
        assert!(beyond.count() < 300, "stride {stride}");
    }
}

#[test]
fn more_keys_than_can_be_told_apart_are_refused() {
    let error = HashTable::<u64>::create(&TableConfig { capacity: u32::MAX, readers: 1 }).err();
    assert_eq!(error, Some(TableError::TooLarge { capacity: u32::MAX }));
}

#[test]
fn a_table_beyond_the_memory_is_refused() {
    let config = TableConfig { capacity: 100_000_000, readers: 1 };
    let error = HashTable::<[u64; 1 << 18]>::create(&config).err();
    assert!(matches!(error, Some(TableError::NoMemory { capacity: 100_000_000, .. })), "{error:?}");
}

/// Random changes to a table and to a map; after each of them some look-ups, and now and then all of them. Removed and replaced values are
/// dropped once each.
fn compare_with_a_map(seed: u64, secrets: Secrets, capacity: u32, keys: u64) {
    let mut random = random(seed);
    let mut below = |limit: u64| random.next().expect("it never ends") % limit;
    let alive = Arc::new(AtomicUsize::new(0));
    let (table, mut writer) = table(capacity, secrets);
    let mut reader = table.reader().unwrap();
    let mut model = HashMap::new();
    for step in 0..1_000 {
        let number = below(keys);
        match below(8) {
            0..5 => {
                let expected = match (model.contains_key(&number), model.len() < capacity as usize) {
                    (true, _) => Ok(Inserted::Replaced),
                    (false, true) => Ok(Inserted::New),
                    (false, false) => Err(InsertError::Full { capacity, waiting: 0 }),
                };
                let inserted = writer.insert(&key(number), Counted::new(step, &alive));
                assert_eq!(inserted, expected, "seed {seed}, step {step}");
                if inserted.is_ok() {
                    model.insert(number, step);
                }
            }
            5..7 => {
                assert_eq!(writer.remove(&key(number)), model.remove(&number).is_some(), "seed {seed}, step {step}");
            }
            _ => reader.quiesce(),
        }
        let numbers: [u64; 70] = array::from_fn(|_| below(keys + 10));
        let mut values = [None; 70];
        reader.look_up_bulk_by(&numbers, |number| key(*number), &mut values);
        for (number, value) in numbers.iter().zip(values) {
            let expected = model.get(number);
            assert_eq!(value.map(|value| &value.value), expected, "seed {seed}, step {step}, key {number}");
        }
        assert_eq!(reader.look_up(&key(number)).map(|value| &value.value), model.get(&number));
        assert_eq!(alive.load(Ordering::SeqCst), model.len() + writer.retired());
    }
    assert_eq!(writer.len(), model.len());
    let found: HashMap<_, _> = writer.iter().map(|(key, value)| (key, value.value)).collect();
    assert_eq!(found, model.iter().map(|(number, value)| (key(*number), *value)).collect());
    let retired = writer.retired();
    drop(writer);
    assert_eq!(alive.load(Ordering::SeqCst), model.len() + retired, "the reader may still look");
    drop((table, reader));
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

/// Sets the flag also when the test fails: readers that nobody stops would keep it from ending.
struct StopAtEnd<'f>(&'f AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A value that is counted while it lives.
struct Counted {
    value: u64,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(value: u64, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { value, alive: Arc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

fn table<V: Send + Sync + 'static>(capacity: u32, secrets: Secrets) -> (HashTable<V>, Writer<V>) {
    HashTable::with_secrets(&TableConfig { capacity, readers: 4 }, secrets).unwrap()
}

/// Even numbers end in a way of which [`CROWD_MEETS`] knows. Number 0 is the key of zero bytes.
fn key(number: u64) -> Key {
    let mut key = Key::default();
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8] = (number % 2) as u8;
    key
}

/// xorshift64.
fn random(seed: u64) -> impl Iterator<Item = u64> {
    iter::successors(Some(seed), |&random| {
        let random = random ^ (random << 13);
        let random = random ^ (random >> 7);
        Some(random ^ (random << 17))
    })
    .skip(1)
}

const SEEDS: RangeInclusive<u64> = 1..=4;

/// The last product is zero, whatever the key: every key is at home in the first bucket.
const ALL_MEET: Secrets = Secrets([1, 2, 3, 0]);

/// The first product is zero for keys that end in zeroes. They are at home in the last bucket, and those that find no room there begin again
/// with the first one.
const CROWD_MEETS: Secrets = Secrets([0x9e37_79b9_7f4a_7c15, 0, !0, 1]);
