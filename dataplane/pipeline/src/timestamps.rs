//! Send times for outbound packets: unique across all workers, without the workers sharing anything.
//!
//! The receiver's duplicate suppression asks the sender for distinct timestamps: two equal packets with one timestamp
//! have one authentication tag, and the second is refused as a replay. Each worker therefore takes its own residue
//! class: of `w` workers, worker `i` issues only nanoseconds `n` with `n mod w = i`, each greater than its last.
//!
//! A worker can issue one timestamp every `w` nanoseconds before it runs ahead of the clock: with 64 workers, 15
//! million packets a second each. What a burst runs ahead, the clock catches up with before the next.

use photongate_wire::{Nanos, UnixNanos};

/// Issues the send times of one worker.
///
/// # When the clock steps back
/// By up to two time thresholds, the issuer keeps counting from its last value, and nothing is ever issued twice. A
/// larger step is followed, because otherwise every receiver would refuse every packet as sent in the future until the
/// clock has caught up.
///
/// Following is safe without remembering what was issued. A receiver that accepted the last value had a clock at most
/// one threshold behind it, and so refuses what is more than two thresholds older: it cannot meet a value that it has
/// seen before. A receiver that refused the last value may have accepted older ones, but there a repeated value harms
/// only a packet that equals the earlier one in every byte.
#[derive(Debug)]
pub struct TimestampIssuer {
    residue: u64,
    workers: u64,
    /// The smallest value of this worker's class that it has not issued.
    next: u64,
    /// How far `next` may be ahead of the clock.
    largest_lead: u64,
}

impl TimestampIssuer {
    /// The issuer of worker number `worker_index`, from 0, of `workers`; `time_threshold` is the largest clock
    /// difference plus transit time that receivers accept.
    ///
    /// # Panics
    /// If `worker_index` is not less than `workers`.
    pub fn new(worker_index: usize, workers: usize, time_threshold: Nanos) -> Self {
        assert!(worker_index < workers, "worker {worker_index} of {workers} does not exist");
        let residue = worker_index as u64;
        Self {
            residue,
            workers: workers as u64,
            next: residue,
            largest_lead: time_threshold.0.saturating_mul(2).saturating_add(workers as u64),
        }
    }

    /// The next send time: at least `now`, and later than all this issuer gave before unless the clock stepped back
    /// by more than two time thresholds.
    ///
    /// It leads `now` by less than `workers` nanoseconds, unless packets came faster than one per `workers`
    /// nanoseconds or the clock stepped back; it never leads by more than two time thresholds and `workers`
    /// nanoseconds.
    pub fn issue(&mut self, now: UnixNanos) -> UnixNanos {
        let value = self.first_from(now);
        self.next = value.saturating_add(self.workers);
        UnixNanos(value)
    }

    /// `count` send times at once, in rising order: what as many calls of [`issue`](Self::issue) would give, for one
    /// look at the clock. Times that are not drawn from the iterator are lost, which harms nobody.
    #[inline(always)]
    pub fn issue_burst(
        &mut self,
        now: UnixNanos,
        count: usize,
    ) -> impl ExactSizeIterator<Item = UnixNanos> + Clone + use<> {
        let (first, stride) = (self.first_from(now), self.workers);
        self.next = first.saturating_add(stride.saturating_mul(count as u64));
        (0..count).map(move |n| UnixNanos(first.saturating_add(stride.saturating_mul(n as u64))))
    }

    #[inline(always)]
    fn first_from(&self, now: UnixNanos) -> u64 {
        let at_clock = self.align(now.0);
        let lead = self.next.saturating_sub(at_clock);
        if lead > self.largest_lead { at_clock } else { self.next.max(at_clock) }
    }

    /// The first value of this worker's class that is not before `nanos`. Saturates in the year 2554.
    #[inline(always)]
    fn align(&self, nanos: u64) -> u64 {
        let ahead = nanos % self.workers;
        let wait = if ahead <= self.residue { self.residue - ahead } else { self.workers - ahead + self.residue };
        nanos.saturating_add(wait)
    }
}

#[cfg(test)]
mod tests;
