//! The key dictionary, measured beside a writer that never rests.

use super::environment::{BenchError, Host, environment};
use super::traffic::{Attack, Direction, Kind, Size, Traffic, peer_key};
use crate::dictionary::{Dictionary, DictionaryReader, DictionaryWriter};
use photongate_dpdk::clock;
use photongate_dpdk::hash::InsertError;
use photongate_pipeline::limits::Limit;
use photongate_pipeline::{Encapsulation, Entry, KeyDictionary, PeerState};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct DictParams {
    /// Peers in the dictionary.
    pub entries: u32,
    /// How long.
    pub duration: Duration,
    /// Whether memory comes from hugepages.
    pub hugepages: bool,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct DictResults {
    /// Where.
    pub host: Host,
    /// Median over bursts, per key, of looking up a burst and reading a byte of each entry.
    pub cycles_per_lookup: f64,
    /// Entries replaced in a second meanwhile.
    pub updates_per_second: f64,
    /// Keys looked up.
    pub lookups: u64,
    /// Look-ups that found nothing. There should be none.
    pub missed: u64,
}

/// Measures look-ups of random keys on one lcore, while the calling thread replaces random entries.
///
/// # Errors
/// [`BenchError`] if the machine does not offer what is needed, or a parameter makes no sense.
pub fn run_dict(params: &DictParams) -> Result<DictResults, BenchError> {
    if !(1..=MAX_ENTRIES).contains(&params.entries) {
        let reason = "there are 1 to 1,000,000 entries";
        return Err(BenchError::Parameter { name: "entries", value: params.entries.into(), reason });
    }
    let (eal, lcores) = environment(1, params.hugepages)?;
    let lcore = lcores.into_iter().next().ok_or(BenchError::NoLcore)?;
    let kind = Kind {
        direction: Direction::In,
        size: Size::Fixed(0),
        peers: params.entries,
        attack: Attack::default(),
        encapsulation: Encapsulation::Lf,
    };
    let traffic = Traffic::new(kind, 0);
    let (dictionary, mut writer) = Dictionary::create(params.entries, 1)?;
    let peers: Vec<Arc<PeerState>> =
        (0..params.entries).map(|peer| Arc::new(PeerState::new(peer_key(peer), Limit::UNLIMITED, 1))).collect();
    for (number, peer) in (0..).zip(&peers) {
        writer.publish(Entry::new(Arc::clone(peer), traffic.keys(number)))?;
    }
    let reader = dictionary.reader()?;
    let done = Arc::new(AtomicBool::new(false));
    let (its_done, entries) = (Arc::clone(&done), params.entries);
    let worker = eal.launch(lcore, move || read(reader, entries, &its_done))?;
    let updates = write(&mut writer, &peers, &traffic, params.duration);
    done.store(true, Relaxed);
    let Read { cycles_per_lookup, lookups, missed } = worker.join()?;
    let updates_per_second = updates? as f64 / params.duration.as_secs_f64();
    Ok(DictResults { host: Host::here(eal), cycles_per_lookup, updates_per_second, lookups, missed })
}

struct Read {
    cycles_per_lookup: f64,
    lookups: u64,
    missed: u64,
}

fn read(mut reader: DictionaryReader, entries: u32, done: &AtomicBool) -> Read {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut lookups, mut missed) = (0, 0);
    // The cycles of bursts, counted by how many: the median of hundreds of millions, in little memory.
    let mut histogram = vec![0_u64; HISTOGRAM];
    while !done.load(Relaxed) {
        let keys = [(); BURST].map(|()| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            peer_key(((random >> 33) % u64::from(entries)) as u32)
        });
        let mut found = [None; BURST];
        let begin = clock::tsc();
        reader.look_up(&keys, &mut found);
        for entry in found.into_iter().flatten() {
            black_box(entry.keys.inbound.is_some());
        }
        let cycles = clock::tsc() - begin;
        missed += found.iter().filter(|entry| entry.is_none()).count() as u64;
        reader.quiesce();
        lookups += BURST as u64;
        let last = histogram.len() - 1;
        histogram[(cycles as usize).min(last)] += 1;
    }
    let half = lookups / BURST as u64 / 2;
    let mut sum = 0;
    let median = histogram.iter().position(|count| {
        sum += count;
        sum > half
    });
    Read { cycles_per_lookup: median.unwrap_or(0) as f64 / BURST as f64, lookups, missed }
}

fn write(
    writer: &mut DictionaryWriter,
    peers: &[Arc<PeerState>],
    traffic: &Traffic,
    duration: Duration,
) -> Result<u64, BenchError> {
    let end = Instant::now() + duration;
    let mut updates = 0;
    let mut next = 0;
    while Instant::now() < end {
        // A stride that has no factor in common with most numbers of peers, so that all have their turn.
        next = (next + 7919) % peers.len();
        match writer.publish(Entry::new(Arc::clone(&peers[next]), traffic.keys(next as u32))) {
            // The reader waits for a processor.
            Err(InsertError::Full { waiting: 1.., .. }) => thread::yield_now(),
            published => {
                published?;
                updates += 1;
            }
        }
        writer.reclaim();
    }
    Ok(updates)
}

/// As the worker's.
const BURST: usize = 32;
const HISTOGRAM: usize = 1 << 17;
const MAX_ENTRIES: u32 = 1_000_000;
