//! Quiescent states: how a writer learns that no reader still holds what it replaced.
//!
//! Each reading thread says now and then that it holds nothing ([`Participant::quiesce`]). A writer that has unlinked
//! something calls [`Qsbr::start`], and once every participant has quiesced after that ([`Qsbr::is_over`]), nobody
//! can hold it any more. Readers pay one store for this, and never wait.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use photongate_dpdk_sys as sys;

/// A group of threads whose quiescent states are watched together.
pub struct Qsbr {
    raw: NonNull<sys::rte_rcu_qsbr>,
    layout: Layout,
    /// Thread numbers that no participant has.
    free: Mutex<Vec<u32>>,
    most: u32,
}

// SAFETY: the variable is made of atomics, and the numbers that DPDK's functions take are given to one participant at
// a time.
unsafe impl Send for Qsbr {}
// SAFETY: as above.
unsafe impl Sync for Qsbr {}

impl Qsbr {
    /// A group of at most `participants` threads.
    ///
    /// # Panics
    /// When `participants` is 0.
    pub fn new(participants: u32) -> Arc<Self> {
        assert!(participants > 0, "a group has room for at least one participant");
        // SAFETY: a computation.
        let size = unsafe { sys::rte_rcu_qsbr_get_memsize(participants) };
        let layout = Layout::from_size_align(size, CACHE_LINE).expect("a small size and a power of two");
        // SAFETY: the size is not zero, for there is a participant.
        let raw = NonNull::new(unsafe { alloc_zeroed(layout) }.cast()).unwrap_or_else(|| handle_alloc_error(layout));
        // SAFETY: the memory has the size that DPDK asked for, and its alignment.
        let status = unsafe { sys::rte_rcu_qsbr_init(raw.as_ptr(), participants) };
        assert_eq!(status, 0, "initialising fails only without memory or participants");
        Arc::new(Self { raw, layout, free: Mutex::new((0..participants).rev().collect()), most: participants })
    }

    /// Joins the group, online: from now on, every grace period waits for this participant too.
    ///
    /// # Errors
    /// [`TooManyParticipants`].
    pub fn register(self: &Arc<Self>) -> Result<Participant, TooManyParticipants> {
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let number = number.ok_or(TooManyParticipants { most: self.most })?;
        // SAFETY: the variable is initialised, and the number below its limit.
        let status = unsafe { sys::rte_rcu_qsbr_thread_register(self.raw.as_ptr(), number) };
        assert_eq!(status, 0, "registering fails only for numbers out of range");
        // SAFETY: the number was registered above, and is this participant's alone.
        unsafe { sys::pg_qsbr_online(self.raw.as_ptr(), number) };
        Ok(Participant { group: Arc::clone(self), number })
    }

    /// Begins a grace period: it is over when every participant has quiesced from now on. Unlink first, then call this.
    pub fn start(&self) -> GracePeriod {
        // SAFETY: the variable is initialised, and lives as long as `self`.
        GracePeriod(unsafe { sys::pg_qsbr_start(self.raw.as_ptr()) })
    }

    /// Whether every participant has quiesced since the grace period began, or was offline.
    pub fn is_over(&self, period: GracePeriod) -> bool {
        // SAFETY: the variable is initialised, and lives as long as `self`.
        unsafe { sys::pg_qsbr_check(self.raw.as_ptr(), period.0) }
    }

    /// Waits until the grace period is over.
    ///
    /// # Errors
    /// [`StillHeld`] when it is not after `timeout`: a participant has stopped quiescing.
    pub fn wait(&self, period: GracePeriod, timeout: Duration) -> Result<(), StillHeld> {
        let begun = Instant::now();
        while !self.is_over(period) {
            if begun.elapsed() >= timeout {
                return Err(StillHeld { waited: timeout });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Qsbr {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`; participants hold the group, so there are none.
        unsafe { dealloc(self.raw.as_ptr().cast(), self.layout) }
    }
}

impl fmt::Debug for Qsbr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qsbr").field("most", &self.most).finish_non_exhaustive()
    }
}

/// A member of a group. Leaves it when dropped.
#[derive(Debug)]
pub struct Participant {
    group: Arc<Qsbr>,
    number: u32,
}

impl Participant {
    /// Says that this thread holds nothing it has read before.
    ///
    /// `&mut` is what makes it true: whatever was read through a shared borrow of the participant's owner is gone.
    #[inline]
    pub fn quiesce(&mut self) {
        // SAFETY: registered and online, and no other thread uses the number, for `&mut self` is its only handle.
        unsafe { sys::pg_qsbr_quiescent(self.group.raw.as_ptr(), self.number) }
    }

    /// Says that this thread holds nothing, and reads nothing while `rest` runs. Grace periods do not wait for it then.
    ///
    /// Takes a closure rather than giving out a guard: a guard can be forgotten, and its borrow be over, while the
    /// participant is still offline. Here it is online again whether `rest` returns or panics.
    #[inline]
    pub fn offline<R>(&mut self, rest: impl FnOnce() -> R) -> R {
        // SAFETY: as in `quiesce`.
        unsafe { sys::pg_qsbr_offline(self.group.raw.as_ptr(), self.number) };
        let _offline = Offline(self);
        rest()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // SAFETY: registered in `Qsbr::register`, and this is the number's only handle. Offline first, as DPDK asks.
        unsafe {
            sys::pg_qsbr_offline(self.group.raw.as_ptr(), self.number);
            sys::rte_rcu_qsbr_thread_unregister(self.group.raw.as_ptr(), self.number);
        }
        self.group.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

/// Brings the participant online again when dropped. Never leaves [`Participant::offline`].
struct Offline<'p>(&'p mut Participant);

impl Drop for Offline<'_> {
    fn drop(&mut self) {
        // SAFETY: registered and offline, and no other thread uses the number.
        unsafe { sys::pg_qsbr_online(self.0.group.raw.as_ptr(), self.0.number) }
    }
}

/// A grace period of the group that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GracePeriod(u64);

/// The group is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {most} readers already, and no room for another")]
pub struct TooManyParticipants {
    /// How many there can be.
    pub most: u32,
}

/// A grace period that takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reader has not quiesced for {waited:?}")]
pub struct StillHeld {
    /// How long was waited.
    pub waited: Duration,
}

/// Alignment that the variable is declared with, on all processors that DPDK supports.
const CACHE_LINE: usize = 128;

/// Workers quiesce about every microsecond; a waiting writer need not take a processor from them.
const POLL: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_grace_period_lasts_until_every_participant_has_quiesced() {
        let group = Qsbr::new(2);
        let (mut first, mut second) = (group.register().unwrap(), group.register().unwrap());
        let period = group.start();
        first.quiesce();
        assert!(!group.is_over(period));
        second.quiesce();
        assert!(group.is_over(period));
    }

    #[test]
    fn a_participant_that_is_offline_is_not_waited_for() {
        let group = Qsbr::new(1);
        let mut participant = group.register().unwrap();
        participant.offline(|| assert!(group.is_over(group.start())));
        assert!(!group.is_over(group.start()));
    }

    #[test]
    fn a_participant_whose_rest_panics_is_waited_for_again() {
        let group = Qsbr::new(1);
        let mut participant = group.register().unwrap();
        let rest = AssertUnwindSafe(|| participant.offline(|| panic!("on purpose")));
        assert!(catch_unwind(rest).is_err());
        assert!(!group.is_over(group.start()));
    }

    #[test]
    fn a_participant_that_leaves_is_not_waited_for_and_makes_room() {
        let group = Qsbr::new(1);
        let participant = group.register().unwrap();
        assert_eq!(group.register().unwrap_err(), TooManyParticipants { most: 1 });
        let period = group.start();
        drop(participant);
        assert!(group.is_over(period));
        assert!(group.register().is_ok());
    }

    #[test]
    fn waiting_for_a_participant_that_never_quiesces_ends_with_an_error() {
        let group = Qsbr::new(1);
        let _participant = group.register().unwrap();
        let timeout = Duration::from_millis(2);
        assert_eq!(group.wait(group.start(), timeout), Err(StillHeld { waited: timeout }));
    }
}
