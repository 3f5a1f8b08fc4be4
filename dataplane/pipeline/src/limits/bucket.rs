//! One token bucket in one atomic word.

use std::sync::atomic::{AtomicU64, Ordering};

use photongate_wire::{Nanos, UnixNanos};

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that flow in every `per`. None: nothing ever passes.
    pub tokens: u64,
    /// How long `tokens` take. More than zero.
    pub per: Nanos,
    /// Tokens that the full bucket holds. An amount larger than this never passes.
    pub burst: u64,
}

impl Rate {
    /// `per_second` tokens a second.
    pub const fn new(per_second: u64, burst: u64) -> Self {
        Self { tokens: per_second, per: Nanos::from_secs(1), burst }
    }

    /// Tokens are bytes, of which an eighth of `bits_per_second` arrive each second.
    pub const fn of_bytes(bits_per_second: u64, burst: u64) -> Self {
        Self { tokens: bits_per_second, per: Nanos::from_secs(8), burst }
    }
}

/// A token bucket that any number of workers draw on: the generic cell rate algorithm, virtual scheduling (ITU-T
/// I.371, annex A).
///
/// The word holds the theoretical arrival time: when the bucket is full again. Its unit is the time one token takes,
/// counted since the Unix epoch and modulo 2⁶⁴. In that unit amounts are whole numbers, so nothing is rounded but the
/// present, and that by less than a token however high the rate is; and a refund is a subtraction.
///
/// # The clock
/// Workers may disagree about the time, and the clock may step:
/// - Back by up to one second, tokens are withheld until the clock has caught up; none are created.
/// - Back by more, the bucket is taken to be empty at the new time, and one amount that comes along is refused.
///   Without this, an hour's step would block traffic for an hour. Each such step may yield one burst more than the
///   rate allows.
/// - Forward, the bucket fills as if the time had passed.
///
/// A bucket that nobody uses while 2⁶³ tokens flow in (at 100 Gbit/s: 23 years) is treated like one after a step
/// back.
#[derive(Debug)]
pub struct Bucket {
    full_at: AtomicU64,
    burst: u64,
    /// A lead of `full_at` over the present that no conforming traffic leads to.
    step: u64,
    /// Tokens per nanosecond, times 2^`shift`: 64 significant bits.
    tokens_per_nano: u64,
    shift: u32,
}

impl Bucket {
    /// A bucket that is full at `start`.
    ///
    /// # Panics
    /// If the rate is over a span of zero.
    pub fn new(rate: Rate, start: UnixNanos) -> Self {
        let (tokens_per_nano, shift) = fixed_point(rate);
        let per_second = u128::from(rate.tokens) * u128::from(Nanos::from_secs(1).0) / u128::from(rate.per.0);
        let burst = if rate.tokens == 0 { 0 } else { rate.burst.min(MAX_BURST) };
        let bucket = Self {
            full_at: AtomicU64::new(0),
            burst,
            step: burst + per_second.min(u128::from(MAX_BURST)) as u64,
            tokens_per_nano,
            shift,
        };
        bucket.full_at.store(bucket.tokens_until(start), Ordering::Relaxed);
        bucket
    }

    /// Whether there are `amount` tokens. Changes nothing, and promises nothing: another worker may be faster.
    pub fn available(&self, amount: u64, now: UnixNanos) -> bool {
        match self.spent(self.full_at.load(Ordering::Relaxed), self.tokens_until(now)) {
            Spent::Tokens(spent) => self.fits(spent, amount),
            // Only `take` can set this right, so callers that ask first must come to it.
            Spent::ClockStepped => self.burst > 0,
        }
    }

    /// Takes `amount` tokens if there are that many, otherwise none.
    ///
    /// Finishes within a bounded number of steps, whatever other workers do.
    #[must_use]
    pub fn take(&self, amount: u64, now: UnixNanos) -> bool {
        let now = self.tokens_until(now);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        for _ in 0..ATTEMPTS {
            let (next, taken) = match self.spent(full_at, now) {
                Spent::Tokens(spent) if self.fits(spent, amount) => (now.wrapping_add(spent + amount), true),
                Spent::Tokens(_) => return false,
                Spent::ClockStepped => (now.wrapping_add(self.burst), false),
            };
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return taken,
                Err(changed) => full_at = changed,
            }
        }
        self.take_contended(amount, now)
    }

    /// Gives back what was just taken. A bucket that has filled up since does not overflow by it.
    ///
    /// Late refunds can yield at most what they give back: keep the time between the two short.
    pub fn refund(&self, amount: u64) {
        self.full_at.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Takes first and asks afterwards, which cannot lose a race. It is kept for the case that all
    /// attempts did, since another worker that looks in between sees tokens missing that are about to be put back.
    fn take_contended(&self, amount: u64, now: u64) -> bool {
        let before = self.full_at.fetch_add(amount, Ordering::Relaxed);
        let taken = matches!(self.spent(before, now), Spent::Tokens(spent) if self.fits(spent, amount));
        if !taken {
            self.refund(amount);
        }
        taken
    }

    fn spent(&self, full_at: u64, now: u64) -> Spent {
        // The difference, not the values, tells which is later: both wrap around.
        match u64::try_from(full_at.wrapping_sub(now).cast_signed()) {
            Ok(lead) if lead > self.step => Spent::ClockStepped,
            Ok(lead) => Spent::Tokens(lead),
            Err(_) => Spent::Tokens(0),
        }
    }

    /// An empty bucket refuses amounts of zero, too: where the rate is zero, nothing shall pass.
    fn fits(&self, spent: u64, amount: u64) -> bool {
        self.burst.checked_sub(spent).is_some_and(|left| left > 0 && amount <= left)
    }

    /// How many tokens have flowed since the Unix epoch, modulo 2⁶⁴.
    fn tokens_until(&self, now: UnixNanos) -> u64 {
        ((u128::from(now.0) * u128::from(self.tokens_per_nano)) >> self.shift) as u64
    }
}

/// How much of the bucket is gone.
enum Spent {
    Tokens(u64),
    /// More than can be: the bucket was used at a later time than now.
    ClockStepped,
}

/// The tokens that flow in a nanosecond as `mantissa / 2^shift`, the mantissa of 64 significant bits: the rate is met
/// to within 2⁻⁶³ of itself.
fn fixed_point(rate: Rate) -> (u64, u32) {
    assert!(rate.per > Nanos(0), "a rate needs a span of time");
    if rate.tokens == 0 {
        return (0, 0);
    }
    let (tokens, per) = (u128::from(rate.tokens), u128::from(rate.per.0));
    let mut shift = tokens.leading_zeros();
    while (tokens << shift) / per > u128::from(u64::MAX) {
        shift -= 1;
    }
    (((tokens << shift) / per) as u64, shift)
}

/// Room for the burst, the allowance for clock steps and their sum below 2⁶³, where a lead would look like a lag.
const MAX_BURST: u64 = 1 << 61;

/// Each lost race means that another worker was served. So many in a row are not seen in practice.
const ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests;
