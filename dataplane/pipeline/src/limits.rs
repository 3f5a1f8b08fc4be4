//! Rate limits: token buckets over bytes and over packets, shared by all workers.
//!
//! A limit is exact however the load is spread, because all workers draw on the same buckets; they meet on one cache
//! line per limit, without locks. Rates are per second of the clock that is handed in. What a bucket does when that
//! clock steps is described at [`Bucket`].

mod bucket;
mod destinations;
mod settings;

use photongate_wire::UnixNanos;

pub use bucket::{Bucket, Rate};
pub use destinations::DestinationLimits;
pub use settings::{InvalidLimit, LimitSettings};

/// A limit on bytes, on packets, on both, or on nothing.
///
/// Aligned to two cache lines, which processors like to fetch together, so that limits do not disturb each other.
#[derive(Debug)]
#[repr(align(128))]
pub struct Limit {
    bytes: Option<Bucket>,
    packets: Option<Bucket>,
}

impl Limit {
    /// No limit: every packet passes, and nothing is counted.
    pub const UNLIMITED: Self = Self { bytes: None, packets: None };

    /// What the settings say, with full buckets at `start`.
    ///
    /// A limit whose settings stay the same across a reload should be kept, not made anew: a new one starts with a
    /// whole burst.
    pub fn from_settings(settings: &LimitSettings, start: UnixNanos) -> Self {
        let bucket = |rate| Bucket::new(rate, start);
        Self { bytes: settings.bytes().map(bucket), packets: settings.packets().map(bucket) }
    }

    /// Whether it is [`Self::UNLIMITED`].
    pub const fn is_unlimited(&self) -> bool {
        self.bytes.is_none() && self.packets.is_none()
    }

    /// Whether a packet of `bytes` would pass. Changes nothing, and promises nothing: another worker may be faster.
    pub fn check(&self, bytes: u64, now: UnixNanos) -> bool {
        self.bytes.as_ref().is_none_or(|bucket| bucket.available(bytes, now))
            && self.packets.as_ref().is_none_or(|bucket| bucket.available(1, now))
    }

    /// Lets a packet of `bytes` pass if both buckets have room for it; otherwise neither is charged.
    #[must_use]
    pub fn take(&self, bytes: u64, now: UnixNanos) -> bool {
        if self.bytes.as_ref().is_some_and(|bucket| !bucket.take(bytes, now)) {
            return false;
        }
        if self.packets.as_ref().is_some_and(|bucket| !bucket.take(1, now)) {
            if let Some(bucket) = &self.bytes {
                bucket.refund(bytes);
            }
            return false;
        }
        true
    }

    /// Gives back what [`take`](Self::take) took a moment ago for a packet of `bytes` that did not pass after all.
    pub fn refund(&self, bytes: u64) {
        if let Some(bucket) = &self.packets {
            bucket.refund(1);
        }
        if let Some(bucket) = &self.bytes {
            bucket.refund(bytes);
        }
    }
}

/// Lets a packet of `bytes` pass if every limit has room for it; otherwise none is charged.
#[must_use]
pub fn take_all(limits: &[&Limit], bytes: u64, now: UnixNanos) -> bool {
    let granted = limits.iter().take_while(|limit| limit.take(bytes, now)).count();
    if granted == limits.len() {
        return true;
    }
    for limit in limits[..granted].iter().rev() {
        limit.refund(bytes);
    }
    false
}

#[cfg(test)]
mod tests;
