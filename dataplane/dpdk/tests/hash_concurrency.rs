//! Readers hammer the hash table while its writer replaces, adds and removes.
//!
//! Every value carries its key and a checksum, and is overwritten when it is freed. A reader that ever sees a value
//! half written, freed, or under the wrong key stops the test. `scripts/asan.sh` runs it under AddressSanitizer: it
//! knows nothing of the places of a table, but sees who looks at what a value had on the heap.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use photongate_dpdk::HashTable;
use photongate_dpdk::hash::{Key, Reader, TableConfig};

#[test]
fn no_reader_sees_a_torn_or_freed_value_in_a_small_table_that_is_always_nearly_full() {
    hammer(64, 64);
}

#[test]
fn no_reader_sees_a_torn_or_freed_value_in_a_table_whose_keys_keep_moving() {
    hammer(5000, 6000);
}

fn hammer(capacity: u32, keys: u64) {
    let config = TableConfig { capacity, readers: READERS };
    let (table, mut writer) = HashTable::<Value>::create(&config).unwrap();
    let (alive, is_over) = (Arc::new(AtomicU64::new(0)), AtomicBool::new(false));
    let mut random = Random(0x5eed);
    let changes = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let reader = table.reader().unwrap();
                let is_over = &is_over;
                scope.spawn(move || read(reader, keys, u64::from(number), is_over))
            })
            .collect();

        let end = Instant::now() + Duration::from_secs(SECONDS);
        let mut changes = 0_u64;
        while Instant::now() < end && readers.iter().all(|reader| !reader.is_finished()) {
            for _ in 0..100 {
                let number = random.below(keys);
                if random.below(3) == 0 {
                    writer.remove(&key(number));
                } else {
                    // A full table is as good as any.
                    let _ = writer.insert(&key(number), Value::new(number, random.next(), &alive));
                }
                changes += 1;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            let found = reader.join().expect("no reader saw a broken value");
            assert!(found > 1000, "a reader found only {found} values");
        }
        changes
    });
    assert!(changes > 1000, "the writer made only {changes} changes");

    writer.synchronize(Duration::from_secs(10)).unwrap();
    assert_eq!(alive.load(Ordering::SeqCst), writer.len() as u64, "what is out of the table is freed");
    drop((table, writer));
    assert_eq!(alive.load(Ordering::SeqCst), 0, "and the rest with the table");
}

/// Looks up bursts of keys until told to stop. Returns how many values were found, all of them whole.
fn read(mut reader: Reader<Value>, keys: u64, seed: u64, is_over: &AtomicBool) -> u64 {
    let mut random = Random(seed + 1);
    let mut found = 0;
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..64 {
            let numbers: [u64; 64] = std::array::from_fn(|_| random.below(keys));
            let mut values = [None; 64];
            reader.look_up_bulk(&numbers.map(key), &mut values);
            // Twice: a value freed while it is held shows in the second look.
            for _ in 0..2 {
                for (number, value) in numbers.iter().zip(values) {
                    if let Some(value) = value {
                        value.check(*number);
                        found += 1;
                    }
                }
            }
            reader.quiesce();
        }
        reader.offline(std::thread::yield_now);
    }
    found
}

/// Its number, random words, their sum; its number again, on the heap.
struct Value {
    words: [u64; 32],
    number: Box<u64>,
    alive: Arc<AtomicU64>,
}

impl Value {
    fn new(number: u64, seed: u64, alive: &Arc<AtomicU64>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        let mut random = Random(seed);
        let mut words: [u64; 32] = std::array::from_fn(|_| random.next());
        words[0] = number;
        words[31] = sum(&words[..31]);
        Self { words, number: Box::new(number), alive: Arc::clone(alive) }
    }

    fn check(&self, number: u64) {
        let words = black_box(&self.words);
        assert_eq!(words[0], number, "a value under another key, or a freed one");
        assert_eq!(words[31], sum(&words[..31]), "a torn value");
        assert_eq!(*black_box(&*self.number), number, "a value that was freed meanwhile");
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.words.fill(POISON);
        black_box(&mut self.words);
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

fn sum(words: &[u64]) -> u64 {
    words.iter().fold(1, |sum, word| sum.rotate_left(5).wrapping_add(*word))
}

fn key(number: u64) -> Key {
    let mut key = [1; 12];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

const READERS: u32 = 3;

/// For each of the tests.
const SECONDS: u64 = 3;

const POISON: u64 = 0xdead_dead_dead_dead;
