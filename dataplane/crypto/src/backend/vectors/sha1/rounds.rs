//! The 80 rounds, for any width of vector: a vector holds one word of each of `L` messages.

use zeroize::optimization_barrier;

use super::Chunk;
use super::lanes::States;

/// A processor that computes with `L` words at once.
///
/// Only those can have a value of a type that implements this who found the instructions on this machine.
pub(in crate::backend) trait Words<const L: usize>: Copy {
    /// One word of each of `L` messages.
    type Vector: Copy;

    /// The 16 words of each chunk (FIPS 180-4, section 5.2.1): all first words, all second ones, and so on.
    fn load(self, chunks: [&Chunk; L]) -> [Self::Vector; 16];

    /// The vector of these words.
    fn vector(self, words: &[u32; L]) -> Self::Vector;

    /// The words of a vector.
    fn words(self, vector: Self::Vector) -> [u32; L];

    /// The same word in all lanes.
    fn splat(self, word: u32) -> Self::Vector;

    /// The same vector, computed before whatever goes through here next. Without this the compiler, to save registers, takes apart again
    /// what is to be done side by side.
    #[inline(always)]
    fn in_turn(self, a: Self::Vector) -> Self::Vector {
        a
    }

    /// Sum modulo 2^32.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Rotation to the left by `N` bits; `REST` is 32 less `N`.
    fn rotate<const N: i32, const REST: i32>(self, a: Self::Vector) -> Self::Vector;

    /// Bitwise exclusive or.
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `Ch` (FIPS 180-4, section 4.1.1).
    fn choose(self, b: Self::Vector, c: Self::Vector, d: Self::Vector) -> Self::Vector;

    /// `Parity`.
    fn parity(self, b: Self::Vector, c: Self::Vector, d: Self::Vector) -> Self::Vector;

    /// `Maj`.
    fn majority(self, b: Self::Vector, c: Self::Vector, d: Self::Vector) -> Self::Vector;
}

/// Chains `count` chunks of each run into the states, `G` vectors side by side: a round waits for the one before, and the processor works on
/// the other vector meanwhile.
///
/// # Safety
/// `count` chunks can be read from where each run begins.
#[inline(always)]
pub(in crate::backend) unsafe fn compress<W: Words<L>, const L: usize, const G: usize, const N: usize>(
    vectors: W,
    states: &mut States<N>,
    runs: &[*const Chunk; N],
    count: usize,
) {
    const { assert!(N == G * L, "a lane for each word of each vector") };
    let mut state = [[vectors.splat(0); G]; 5];
    for i in 0..5 {
        for (vector, words) in state[i].iter_mut().zip(states[i].as_chunks().0) {
            *vector = vectors.vector(words);
        }
    }
    for n in 0..count {
        // SAFETY: `n` is less than `count`, and the caller vouches for so many chunks in each run.
        let load = |g: usize| vectors.load(unsafe { chunks(runs, g * L, n) });
        let mut schedule = [load(0); G];
        for (g, words) in schedule.iter_mut().enumerate().skip(1) {
            *words = load(g);
        }
        if G > 1 {
            // More words than registers: they are read where they are needed, from memory.
            optimization_barrier(&schedule);
        }
        state = compress_one(vectors, state, schedule);
    }
    for i in 0..5 {
        for (vector, words) in state[i].iter().zip(states[i].as_chunks_mut().0) {
            *words = vectors.words(*vector);
        }
    }
}

/// Chunk `n` of `L` runs, from run `first` on.
///
/// # Safety
/// They can be read, and are not written to as long as the references live.
#[inline(always)]
unsafe fn chunks<'c, const L: usize, const N: usize>(
    runs: &[*const Chunk; N],
    first: usize,
    n: usize,
) -> [&'c Chunk; L] {
    let mut chunks = [&EMPTY; L];
    for l in 0..L {
        // SAFETY: the caller vouches for it.
        chunks[l] = unsafe { &*runs[first + l].add(n) };
    }
    chunks
}

/// One chunk of each message (FIPS 180-4, section 6.1.2).
#[inline(always)]
fn compress_one<W: Words<L>, const L: usize, const G: usize>(
    vectors: W,
    state: [[W::Vector; G]; 5],
    mut schedule: [[W::Vector; 16]; G],
) -> [[W::Vector; G]; 5] {
    let [mut a, mut b, mut c, mut d, mut e] = state;
    macro_rules! rounds {
        ($function:ident, $constant:expr, $($t:literal)*) => {
            let constant = vectors.splat($constant);
            $({
                const I: usize = $t % 16;
                let mut next = a;
                for g in 0..G {
                    let w = &mut schedule[g];
                    if $t >= 16 {
                        let older = vectors.parity(w[(I + 13) % 16], w[(I + 8) % 16], w[(I + 2) % 16]);
                        w[I] = vectors.rotate::<1, 31>(vectors.xor(w[I], older));
                    }
                    let sum = vectors.add(vectors.add(e[g], constant), w[I]);
                    let sum = vectors.add(sum, vectors.$function(b[g], c[g], d[g]));
                    next[g] = vectors.add(sum, vectors.rotate::<5, 27>(a[g]));
                    b[g] = vectors.rotate::<30, 2>(b[g]);
                    if G > 1 {
                        next[g] = vectors.in_turn(next[g]);
                    }
                }
                (a, b, c, d, e) = (next, a, b, c, d);
            })*
        };
    }
    rounds!(choose, 0x5a82_7999, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    rounds!(parity, 0x6ed9_eba1, 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39);
    rounds!(majority, 0x8f1b_bcdc, 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59);
    rounds!(parity, 0xca62_c1d6, 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79);
    let mut sums = state;
    for (i, words) in [a, b, c, d, e].into_iter().enumerate() {
        for g in 0..G {
            sums[i][g] = vectors.add(state[i][g], words[g]);
        }
    }
    sums
}

static EMPTY: Chunk = [0; 64];
