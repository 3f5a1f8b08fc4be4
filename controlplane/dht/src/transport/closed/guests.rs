//! What one node may do here, over all its connections: so that none can keep this one from hearing the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Id;

/// The nodes that are connected, by the names in their certificates.
#[derive(Debug)]
pub(super) struct Guests {
    all: Mutex<HashMap<Id, Weak<Guest>>>,
    /// Values that may be on their way to one of them.
    values: usize,
}

/// A node that is connected, with as many references as it has connections.
#[derive(Debug)]
pub(super) struct Guest {
    allowance: Mutex<Allowance>,
    values: Arc<Semaphore>,
}

/// Messages that a node may send now.
#[derive(Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Guests {
    /// For a node that sends so many values at a time, of which nobody has more than a quarter.
    pub(super) fn new(values: usize) -> Self {
        Self { all: Mutex::default(), values: values.div_ceil(4) }
    }

    /// Takes a connection of this node. `None`: it has enough.
    pub(super) fn admit(&self, id: Id) -> Option<Arc<Guest>> {
        let mut guests = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guest) = guests.get(&id).and_then(Weak::upgrade) {
            // The one at hand is no connection yet.
            return (Arc::strong_count(&guest) <= CONNECTIONS).then_some(guest);
        }
        if guests.len() >= guests.capacity() {
            guests.retain(|_, guest| guest.strong_count() > 0);
        }
        let allowance = Mutex::new(Allowance { left: BURST, at: Instant::now() });
        let guest = Arc::new(Guest { allowance, values: Arc::new(Semaphore::new(self.values)) });
        guests.insert(id, Arc::downgrade(&guest));
        Some(guest)
    }
}

impl Guest {
    /// Whether another message of this node is heard now.
    pub(super) fn may_speak(&self) -> bool {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }

    /// A place for a value on its way to this node. `None`: it has its share.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.values).try_acquire_owned().ok()
    }
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + passed * PER_SECOND).min(BURST), now);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }
}

/// Connections of one node: one that it made, one that we made, and those of earlier lives of either that nobody has missed yet.
const CONNECTIONS: usize = 16;

/// Messages of one node: in the long run, and at once. Far more than any look-ups take, and fewer than this node can hear.
const PER_SECOND: f64 = 1_000.0;
const BURST: f64 = 2_000.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_node_has_a_few_connections_and_others_have_theirs() {
        let guests = Guests::new(8);
        let all: Vec<_> = (0..CONNECTIONS + 2).map(|_| guests.admit(Id([1; 32]))).collect();
        assert_eq!(all.iter().filter(|guest| guest.is_some()).count(), CONNECTIONS);
        assert!(guests.admit(Id([2; 32])).is_some());
        drop(all);
        assert!(guests.admit(Id([1; 32])).is_some());
    }

    #[test]
    fn nodes_that_are_gone_are_forgotten() {
        let guests = Guests::new(8);
        for number in 0..1_000_u16 {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            guests.admit(Id(id)).unwrap();
        }
        assert!(guests.all.lock().unwrap().len() < 16);
    }

    #[test]
    fn one_node_has_a_quarter_of_the_values_over_all_its_connections() {
        let guests = Guests::new(8);
        let connections = [guests.admit(Id([1; 32])).unwrap(), guests.admit(Id([1; 32])).unwrap()];
        let places: Vec<_> = connections.iter().cycle().take(4).map(|guest| guest.place()).collect();
        assert_eq!(places.iter().filter(|place| place.is_some()).count(), 2);
        assert!(guests.admit(Id([2; 32])).unwrap().place().is_some());
        drop(places);
        assert!(connections[0].place().is_some());
    }

    #[test]
    fn who_says_too_much_is_not_heard_until_it_has_been_quiet() {
        let now = Instant::now();
        let mut allowance = Allowance { left: BURST, at: now };
        let heard = (0..10_000).filter(|_| allowance.take(now)).count();
        assert_eq!(heard, BURST as usize);
        let later = now + Duration::from_millis(10);
        assert_eq!((0..100).filter(|_| allowance.take(later)).count(), (PER_SECOND / 100.0) as usize);
        let much_later = later + Duration::from_secs(3_600);
        assert_eq!((0..10_000).filter(|_| allowance.take(much_later)).count(), BURST as usize);
    }
}
