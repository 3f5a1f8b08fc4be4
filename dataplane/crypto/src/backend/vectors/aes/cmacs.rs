//! AES-CMAC for a burst: two derivations, then messages of different lengths side by side.
//!
//! The messages are sorted, the longest first, so that those of one vector end at about the same time, and the vectors that
//! are still busy are always the first ones. No lane waits for a longer one in another vector.

use std::ops::Range;
use std::ptr;

use zeroize::optimization_barrier;

use super::derive::Lanes;
use super::{Aes, Kernels, LAST_ROUND_CONSTANT, ROUND_CONSTANTS, ROUNDS};
use crate::backend::{CmacJob, stack};
use crate::cbc_mac::Block;
use crate::tag::Tag;

/// Computes the tags of `jobs`.
pub(in crate::backend) fn cmacs<A: Kernels<L>, const L: usize>(aes: A, jobs: &[CmacJob<'_>], tags: &mut [Tag]) {
    // The stack that is used for keys is wiped whole, so no more is taken than is needed.
    for (jobs, tags) in jobs.chunks(16 * L).zip(tags.chunks_mut(16 * L)) {
        let vectors = match jobs.len().div_ceil(L) {
            1 => {
                aes.burst::<1>(jobs, tags);
                1
            }
            2..=4 => {
                aes.burst::<4>(jobs, tags);
                4
            }
            5..=8 => {
                aes.burst::<8>(jobs, tags);
                8
            }
            _ => {
                aes.burst::<16>(jobs, tags);
                16
            }
        };
        stack::wipe(vectors * size_of::<Messages<A::Vector>>() + size_of::<A::Vector>() * MORE_VECTORS + MORE_BYTES);
    }
}

/// The messages in one vector.
#[derive(Clone, Copy)]
pub(in crate::backend) struct Messages<V> {
    /// The expanded HOST-HOST keys.
    round_keys: [V; ROUNDS + 1],
    /// The chains, as far as they have come.
    state: V,
}

/// What is computed on the way to the tags.
struct Secrets<V, const L: usize, const M: usize> {
    messages: [Messages<V>; M],
    /// The last block of each message, padded and with a subkey added.
    last: [[Block; L]; M],
}

/// Computes the tags of jobs that fit `M` vectors.
#[inline(always)]
pub(in crate::backend) fn burst<A: Kernels<L>, const L: usize, const M: usize>(
    aes: A,
    jobs: &[CmacJob<'_>],
    tags: &mut [Tag],
) {
    let Some(first) = jobs.first() else { return };
    let mut order = [0_u64; MAX_JOBS];
    let mut differ = 0;
    for (number, (entry, job)) in order.iter_mut().zip(jobs).enumerate() {
        differ |= job.data.len() ^ first.data.len();
        *entry = (!(job.data.len() as u64) << NUMBER_BITS) | number as u64;
    }
    let order = &mut order[..jobs.len().min(M * L)];
    if differ != 0 {
        order.sort_unstable();
    }
    let number = |entry: u64| (entry & ((1 << NUMBER_BITS) - 1)) as usize;
    let mut sorted = [first; MAX_JOBS];
    for (job, entry) in sorted.iter_mut().zip(&*order) {
        *job = &jobs[number(*entry)];
    }
    let sorted = &sorted[..order.len()];
    let nothing = Messages { round_keys: [A::ZERO; ROUNDS + 1], state: A::ZERO };
    let mut secrets = Secrets { messages: [nothing; M], last: [[[0; 16]; L]; M] };
    // Three chains and their keys are what 16 registers hold; the widest vectors have work enough in two.
    let at_once = if L == 4 { 2 } else { 3 };
    for ((jobs, messages), last) in
        sorted.chunks(at_once * L).zip(secrets.messages.chunks_mut(at_once)).zip(secrets.last.chunks_mut(at_once))
    {
        match jobs.len().div_ceil(L) {
            1 => aes.begin::<1>(jobs, messages, last),
            2 => aes.begin::<2>(jobs, messages, last),
            _ => aes.begin::<3>(jobs, messages, last),
        }
    }
    chain(aes, sorted, &mut secrets, |lane, block| tags[number(order[lane])] = Tag::from_bytes(block));
}

/// Chains the data of `jobs`, the longest of which are first, and hands the tag of each to `finish`.
#[inline(always)]
fn chain<A: Kernels<L>, const L: usize, const M: usize>(
    aes: A,
    jobs: &[&CmacJob<'_>],
    secrets: &mut Secrets<A::Vector, L, M>,
    mut finish: impl FnMut(usize, Block),
) {
    // From where each lane takes its block number 0. Behind the whole blocks it goes on elsewhere, with the padded one.
    let mut runs: [[*const Block; L]; M] = [[ptr::null(); L]; M];
    for (run, job) in runs.as_flattened_mut().iter_mut().zip(jobs) {
        *run = job.data.as_ptr().cast();
    }
    let mut busy = jobs.len();
    let mut begin = 0;
    loop {
        while let Some(lane) = busy.checked_sub(1)
            && jobs[lane].data.len().div_ceil(16) == begin
        {
            finish(lane, aes.store(secrets.messages[lane / L].state)[lane % L]);
            busy = lane;
        }
        let Some(shortest) = busy.checked_sub(1) else { break };
        let end = blocks_before_last(jobs[shortest]).max(begin + 1);
        for lane in (0..busy).rev().take_while(|lane| blocks_before_last(jobs[*lane]) == begin) {
            runs.as_flattened_mut()[lane] = secrets.last.as_flattened()[lane..].as_ptr().wrapping_sub(begin);
        }
        // Lanes that have finished, or never had a message, repeat one that is busy.
        let repeated = runs.as_flattened()[shortest];
        runs.as_flattened_mut()[busy..busy.next_multiple_of(L)].fill(repeated);
        let vectors = busy.div_ceil(L);
        for (messages, runs) in secrets.messages[..vectors].chunks_mut(8).zip(runs.chunks(8)) {
            // SAFETY: the lanes of these vectors are busy, or repeat one that is. A busy one has at least `end` blocks before
            // its last, because the shortest has; or else `begin` is the number of its last block, `end` follows at once, and
            // its run has been moved so that block `begin` is the padded one. `secrets` and the jobs outlive the call.
            unsafe {
                match messages.len() {
                    1 => aes.absorb_runs::<1>(messages, runs, begin..end),
                    2 => aes.absorb_runs::<2>(messages, runs, begin..end),
                    3 => aes.absorb_runs::<3>(messages, runs, begin..end),
                    4 => aes.absorb_runs::<4>(messages, runs, begin..end),
                    5 => aes.absorb_runs::<5>(messages, runs, begin..end),
                    6 => aes.absorb_runs::<6>(messages, runs, begin..end),
                    7 => aes.absorb_runs::<7>(messages, runs, begin..end),
                    _ => aes.absorb_runs::<8>(messages, runs, begin..end),
                }
            }
        }
        begin = end;
    }
}

/// Derives the keys of `G` vectors of jobs, chains the two blocks of their heads, and prepares their last blocks.
#[inline(always)]
pub(in crate::backend) fn begin<A: Aes<L>, const L: usize, const G: usize>(
    aes: A,
    jobs: &[&CmacJob<'_>],
    messages: &mut [Messages<A::Vector>],
    last: &mut [[Block; L]],
) {
    let lanes = Lanes::<_, L, G>::new(jobs.iter().copied());
    let (Some(lanes), Some(messages), Some(last)) =
        (lanes, messages.first_chunk_mut::<G>(), last.first_chunk_mut::<G>())
    else {
        return;
    };
    let mut keys = lanes.keys(aes);
    // The cipher of zero, of which the subkeys are made, and beside it the head's first block.
    let mut subkeys = keys;
    let mut state = lanes.load(aes, |job| &job.head[0]);
    for g in 0..G {
        state[g] = aes.xor(state[g], keys[g]);
        messages[g].round_keys[0] = keys[g];
    }
    for round in 1..ROUNDS {
        for g in 0..G {
            keys[g] = aes.next_key(keys[g], ROUND_CONSTANTS[round - 1]);
            subkeys[g] = aes.round(subkeys[g], keys[g]);
            state[g] = aes.round(state[g], keys[g]);
            messages[g].round_keys[round] = keys[g];
        }
    }
    for g in 0..G {
        keys[g] = aes.next_key(keys[g], LAST_ROUND_CONSTANT);
        subkeys[g] = aes.last_round(subkeys[g], keys[g]);
        state[g] = aes.last_round(state[g], keys[g]);
        messages[g].round_keys[ROUNDS] = keys[g];
    }
    // As in `absorb_two`.
    optimization_barrier(messages);
    // Without data, the head's second block is the last of all.
    let second = lanes.load(aes, |job| &job.head[1]);
    let is_last = lanes.load(aes, |job| if job.data.is_empty() { &ONES } else { &ZERO });
    let is_whole = lanes.load(aes, |job| if job.data.len().is_multiple_of(16) { &ONES } else { &ZERO });
    for g in 0..G {
        let whole = aes.double(subkeys[g]);
        let padded = aes.double(whole);
        let second = aes.xor(second[g], aes.select(is_last[g], whole, A::ZERO));
        state[g] = aes.xor(aes.xor(state[g], second), messages[g].round_keys[0]);
        subkeys[g] = aes.select(is_whole[g], whole, padded);
    }
    let mut rests = [[ZERO; L]; G];
    for (rest, job) in rests.as_flattened_mut().iter_mut().zip(jobs) {
        *rest = padded(job.data);
    }
    for g in 0..G {
        last[g] = aes.store(aes.xor(subkeys[g], aes.load(rests[g].each_ref())));
    }
    for round in 1..ROUNDS {
        for g in 0..G {
            state[g] = aes.round(state[g], messages[g].round_keys[round]);
        }
    }
    for g in 0..G {
        messages[g].state = aes.last_round(state[g], messages[g].round_keys[ROUNDS]);
    }
}

/// Chains these blocks of each run into the state of its message.
///
/// # Safety
/// Each pointer may be read at each of these distances from it.
#[inline(always)]
pub(in crate::backend) unsafe fn absorb_runs<A: Aes<L>, const L: usize, const G: usize>(
    aes: A,
    messages: &mut [Messages<A::Vector>],
    runs: &[[*const Block; L]],
    blocks: Range<usize>,
) {
    let (Some(messages), Some(runs)) = (messages.first_chunk_mut::<G>(), runs.first_chunk::<G>()) else { return };
    let mut state = [A::ZERO; G];
    for g in 0..G {
        state[g] = messages[g].state;
    }
    for n in blocks {
        // As in `absorb_two`: the round keys are read where they are.
        optimization_barrier(messages);
        for g in 0..G {
            let mut block = [&ZERO; L];
            for l in 0..L {
                // SAFETY: the caller vouches for it.
                block[l] = unsafe { &*runs[g][l].wrapping_add(n) };
            }
            state[g] = aes.xor(aes.xor(state[g], aes.load(block)), messages[g].round_keys[0]);
        }
        for round in 1..ROUNDS {
            for g in 0..G {
                state[g] = aes.round(state[g], messages[g].round_keys[round]);
            }
        }
        for g in 0..G {
            state[g] = aes.last_round(state[g], messages[g].round_keys[ROUNDS]);
        }
    }
    for g in 0..G {
        messages[g].state = state[g];
    }
}

/// Blocks of data that stand before the last one.
fn blocks_before_last(job: &CmacJob<'_>) -> usize {
    job.data.len().saturating_sub(1) / 16
}

/// The last block of `data`, filled up if it is not whole.
#[inline(always)]
fn padded(data: &[u8]) -> Block {
    let rest = data.len().wrapping_sub(1) % 16 + 1;
    let mut bytes = [0; 48];
    if let (Some(end), Some(place)) = (data.last_chunk::<16>(), bytes[rest..].first_chunk_mut()) {
        // The bytes' number varies, and a copy of 16 is cheaper than one of up to 15. What is not of the rest comes to
        // stand before the block.
        *place = *end;
    } else {
        bytes[16..][..data.len()].copy_from_slice(data);
    }
    bytes[16 + rest] = 0x80;
    let [_, block, _] = bytes.as_chunks().0 else { return ZERO };
    *block
}

/// What a burst uses of the stack at most beside its messages: vectors, and bytes that depend on nothing.
const MORE_VECTORS: usize = 80;
const MORE_BYTES: usize = 3072;

/// Enough for 16 vectors, the widest of which have four blocks.
const MAX_JOBS: usize = 1 << NUMBER_BITS;
const NUMBER_BITS: u32 = 6;

const ZERO: Block = [0; 16];
const ONES: Block = [0xff; 16];
