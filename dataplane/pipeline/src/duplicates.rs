//! Duplicate suppression: has a packet with this authentication tag been accepted before?
//!
//! A Bloom filter whose bits for one key share a cache line (Putze, Sanders, Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007), so that a packet costs one memory access however large the filter is. It
//! may take a fresh packet for a duplicate, as rarely as [`Sizing`] was asked for; it never takes a duplicate for
//! fresh.
//!
//! # Generations
//! Time is cut into generations of one span each, and a packet belongs to the generation of its own *authenticated*
//! send time, not of its arrival. A replay carries the same send time, so it is looked for in the one place where the
//! original was recorded, whenever it arrives. A ring holds as many generations as the acceptance window, `now ±
//! time_threshold`, can touch.
//!
//! # Why nothing is ever cleared
//! Each block names the generation its bits belong to. A block of an older generation counts as empty, and is emptied
//! by the first packet of the newer one. So there is no clearing to pay for, to pause for, or to fall behind with
//! when a worker slept or the clock jumped.
//!
//! # Why no replay is missed
//! A block loses the bits of generation `g` only to a later generation that takes the same place in the ring, `g + K`
//! or later, and only when a packet of it is recorded. From then on `newest` is at least `g + K`, it never falls, and
//! all of generation `g` is answered [`Seen::Expired`]. This holds however the clock moves; the clock only decides
//! which send times are acceptable. A clock that ran ahead for a while and was set right costs nothing, unless
//! packets from that future were accepted.

mod sizing;

use photongate_crypto::backend::prefetch;
use photongate_wire::{Nanos, UnixNanos};

pub use sizing::{Sizing, SizingError};

/// What is known about a packet.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not seen before.
    Fresh,
    /// Recorded before; or, at the false-positive rate, taken for one that was.
    Duplicate,
    /// Sent too long ago or too far in the future for the filter to know: not to be accepted.
    Expired,
}

/// The duplicate filter of one worker. All copies of a packet must reach the same one.
///
/// Its memory is touched when it is made: make it on the worker's own core, so that it lies in that core's memory.
pub struct DuplicateFilter {
    blocks: Box<[Block]>,
    /// By place in the ring.
    generations: [Generation; GENERATIONS],
    blocks_per_generation: usize,
    keys_per_generation: f64,
    probes: usize,
    span: u64,
    time_threshold: Nanos,
    seed: [u64; 2],
    now: UnixNanos,
    /// Send times before this one are expired whatever the clock shows.
    earliest: UnixNanos,
    /// The latest generation with a recorded packet. Never falls.
    newest: u64,
    /// The generation that `now` is in, and when it begins.
    current: u64,
    current_start: u64,
}

impl DuplicateFilter {
    /// An empty filter. `seed` must be random and secret, new for each start: it keeps a peer that can choose its own
    /// tags from aiming them at one block.
    pub fn new(sizing: &Sizing, seed: [u64; 2]) -> Self {
        Self {
            blocks: vec![Block::EMPTY; sizing.blocks_per_generation() * GENERATIONS].into_boxed_slice(),
            generations: [Generation { number: NEVER, keys: 0 }; GENERATIONS],
            blocks_per_generation: sizing.blocks_per_generation(),
            keys_per_generation: sizing.keys_per_generation(),
            probes: sizing.probes_per_word(),
            span: sizing.span().0,
            time_threshold: sizing.time_threshold(),
            seed,
            now: UnixNanos(0),
            earliest: UnixNanos(0),
            newest: 0,
            current: 0,
            current_start: 0,
        }
    }

    /// The memory that packets are looked for in, at random: whoever can should put it into large pages.
    pub fn memory(&self) -> &[impl Sized + use<>] {
        &self.blocks
    }

    /// Sets the clock, against which send times are judged until the next call. Costs the same however far it moved.
    pub fn advance(&mut self, now: UnixNanos) {
        self.now = now;
        self.current = now.0 / self.span;
        self.current_start = self.current * self.span;
        if now.saturating_add(self.time_threshold) < self.earliest {
            // The clock was ahead when `earliest` was set. Now is as good an instant: nothing sent before it passes.
            self.earliest = now;
        }
    }

    /// Answers [`Seen::Expired`] for everything sent before `instant`, from now on.
    ///
    /// A filter that starts knows nothing of what its predecessor accepted. With the time of the start, what was sent
    /// before cannot be replayed into the new filter; what peers with fast clocks sent "later" still can, up to
    /// `time_threshold` ahead.
    pub fn refuse_before(&mut self, instant: UnixNanos) {
        self.earliest = self.earliest.max(instant);
    }

    /// Where a packet with this authentication tag, sent at `sent`, is recorded: worked out once for all that follows.
    #[inline(always)]
    pub fn locate(&self, tag: &[u8; 16], sent: UnixNanos) -> Spot {
        let mut spot = Spot::NONE;
        self.locate_at(tag, sent, &mut spot);
        spot
    }

    /// As [`locate`](Self::locate), where `spot` is. It is written there word by word: to copy it from elsewhere a moment after it was
    /// written, in vectors, would have to wait for the words to leave for memory.
    #[inline(always)]
    pub(crate) fn locate_at(&self, tag: &[u8; 16], sent: UnixNanos, spot: &mut Spot) {
        let generation = self.generation(sent);
        let key = self.mix(tag);
        spot.sent = sent;
        spot.generation = generation;
        spot.block = self.position(generation, key);
        self.pattern(key, &mut spot.pattern);
    }

    /// Starts to fetch what [`contains_at`](Self::contains_at) and [`insert_at`](Self::insert_at) will need. Called for
    /// each packet of a burst first, it lets the memory accesses overlap.
    #[inline]
    pub fn prefetch(&self, spot: &Spot) {
        prefetch(&self.blocks[spot.block]);
    }

    /// As [`contains_at`](Self::contains_at), for one packet alone.
    pub fn contains(&self, tag: &[u8; 16], sent: UnixNanos) -> Seen {
        self.contains_at(&self.locate(tag, sent))
    }

    /// As [`insert_at`](Self::insert_at), for one packet alone.
    pub fn insert(&mut self, tag: &[u8; 16], sent: UnixNanos) -> Seen {
        self.insert_at(&self.locate(tag, sent))
    }

    /// Whether the packet was recorded. Changes nothing.
    #[inline(always)]
    pub fn contains_at(&self, spot: &Spot) -> Seen {
        if !self.holds(spot.generation, spot.sent) {
            return Seen::Expired;
        }
        let block = &self.blocks[spot.block];
        let has = block.generation == spot.generation && block.has(&spot.pattern);
        if has { Seen::Duplicate } else { Seen::Fresh }
    }

    /// Records the packet and says whether it had been recorded before. Both its tag and its payload hash must have
    /// been verified.
    #[inline(always)]
    pub fn insert_at(&mut self, spot: &Spot) -> Seen {
        let Spot { sent, generation, block, ref pattern } = *spot;
        if !self.holds(generation, sent) {
            return Seen::Expired;
        }
        let block = &mut self.blocks[block];
        if block.generation != generation {
            block.generation = generation;
            block.bits.copy_from_slice(pattern);
        } else if block.has(pattern) {
            return Seen::Duplicate;
        } else {
            block.add(pattern);
        }
        self.newest = self.newest.max(generation);
        self.generations[ring_place(generation)].count(generation);
        Seen::Fresh
    }

    /// Packets recorded in the fullest generation held, as a share of what the filter was sized for. Above 1, fresh
    /// packets are mistaken for duplicates more often than [`Sizing`] was asked for.
    pub fn load(&self) -> f64 {
        let held = self.generations.iter().filter(|generation| generation.number != NEVER);
        let fullest = held.map(|generation| generation.keys).max().unwrap_or(0);
        fullest as f64 / self.keys_per_generation
    }

    /// Whether a packet of this generation, if it was ever recorded, still is.
    #[inline(always)]
    fn holds(&self, generation: u64, sent: UnixNanos) -> bool {
        let overwritten = generation.saturating_add(GENERATIONS as u64) <= self.newest;
        !overwritten && sent.distance(self.now) <= self.time_threshold && sent >= self.earliest
    }

    /// The generation of what was sent at `sent`: most often that of now, which takes no division.
    #[inline(always)]
    fn generation(&self, sent: UnixNanos) -> u64 {
        let is_current = sent.0.wrapping_sub(self.current_start) < self.span;
        if is_current { self.current } else { sent.0 / self.span }
    }

    /// Where the key's block is: always inside `blocks`.
    #[inline(always)]
    fn position(&self, generation: u64, key: u64) -> usize {
        let block = ((u128::from(key) * self.blocks_per_generation as u128) >> 64) as usize;
        ring_place(generation) * self.blocks_per_generation + block
    }

    /// 64 bits that stand for the tag. Two of the keys of one generation agree in all of them about never (one pair
    /// in 2⁶⁴), so they are enough to draw everything else from.
    #[inline(always)]
    fn mix(&self, tag: &[u8; 16]) -> u64 {
        let tag = u128::from_le_bytes(*tag);
        fold(tag as u64 ^ self.seed[0], (tag >> 64) as u64 ^ self.seed[1])
    }

    /// The bits that stand for the key: `probes` in each word of a block.
    #[inline(always)]
    fn pattern(&self, key: u64, pattern: &mut [u64; WORDS]) {
        // With the number known, the loops become straight code.
        match self.probes {
            1 => self.draw::<1>(key, pattern),
            2 => self.draw::<2>(key, pattern),
            3 => self.draw::<3>(key, pattern),
            _ => self.draw::<4>(key, pattern),
        }
    }

    #[inline(always)]
    fn draw<const N: usize>(&self, key: u64, pattern: &mut [u64; WORDS]) {
        let mut draws = [0; N];
        for (draw, stream) in draws.iter_mut().zip(&STREAMS) {
            *draw = fold(key ^ stream, self.seed[0] ^ stream.rotate_left(32));
        }
        for (n, word) in pattern.iter_mut().enumerate() {
            *word = draws.iter().fold(0, |bits, draw| bits | 1 << (draw >> (6 * n) & 63));
        }
    }
}

/// Where one packet is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    sent: UnixNanos,
    generation: u64,
    block: usize,
    pattern: [u64; WORDS],
}

impl Spot {
    /// Stands where there is no packet. What was sent then is expired.
    pub(crate) const NONE: Self = Self { sent: UnixNanos(0), generation: 0, block: 0, pattern: [0; WORDS] };
}

/// One cache line: the bits of the keys that fall here, and the generation they belong to.
///
/// Each key sets its bits evenly in all words, which costs a fraction of a percent more memory than setting them
/// anywhere, and takes no loop in which each step waits for the one before.
#[derive(Clone)]
#[repr(align(64))]
struct Block {
    generation: u64,
    bits: [u64; WORDS],
}

impl Block {
    const EMPTY: Self = Self { generation: NEVER, bits: [0; WORDS] };

    #[inline(always)]
    fn has(&self, pattern: &[u64; WORDS]) -> bool {
        let missing = self.bits.iter().zip(pattern).fold(0, |missing, (bits, wanted)| missing | (wanted & !bits));
        missing == 0
    }

    #[inline(always)]
    fn add(&mut self, pattern: &[u64; WORDS]) {
        for (bits, wanted) in self.bits.iter_mut().zip(pattern) {
            *bits |= wanted;
        }
    }
}

/// How many packets one generation has recorded.
#[derive(Clone, Copy)]
struct Generation {
    number: u64,
    keys: u64,
}

impl Generation {
    #[inline]
    fn count(&mut self, generation: u64) {
        if self.number != generation {
            *self = Self { number: generation, keys: 0 };
        }
        self.keys += 1;
    }
}

#[inline]
fn ring_place(generation: u64) -> usize {
    (generation % GENERATIONS as u64) as usize
}

/// Multiplies to 128 bits and folds the halves together: every bit of the result depends on every bit of both factors.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Spans are a quarter of the threshold, so a window of twice the threshold touches up to nine of them. Shorter spans
/// would save little memory more and feel bursts of senders whose clocks tick coarsely (LightningFilter's every 100
/// ms).
const GENERATIONS: usize = 9;
const SPANS_PER_THRESHOLD: u64 = 4;

/// The generation of a block that holds nothing: no send time is in it, as a span lasts longer than a nanosecond.
const NEVER: u64 = u64::MAX;

/// Words of a cache line, less the one that holds the generation.
const WORDS: usize = 7;

/// What makes the draws for one key differ: the fractions of the roots of 2, 3, 5 and 7.
const STREAMS: [u64; 4] = [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

#[cfg(test)]
mod tests;
