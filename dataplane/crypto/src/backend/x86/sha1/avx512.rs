//! 16 words in a vector: AVX-512.

use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm_set_epi64x, _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_mask_blend_epi8,
    _mm512_maskz_loadu_epi8, _mm512_maskz_set1_epi64, _mm512_or_si512, _mm512_rol_epi32, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_ternarylogic_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};
use std::mem::{self, MaybeUninit};

use crate::backend::vectors::sha1::Chunk;
use crate::backend::vectors::sha1::lanes::{self, Kernel, States};
use crate::backend::vectors::sha1::queue::Queue;
use crate::backend::vectors::sha1::rounds::{self, Words};
use crate::backend::vectors::sha1::tail::{self, Tail};
use crate::backend::{Digest, HashJob};

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
            lanes::run::<_, 32>(vectors, queue, TWO_FEWEST, digests);
            lanes::run::<_, 16>(vectors, queue, fewest, digests);
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { featured(self, queue, fewest, digests) }
    }

    /// Hashes the first `L` messages if they are of one length. Whether they are.
    pub(super) fn run_alike<const L: usize>(self, jobs: &[HashJob<'_>; L], digests: &mut [Digest; L]) -> bool
    where
        Self: Kernel<L>,
    {
        #[target_feature(enable = "avx512f,avx512bw")]
        fn featured<const L: usize>(vectors: Avx512, jobs: &[HashJob<'_>; L], digests: &mut [Digest; L]) -> bool
        where
            Avx512: Kernel<L>,
        {
            lanes::run_alike(vectors, jobs, digests)
        }
        // SAFETY: `self` exists, so `detect` found the features.
        unsafe { featured(self, jobs, digests) }
    }
}

impl Kernel<16> for Avx512 {
    #[inline(always)]
    unsafe fn compress(self, states: &mut States<16>, runs: &[*const Chunk; 16], count: usize) {
        // SAFETY: the caller vouches for the runs.
        unsafe { rounds::compress::<_, 16, 1, 16>(self, states, runs, count) }
    }

    #[inline(always)]
    fn write_tail(self, message: &[u8], place: &mut MaybeUninit<Tail>) {
        // SAFETY: `self` proves the features.
        place.write(unsafe { tail(message) });
    }
}

impl Kernel<32> for Avx512 {
    #[inline(always)]
    unsafe fn compress(self, states: &mut States<32>, runs: &[*const Chunk; 32], count: usize) {
        // SAFETY: the caller vouches for the runs.
        unsafe { rounds::compress::<_, 16, 2, 32>(self, states, runs, count) }
    }

    #[inline(always)]
    fn write_tail(self, message: &[u8], place: &mut MaybeUninit<Tail>) {
        // SAFETY: `self` proves the features.
        place.write(unsafe { tail(message) });
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
    fn in_turn(self, a: __m512i) -> __m512i {
        // SAFETY: `self` proves the features.
        unsafe { in_turn(a) }
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

/// The tail of `message`, made in registers: whoever reads it soon does not wait for parts of it to reach the cache.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn tail(message: &[u8]) -> Tail {
    let rest = message.len() % 64;
    let one = 1_u64 << rest;
    // An empty message may begin where nothing is.
    let end =
        message.get(message.len() - rest..).filter(|end| !end.is_empty()).map_or(NOTHING.as_ptr(), <[u8]>::as_ptr);
    // SAFETY: what is not under the mask is not read, and under it are the last `rest` bytes of the message.
    let end = unsafe { _mm512_maskz_loadu_epi8(one - 1, end.cast()) };
    let first = _mm512_mask_blend_epi8(one, end, _mm512_set1_epi8(0x80_u8 as i8));
    let length = _mm512_maskz_set1_epi64(0x80, i64::from_ne_bytes(tail::length(message)));
    let whole = message.as_chunks().0.last().unwrap_or(&NOTHING);
    // SAFETY: the reference is good for 64 bytes, and this load needs no alignment.
    let whole = unsafe { _mm512_loadu_si512(whole.as_ptr().cast()) };
    let chunks = if tail::has_room(rest) {
        [whole, _mm512_or_si512(first, length), _mm512_setzero_si512()]
    } else {
        [whole, first, length]
    };
    // SAFETY: both are thrice 64 bytes without padding, and any bits make bytes.
    Tail { chunks: unsafe { mem::transmute::<[__m512i; 3], [Chunk; 3]>(chunks) } }
}

/// Stands for the end of a message without one.
static NOTHING: Chunk = [0; 64];

/// From this many lanes on, two vectors side by side are faster than one, and the rest with SHA-NI: measured on Zen 5, where a chunk costs
/// 411 cycles for both vectors together, 266 for one, and 33 for each message with SHA-NI.
const TWO_FEWEST: usize = 21;

/// [`Words::in_turn`].
#[inline]
#[target_feature(enable = "avx512f")]
fn in_turn(mut a: __m512i) -> __m512i {
    // SAFETY: these are no instructions, and `a` is left as it is. The compiler keeps such pieces of assembly in their order.
    unsafe { asm!("/* {} */", inlateout(zmm_reg) a, options(nomem, nostack, preserves_flags)) };
    a
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
