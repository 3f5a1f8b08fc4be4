//! Which message is in which lane: one that falls free takes the next.

use std::mem::MaybeUninit;

use super::queue::{Message, Queue};
use super::tail::{self, Tail};
use super::{Chunk, INITIAL, State};
use crate::backend::Digest;
#[cfg(target_arch = "x86_64")]
use crate::backend::HashJob;

/// A kernel that hashes `L` messages side by side.
pub(in crate::backend) trait Kernel<const L: usize>: Copy {
    /// Chains `count` chunks of each run into the states.
    ///
    /// # Safety
    /// `count` chunks can be read from where each run begins.
    unsafe fn compress(self, states: &mut States<L>, runs: &[*const Chunk; L], count: usize);

    /// Puts the tail of `message` there.
    #[inline(always)]
    fn write_tail(self, message: &[u8], place: &mut MaybeUninit<Tail>) {
        tail::write(message, place);
    }
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
    // A bit for each lane.
    let mut busy = 0_u32;
    let mut messages = [Message::EMPTY; L];
    let mut states = [[0; L]; 5];
    for (words, word) in states.iter_mut().zip(INITIAL) {
        *words = [word; L];
    }
    let mut is_first = true;
    // Of each lane: where its next chunk is, how many follow it there, and how many are then in its tail.
    let mut runs = [std::ptr::null::<Chunk>(); L];
    let mut left = [usize::MAX; L];
    let mut behind = [0; L];
    let mut tails = [const { MaybeUninit::<Tail>::uninit() }; L];
    loop {
        let mut free = !busy & (u32::MAX >> (u32::BITS - L as u32));
        while free != 0
            && let Some(message) = queue.next()
        {
            let l = free.trailing_zeros() as usize;
            free &= free - 1;
            busy |= 1 << l;
            if message.taken > 0 {
                put(&mut states, l, &read(&digests[message.job]));
            } else if !is_first {
                put(&mut states, l, &INITIAL);
            }
            let (before, in_tail) = tail::split(message.data);
            kernel.write_tail(message.data, &mut tails[l]);
            if message.taken < before {
                runs[l] = message.data.as_ptr().cast::<Chunk>().wrapping_add(message.taken);
                (left[l], behind[l]) = (before - message.taken, in_tail);
            } else {
                // SAFETY: it has just been written.
                let tail = unsafe { tails[l].assume_init_ref() };
                runs[l] = tail.first(message.data).wrapping_add(message.taken - before);
                (left[l], behind[l]) = (before + in_tail - message.taken, 0);
            }
            messages[l] = message;
        }
        is_first = false;
        if (busy.count_ones() as usize) < fewest {
            break;
        }
        // A lane without a message of its own repeats another's.
        let repeated = runs[busy.trailing_zeros() as usize % L];
        while free != 0 {
            let l = free.trailing_zeros() as usize;
            free &= free - 1;
            (runs[l], left[l]) = (repeated, usize::MAX);
        }
        let count = left.iter().copied().min().unwrap_or_default();
        // SAFETY: `count` is no more than is left in the run of any busy lane; the others repeat one of them. A run is a part of a
        // message, which outlives the call, or of its lane's tail, which is written anew only for another message.
        unsafe { kernel.compress(&mut states, &runs, count) };
        let mut at_end = 0_u32;
        for l in 0..L {
            left[l] -= count;
            runs[l] = runs[l].wrapping_add(count);
            at_end |= u32::from(left[l] == 0) << l;
        }
        while at_end != 0 {
            let l = at_end.trailing_zeros() as usize;
            at_end &= at_end - 1;
            if behind[l] > 0 {
                // SAFETY: a lane that was given a message has its tail.
                runs[l] = unsafe { tails[l].assume_init_ref() }.first(messages[l].data);
                (left[l], behind[l]) = (behind[l], 0);
            } else {
                busy &= !(1 << l);
                write(&mut digests[messages[l].job], &take(&states, l));
            }
        }
    }
    while busy != 0 {
        let l = busy.trailing_zeros() as usize;
        busy &= busy - 1;
        let message = &messages[l];
        write(&mut digests[message.job], &take(&states, l));
        let (before, in_tail) = tail::split(message.data);
        queue.put_back(message.job, before + in_tail - left[l] - behind[l]);
    }
}

/// Hashes `L` messages of one length, as those of a burst often are: then no lane falls free before the others, and nobody has to look.
/// If they are not of one length nothing happens. Whether they were.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(in crate::backend) fn run_alike<K: Kernel<L>, const L: usize>(
    kernel: K,
    jobs: &[HashJob<'_>; L],
    digests: &mut [Digest; L],
) -> bool {
    let length = jobs[0].data.len();
    if jobs.iter().any(|job| job.data.len() != length) {
        return false;
    }
    let mut states = INITIAL.map(|word| [word; L]);
    let starts = jobs.each_ref().map(|job| job.data.as_ptr().cast());
    let without_rest = tail::without_rest(jobs[0].data);
    let mut tails = [const { MaybeUninit::<Tail>::uninit() }; L];
    let mut ends = [&raw const without_rest; L];
    let (mut before, mut in_tail) = (length / 64, 1);
    if !length.is_multiple_of(64) {
        for ((job, tail), end) in jobs.iter().zip(&mut tails).zip(&mut ends) {
            kernel.write_tail(job.data, tail);
            // SAFETY: it has just been written.
            *end = unsafe { tail.assume_init_ref() }.first(job.data);
        }
        (before, in_tail) = tail::split(jobs[0].data);
    }
    // In a loop, so that the rounds are in the program once: more of them would not fit the cache that instructions are in.
    for (chunks, count) in [(&starts, before), (&ends, in_tail)] {
        // SAFETY: each message, and each tail, has so many chunks, as the first ones have, for they depend on the length alone.
        unsafe { kernel.compress(&mut states, chunks, count) };
    }
    for (l, digest) in digests.iter_mut().enumerate() {
        write(digest, &take(&states, l));
    }
    true
}

#[inline(always)]
fn write(digest: &mut Digest, state: &State) {
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
}

#[inline(always)]
fn read(digest: &Digest) -> State {
    let mut state = [0; 5];
    for (word, bytes) in state.iter_mut().zip(digest.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    state
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
