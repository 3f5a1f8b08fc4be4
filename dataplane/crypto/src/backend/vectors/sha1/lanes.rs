//! Which message is in which lane: one that falls free takes the next.

use super::queue::Queue;
use super::stream::{Padding, Stream};
use super::{Chunk, State};
use crate::backend::Digest;

/// A kernel that hashes `L` messages side by side.
pub(in crate::backend) trait Kernel<const L: usize>: Copy {
    /// Chains `count` chunks of each run into the states.
    ///
    /// # Safety
    /// No run is shorter than `count`.
    unsafe fn compress(self, states: &mut States<L>, runs: &[&[Chunk]; L], count: usize);
}

/// The states of `L` messages: the first words, then the second ones, and so on.
pub(in crate::backend) type States<const L: usize> = [[u32; L]; 5];

/// Hashes the messages of `queue`, as long as at least `fewest` lanes are busy, which is not 0.
#[inline(always)]
pub(in crate::backend) fn run<K: Kernel<L>, const L: usize>(
    kernel: K,
    queue: &mut Queue<'_>,
    fewest: usize,
    digests: &mut [Digest],
) {
    if queue.len() < fewest {
        return;
    }
    let mut streams = [Stream::EMPTY; L];
    let mut padding = [Padding::EMPTY; L];
    let mut states = [[0; L]; 5];
    // A bit for each lane.
    let mut busy = 0_u32;
    loop {
        for l in 0..L {
            if busy & (1 << l) == 0
                && let Some(stream) = queue.next()
            {
                padding[l].fill(&stream);
                put(&mut states, l, &stream.state);
                streams[l] = stream;
                busy |= 1 << l;
            }
        }
        if (busy.count_ones() as usize) < fewest {
            break;
        }
        let mut runs = [&[][..]; L];
        let mut shortest = runs[0];
        let mut count = usize::MAX;
        for l in 0..L {
            if busy & (1 << l) != 0 {
                runs[l] = streams[l].chunks(&padding[l]);
                if runs[l].len() < count {
                    (shortest, count) = (runs[l], runs[l].len());
                }
            }
        }
        // A lane without a message of its own repeats another's.
        for (l, run) in runs.iter_mut().enumerate() {
            if busy & (1 << l) == 0 {
                *run = shortest;
            }
        }
        // SAFETY: `count` is the length of the shortest run.
        unsafe { kernel.compress(&mut states, &runs, count) };
        for l in 0..L {
            if busy & (1 << l) != 0 && streams[l].advance(count) {
                busy &= !(1 << l);
                write(&mut digests[streams[l].job], &take(&states, l));
            }
        }
    }
    while busy != 0 {
        let l = busy.trailing_zeros() as usize;
        busy &= busy - 1;
        streams[l].state = take(&states, l);
        queue.put_back(&streams[l]);
    }
}

#[inline(always)]
fn write(digest: &mut Digest, state: &State) {
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
}

#[inline(always)]
fn put<const L: usize>(states: &mut States<L>, lane: usize, state: &State) {
    for (words, word) in states.iter_mut().zip(state) {
        words[lane] = *word;
    }
}

#[inline(always)]
fn take<const L: usize>(states: &States<L>, lane: usize) -> State {
    let mut state = [0; 5];
    for (word, words) in state.iter_mut().zip(states) {
        *word = words[lane];
    }
    state
}
