//! The messages that wait for a lane, the longest first, so that no long one is left to be hashed alone in the end.

use super::stream::Stream;
use crate::backend::HashJob;

/// The messages of a burst that have not been hashed.
pub(in crate::backend) struct Queue<'j> {
    jobs: &'j [HashJob<'j>],
    /// The jobs that no kernel has begun, the longest last: each as its length and, below that, its number.
    order: [u64; MAX_JOBS],
    waiting: usize,
    /// Messages that a kernel has begun and left to another one.
    begun: [Stream<'j>; MAX_LANES],
    begun_count: usize,
}

impl<'j> Queue<'j> {
    /// The first of these jobs: all of them, if they are no more than [`MAX_JOBS`].
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
        Self { jobs, order, waiting, begun: [Stream::EMPTY; MAX_LANES], begun_count: 0 }
    }

    /// How many messages wait.
    #[inline(always)]
    pub(in crate::backend) fn len(&self) -> usize {
        self.waiting + self.begun_count
    }

    /// The message that is to be hashed next.
    #[inline(always)]
    pub(in crate::backend) fn next(&mut self) -> Option<Stream<'j>> {
        if let Some(last) = self.begun_count.checked_sub(1) {
            self.begun_count = last;
            return self.begun.get(last).copied();
        }
        self.waiting = self.waiting.checked_sub(1)?;
        let number = (self.order.get(self.waiting)? & ((1 << NUMBER_BITS) - 1)) as usize;
        Some(Stream::new(number, self.jobs.get(number)?.data))
    }

    /// Takes back a message that has been begun.
    pub(in crate::backend) fn put_back(&mut self, stream: &Stream<'j>) {
        self.begun[self.begun_count] = *stream;
        self.begun_count += 1;
    }
}

/// Jobs in a queue: as many as there are packets in the largest burst.
pub(in crate::backend) const MAX_JOBS: usize = 1 << NUMBER_BITS;
const NUMBER_BITS: u32 = 6;

/// Lanes of the widest kernel.
const MAX_LANES: usize = 16;
