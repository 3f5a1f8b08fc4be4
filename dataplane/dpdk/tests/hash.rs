//! The hash table: one thread first, then a writer against readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use photongate_dpdk::HashTable;
use photongate_dpdk::hash::{InsertError, Inserted, Key, Reader, TableConfig, Writer};

#[test]
fn a_value_is_found_under_its_key_only() {
    let (table, mut writer) = table::<u64>(8);
    assert_eq!(writer.insert(&key(1), 100).unwrap(), Inserted::New);
    let reader = table.reader().unwrap();
    assert_eq!((reader.look_up(&key(1)), reader.look_up(&key(2))), (Some(&100), None));
}

#[test]
fn a_bulk_look_up_of_more_keys_than_are_taken_at_once_finds_each() {
    let (table, mut writer) = table::<u64>(200);
    for number in (0..200).step_by(2) {
        writer.insert(&key(number), number).unwrap();
    }
    let reader = table.reader().unwrap();
    let keys: Vec<_> = (0..200).map(key).collect();
    for count in [0, 1, 63, 64, 65, 128, 200] {
        let mut values = vec![None; count];
        reader.look_up_bulk(&keys[..count], &mut values);
        let expected: Vec<_> = (0..count as u64).map(|number| (number % 2 == 0).then_some(number)).collect();
        assert_eq!(values.into_iter().map(Option::<&u64>::copied).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_bulk_look_up_stops_with_the_shorter_slice() {
    let (table, mut writer) = table::<u64>(200);
    for number in 0..200 {
        writer.insert(&key(number), number).unwrap();
    }
    let reader = table.reader().unwrap();
    let keys: Vec<_> = (0..200).map(key).collect();
    for (keys_given, values_given) in [(100, 70), (70, 100), (0, 5), (5, 0)] {
        let mut values = vec![None; values_given];
        reader.look_up_bulk(&keys[..keys_given], &mut values);
        let found = keys_given.min(values_given);
        assert!(values[..found].iter().zip(0..).all(|(value, number)| value.copied() == Some(number)));
        assert!(values[found..].iter().all(Option::is_none));
    }
}

#[test]
fn keys_that_differ_in_one_bit_are_different_keys() {
    let (table, mut writer) = table::<usize>(96);
    let one_bit = |bit: usize| {
        let mut key = key(7);
        key[bit / 8] ^= 1 << (bit % 8);
        key
    };
    for bit in 0..96 {
        writer.insert(&one_bit(bit), bit).unwrap();
    }
    let reader = table.reader().unwrap();
    assert!((0..96).all(|bit| reader.look_up(&one_bit(bit)) == Some(&bit)));
    assert_eq!(reader.look_up(&key(7)), None);
}

#[test]
fn a_value_that_was_found_stays_as_it_is_until_the_reader_quiesces() {
    let (table, mut writer) = table::<u64>(8);
    let reader = table.reader().unwrap();
    writer.insert(&key(1), 100).unwrap();
    writer.insert(&key(2), 200).unwrap();
    let (replaced, removed) = (reader.look_up(&key(1)), reader.look_up(&key(2)));
    writer.insert(&key(1), 101).unwrap();
    writer.remove(&key(2));
    writer.reclaim();
    assert_eq!((replaced, removed), (Some(&100), Some(&200)));
    assert_eq!((reader.look_up(&key(1)), reader.look_up(&key(2))), (Some(&101), None));
}

#[test]
fn a_replaced_value_is_freed_once_the_reader_has_quiesced_and_not_before() {
    let (table, mut writer) = table::<Counted>(8);
    let alive = Arc::new(AtomicUsize::new(0));
    let mut reader = table.reader().unwrap();
    writer.insert(&key(1), Counted::new(&alive)).unwrap();
    assert_eq!(writer.insert(&key(1), Counted::new(&alive)).unwrap(), Inserted::Replaced);

    writer.reclaim();
    assert_eq!((alive.load(Ordering::SeqCst), writer.retired()), (2, 1));
    reader.quiesce();
    writer.reclaim();
    assert_eq!((alive.load(Ordering::SeqCst), writer.retired()), (1, 0));
}

#[test]
fn a_sleeping_reader_holds_up_nothing() {
    let (table, mut writer) = table::<Counted>(8);
    let alive = Arc::new(AtomicUsize::new(0));
    let mut reader = table.reader().unwrap();
    writer.insert(&key(1), Counted::new(&alive)).unwrap();
    reader.offline(|| {
        writer.remove(&key(1));
        writer.synchronize(Duration::from_secs(1)).unwrap();
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn synchronizing_with_a_reader_that_does_not_quiesce_gives_up() {
    let (table, mut writer) = table::<u64>(8);
    let _reader = table.reader().unwrap();
    writer.insert(&key(1), 1).unwrap();
    writer.remove(&key(1));
    assert!(writer.synchronize(Duration::from_millis(2)).is_err());
    assert_eq!(writer.retired(), 1);
}

#[test]
fn every_value_is_freed_when_reader_writer_and_table_are_gone() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (table, mut writer) = table::<Counted>(64);
    let reader = table.reader().unwrap();
    for number in 0..60 {
        writer.insert(&key(number), Counted::new(&alive)).unwrap();
    }
    for number in 0..30 {
        writer.remove(&key(number));
    }
    drop(table);
    drop(writer);
    assert!(reader.look_up(&key(59)).is_some(), "a reader keeps its table alive");
    drop(reader);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_full_table_refuses_new_keys_and_still_replaces() {
    let (_table, mut writer) = table::<u64>(100);
    for number in 0..100 {
        writer.insert(&key(number), 0).unwrap();
    }
    assert_eq!(writer.insert(&key(100), 0), Err(InsertError::Full { capacity: 100, waiting: 0 }));
    assert_eq!(writer.insert(&key(50), 1), Ok(Inserted::Replaced));
    assert_eq!((writer.len(), writer.get(&key(50))), (100, Some(&1)));
}

#[test]
fn the_key_of_zero_bytes_is_a_key_like_any_other() {
    let (table, mut writer) = table::<u64>(8);
    let reader = table.reader().unwrap();
    assert_eq!((reader.look_up(&[0; 12]), writer.remove(&[0; 12])), (None, false));
    assert_eq!(writer.insert(&[0; 12], 1), Ok(Inserted::New));
    assert_eq!(writer.insert(&[0; 12], 2), Ok(Inserted::Replaced));
    assert_eq!((reader.look_up(&[0; 12]), writer.len()), (Some(&2), 1));
    assert!(writer.remove(&[0; 12]));
    assert_eq!(reader.look_up(&[0; 12]), None);
}

#[test]
fn the_writer_iterates_over_what_is_in_the_table() {
    let (_table, mut writer) = table::<u64>(100);
    for number in 0..100 {
        writer.insert(&key(number), number).unwrap();
    }
    for number in 0..50 {
        writer.remove(&key(number));
    }
    let mut found: Vec<u64> = writer.iter().map(|(_, &value)| value).collect();
    found.sort_unstable();
    assert_eq!(found, (50..100).collect::<Vec<_>>());
}

#[test]
fn a_million_keys_are_all_found_and_the_next_one_is_refused() {
    const MILLION: u64 = 1_000_000;
    let (table, mut writer) = table::<u64>(MILLION as u32);
    for number in 0..MILLION {
        writer.insert(&key(number), number).unwrap();
    }
    assert!(matches!(writer.insert(&key(MILLION), 0), Err(InsertError::Full { .. })));

    let reader = table.reader().unwrap();
    let mut values = [None; 64];
    for start in (0..MILLION).step_by(64) {
        let keys: [_; 64] = std::array::from_fn(|index| key(start + index as u64));
        reader.look_up_bulk(&keys, &mut values);
        assert!(values.iter().zip(start..).all(|(value, number)| value.copied() == Some(number)), "near {start}");
    }
}

#[test]
fn a_million_keys_come_and_go_in_a_small_table_that_never_runs_out_of_slots() {
    let (table, mut writer) = table::<u64>(16);
    let mut reader = table.reader().unwrap();
    for number in 0..1_000_000 {
        assert_eq!(writer.insert(&key(number), number), Ok(Inserted::New), "at cycle {number}");
        if number >= 15 {
            assert!(writer.remove(&key(number - 15)));
        }
        reader.quiesce();
    }
    assert_eq!(writer.len(), 15);
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn table<V: Send + Sync + 'static>(capacity: u32) -> (HashTable<V>, Writer<V>) {
    HashTable::create(&TableConfig { capacity, readers: 4 }).expect("a small table fits")
}

fn key(number: u64) -> Key {
    let mut key = [1; 12];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

#[expect(dead_code, reason = "readers must be able to move to worker threads")]
fn readers_and_writers_move_between_threads(reader: Reader<u64>, writer: Writer<u64>) {
    std::thread::spawn(move || (reader, writer));
}
