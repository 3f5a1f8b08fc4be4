//! Eight words in a vector: AVX2.

use std::arch::x86_64::{
    __m256i, _mm_set_epi64x, _mm256_add_epi32, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};
use std::mem;

use crate::backend::Digest;
use crate::backend::vectors::sha1::Chunk;
use crate::backend::vectors::sha1::lanes::{self, Kernel, States};
use crate::backend::vectors::sha1::queue::Queue;
use crate::backend::vectors::sha1::rounds::{self, Words};

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct Avx2(());

impl Avx2 {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2")).then_some(Self(()))
    }
}

impl Avx2 {
    /// Hashes the messages of `queue`, as long as at least `fewest` lanes are busy.
    pub(super) fn run(self, queue: &mut Queue<'_>, fewest: usize, digests: &mut [Digest]) {
        #[target_feature(enable = "avx2")]
        fn featured(vectors: Avx2, queue: &mut Queue<'_>, fewest: usize, digests: &mut [Digest]) {
            lanes::run(vectors, queue, fewest, digests);
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { featured(self, queue, fewest, digests) }
    }
}

impl Kernel<8> for Avx2 {
    #[inline(always)]
    unsafe fn compress(self, states: &mut States<8>, runs: &[*const Chunk; 8], count: usize) {
        // SAFETY: the caller vouches for the runs.
        unsafe { rounds::compress::<_, 8, 1, 8>(self, states, runs, count) }
    }
}

impl Words<8> for Avx2 {
    type Vector = __m256i;

    #[inline(always)]
    fn load(self, chunks: [&Chunk; 8]) -> [__m256i; 16] {
        // SAFETY: `self` proves the features; each reference is good for 64 bytes, and these loads need no alignment.
        unsafe {
            // The first halves of all chunks, then the second ones.
            let mut words = [_mm256_setzero_si256(); 16];
            for half in 0..2 {
                let mut rows = [_mm256_setzero_si256(); 8];
                for l in 0..8 {
                    rows[l] = _mm256_loadu_si256(chunks[l].as_ptr().cast::<__m256i>().add(half));
                }
                words[8 * half..8 * half + 8].copy_from_slice(&transpose(rows));
            }
            words
        }
    }

    #[inline(always)]
    fn vector(self, words: &[u32; 8]) -> __m256i {
        // SAFETY: both are 32 bytes without padding, and any bits make a vector.
        unsafe { mem::transmute::<[u32; 8], __m256i>(*words) }
    }

    #[inline(always)]
    fn words(self, vector: __m256i) -> [u32; 8] {
        // SAFETY: both are 32 bytes without padding, and any bits make words.
        unsafe { mem::transmute::<__m256i, [u32; 8]>(vector) }
    }

    #[inline(always)]
    fn splat(self, word: u32) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_set1_epi32(word as i32) }
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn rotate<const N: i32, const REST: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_or_si256(_mm256_slli_epi32::<N>(a), _mm256_srli_epi32::<REST>(a)) }
    }

    #[inline(always)]
    fn choose(self, b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))) }
    }

    #[inline(always)]
    fn parity(self, b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_xor_si256(_mm256_xor_si256(b, c), d) }
    }

    #[inline(always)]
    fn majority(self, b: __m256i, c: __m256i, d: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_or_si256(_mm256_and_si256(b, c), _mm256_and_si256(d, _mm256_or_si256(b, c))) }
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_xor_si256(a, b) }
    }
}

/// Rows to columns: eight words in each of eight rows, swapped to big-endian on the way.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    // Words of two rows, then of four, in each half of a vector.
    let mut pairs = rows;
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in 0..2 {
        fours[4 * i] = _mm256_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
        fours[4 * i + 1] = _mm256_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
        fours[4 * i + 2] = _mm256_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
        fours[4 * i + 3] = _mm256_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
    }
    // Then halves: word j of rows 0 to 3 is in the lower half of vector j, and word 4 + j in the upper one.
    let mut words = fours;
    for j in 0..4 {
        words[j] = _mm256_permute2x128_si256::<0x20>(fours[j], fours[4 + j]);
        words[4 + j] = _mm256_permute2x128_si256::<0x31>(fours[j], fours[4 + j]);
    }
    for word in &mut words {
        *word = _mm256_shuffle_epi8(*word, swap);
    }
    words
}
