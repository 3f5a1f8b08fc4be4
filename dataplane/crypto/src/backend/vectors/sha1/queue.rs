//! The messages that wait for a lane, the longest first, so that no long one is left to be hashed alone in the end.

use crate::backend::HashJob;

/// A message, and how much of it has been hashed.
#[derive(Clone, Copy)]
pub(in crate::backend) struct Message<'j> {
    /// What is hashed.
    pub(in crate::backend) data: &'j [u8],
    /// The number of its job.
    pub(in crate::backend) job: usize,
    /// How many of its chunks have been hashed. If there are any, their hash stands where the digest will.
    pub(in crate::backend) taken: usize,
}

impl Message<'_> {
    /// No message.
    pub(in crate::backend) const EMPTY: Self = Self { data: &[], job: 0, taken: 0 };
}

/// The messages of a burst that have not been hashed.
pub(in crate::backend) struct Queue<'j> {
    jobs: &'j [HashJob<'j>],
    /// The jobs, the longest last: each as its length and, below that, its number. Those that a kernel has left to another one come
    /// before all others.
    order: [u64; MAX_JOBS],
    waiting: usize,
    /// How many chunks of each have been hashed.
    taken: [u32; MAX_JOBS],
}

impl<'j> Queue<'j> {
    /// The first of these jobs: all of them, if they are no more than [`MAX_JOBS`].
    #[inline(always)]
    pub(in crate::backend) fn new(jobs: &'j [HashJob<'j>]) -> Self {
        let mut order = [0; MAX_JOBS];
        let mut differ = 0;
        for (number, (entry, job)) in order.iter_mut().zip(jobs).enumerate() {
            differ |= job.data.len() ^ jobs[0].data.len();
            *entry = ((job.data.len() as u64) << NUMBER_BITS) | number as u64;
        }
        let waiting = jobs.len().min(MAX_JOBS);
        if differ != 0 {
            order[..waiting].sort_unstable();
        }
        Self { jobs, order, waiting, taken: [0; MAX_JOBS] }
    }

    /// How many messages wait.
    #[inline(always)]
    pub(in crate::backend) fn len(&self) -> usize {
        self.waiting
    }

    /// The message that is to be hashed next.
    #[inline(always)]
    pub(in crate::backend) fn next(&mut self) -> Option<Message<'j>> {
        self.waiting = self.waiting.checked_sub(1)?;
        let job = (self.order.get(self.waiting)? & ((1 << NUMBER_BITS) - 1)) as usize;
        Some(Message { data: self.jobs.get(job)?.data, job, taken: self.taken[job] as usize })
    }

    /// Takes back a message of which so many chunks have been hashed.
    pub(in crate::backend) fn put_back(&mut self, job: usize, taken: usize) {
        self.order[self.waiting] = job as u64;
        self.taken[job] = taken as u32;
        self.waiting += 1;
    }
}

/// Jobs in a queue: as many as there are packets in the largest burst.
pub(in crate::backend) const MAX_JOBS: usize = 1 << NUMBER_BITS;
const NUMBER_BITS: u32 = 6;
