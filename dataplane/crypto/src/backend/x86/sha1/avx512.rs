//! 16 words in a vector: AVX-512.

use std::arch::x86_64::{
    __m512i, _mm_set_epi64x, _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_rol_epi32,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_ternarylogic_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};
use std::mem;

use crate::backend::Digest;
use crate::backend::vectors::sha1::Chunk;
use crate::backend::vectors::sha1::lanes::{self, Kernel, States};
use crate::backend::vectors::sha1::queue::Queue;
use crate::backend::vectors::sha1::rounds::{self, Words};

/// Proof that the processor has AVX-512F and BW.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct Avx512(());

impl Avx512 {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")).then_some(Self(()))
    }
}

impl Avx512 {
    /// Hashes the messages of `queue`, as long as at least `fewest` lanes are busy.
    pub(super) fn run(self, queue: &mut Queue<'_>, fewest: usize, digests: &mut [Digest]) {
        #[target_feature(enable = "avx512f,avx512bw")]
        fn featured(vectors: Avx512, queue: &mut Queue<'_>, fewest: usize, digests: &mut [Digest]) {
            lanes::run(vectors, queue, fewest, digests);
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { featured(self, queue, fewest, digests) }
    }
}

impl Kernel<16> for Avx512 {
    #[inline(always)]
    unsafe fn compress(self, states: &mut States<16>, runs: &[&[Chunk]; 16], count: usize) {
        // SAFETY: the caller vouches for the runs' lengths.
        unsafe { rounds::compress(self, states, runs, count) }
    }
}

impl Words<16> for Avx512 {
    type Vector = __m512i;

    #[inline(always)]
    fn load(self, chunks: [&Chunk; 16]) -> [__m512i; 16] {
        // SAFETY: `self` proves the features; each reference is good for 64 bytes, and these loads need no alignment.
        unsafe {
            let mut rows = [_mm512_setzero_si512(); 16];
            for l in 0..16 {
                rows[l] = _mm512_loadu_si512(chunks[l].as_ptr().cast());
            }
            transpose(rows)
        }
    }

    #[inline(always)]
    fn vector(self, words: &[u32; 16]) -> __m512i {
        // SAFETY: both are 64 bytes without padding, and any bits make a vector.
        unsafe { mem::transmute::<[u32; 16], __m512i>(*words) }
    }

    #[inline(always)]
    fn words(self, vector: __m512i) -> [u32; 16] {
        // SAFETY: both are 64 bytes without padding, and any bits make words.
        unsafe { mem::transmute::<__m512i, [u32; 16]>(vector) }
    }

    #[inline(always)]
    fn splat(self, word: u32) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_set1_epi32(word as i32) }
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn rotate<const N: i32, const REST: i32>(self, a: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_rol_epi32::<N>(a) }
    }

    #[inline(always)]
    fn choose(self, b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_ternarylogic_epi32::<0xca>(b, c, d) }
    }

    #[inline(always)]
    fn parity(self, b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_ternarylogic_epi32::<0x96>(b, c, d) }
    }

    #[inline(always)]
    fn majority(self, b: __m512i, c: __m512i, d: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_ternarylogic_epi32::<0xe8>(b, c, d) }
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_xor_si512(a, b) }
    }
}

/// Rows to columns: 16 words in each of 16 rows, swapped to big-endian on the way.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(r: [__m512i; 16]) -> [__m512i; 16] {
    let swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    let mut t = r;
    // Words of two rows, then of four, in each quarter of a vector.
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    let mut u = t;
    for i in 0..4 {
        u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    // Then quarters: u[4 * i + j] has word 4 * q + j of rows 4 * i.. in its quarter q.
    let mut w = u;
    for j in 0..4 {
        let [p, q, r, s] = [u[j], u[4 + j], u[8 + j], u[12 + j]];
        let pq_low = _mm512_shuffle_i32x4::<0x44>(p, q); // p0 p1 q0 q1
        let pq_high = _mm512_shuffle_i32x4::<0xee>(p, q); // p2 p3 q2 q3
        let rs_low = _mm512_shuffle_i32x4::<0x44>(r, s);
        let rs_high = _mm512_shuffle_i32x4::<0xee>(r, s);
        w[j] = _mm512_shuffle_i32x4::<0x88>(pq_low, rs_low); // p0 q0 r0 s0
        w[4 + j] = _mm512_shuffle_i32x4::<0xdd>(pq_low, rs_low);
        w[8 + j] = _mm512_shuffle_i32x4::<0x88>(pq_high, rs_high);
        w[12 + j] = _mm512_shuffle_i32x4::<0xdd>(pq_high, rs_high);
    }
    for word in &mut w {
        *word = _mm512_shuffle_epi8(*word, swap);
    }
    w
}
