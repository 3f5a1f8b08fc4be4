//! Randomness from a seed: the key stream of AES-256 in counter mode.
//!
//! Whoever holds the seed holds every bit of it. That is what makes a run repeatable, and what lets one end describe a train
//! of pulses by its seed alone.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::{Zeroize, Zeroizing};

/// What a [`Random`] begins with: 256 bits.
pub type Seed = Zeroizing<[u8; 32]>;

/// A generator that gives the same numbers to whoever begins with the same seed.
pub struct Random {
    stream: Stream,
    buffer: Zeroizing<[u8; CHUNK]>,
    used: usize,
    next: u64,
}

impl Random {
    /// The generator that begins with `seed`.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { stream: Stream::new(seed), buffer: Zeroizing::new([0; CHUNK]), used: CHUNK, next: 0 }
    }

    /// A generator whose seed comes from the operating system.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn from_system() -> Result<Self, getrandom::Error> {
        let mut seed = Seed::default();
        getrandom::fill(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(CHUNK) {
            let (begin, end) = self.take(part.len());
            part.copy_from_slice(&self.buffer[begin..end]);
        }
    }

    /// A number of 64 random bits.
    pub fn word(&mut self) -> u64 {
        let (begin, end) = self.take(8);
        u64::from_le_bytes(self.buffer[begin..end].try_into().expect("eight bytes were taken"))
    }

    /// A random bit.
    pub fn bit(&mut self) -> bool {
        let (begin, _) = self.take(1);
        self.buffer[begin] & 1 == 1
    }

    /// A number below `end`. Its distribution is even but for less than `end` in 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(end)) >> 64) as u64
    }

    /// A number above 0, at most 1.
    pub fn fraction(&mut self) -> f64 {
        ((self.word() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that has this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.fraction() <= probability
    }

    /// A fresh seed.
    pub fn seed(&mut self) -> Seed {
        let mut seed = Seed::default();
        self.fill(seed.as_mut_slice());
        seed
    }

    /// Where in the buffer `count` bytes lie that have not been used.
    fn take(&mut self, count: usize) -> (usize, usize) {
        if CHUNK - self.used < count {
            self.stream.fill(self.next, self.buffer.as_mut_slice());
            self.next += (CHUNK / BLOCK) as u64;
            self.used = 0;
        }
        let begin = self.used;
        self.used += count;
        (begin, self.used)
    }
}

/// The key stream of a seed, from any place.
pub(crate) struct Stream(EncryptingKey);

impl Stream {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let key = UnboundCipherKey::new(&AES_256, seed).expect("a seed is as long as the cipher's key");
        Self(EncryptingKey::ctr(key).expect("AES-256 has a counter mode"))
    }

    /// Fills `bytes` with the stream from the block of that index on. A block has 16 bytes.
    pub(crate) fn fill(&self, block: u64, bytes: &mut [u8]) {
        bytes.zeroize();
        let counter = FixedLength::from(&u128::from(block).to_be_bytes());
        self.0.less_safe_encrypt(bytes, EncryptionContext::Iv128(counter)).expect("a counter goes with its mode");
    }
}

/// Bytes per block of the cipher.
const BLOCK: usize = 16;
/// Bytes that are made at a time.
const CHUNK: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let numbers = |seed| {
            let mut random = Random::from_seed(&[seed; 32]);
            (0..1000).map(|_| random.word()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn the_stream_is_the_same_from_any_place() {
        let stream = Stream::new(&[7; 32]);
        let mut whole = [0; 256];
        stream.fill(5, &mut whole);
        let mut part = [0; 64];
        stream.fill(5 + 3, &mut part);
        assert_eq!(whole[48..112], part);
    }

    #[test]
    fn chances_are_as_likely_as_they_are_told_to_be() {
        let mut random = Random::from_seed(&[3; 32]);
        let count = (0..100_000).filter(|_| random.happens(0.2)).count();
        assert!((19_500..20_500).contains(&count), "{count}");
        assert!(!(0..100_000).any(|_| random.happens(0.0)));
    }
}
