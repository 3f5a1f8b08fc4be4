//! Networks that have run for long.

use proptest::prelude::RngExt;

use super::Network;
use crate::{contact::Contact, id::Id, node::Settings};
use photongate_wire::Nanos;

impl Network {
    /// A network of so many nodes, `liars` percent of them lying, in which everybody knows whom it should.
    pub(super) fn settled(seed: u64, nodes: usize, liars: usize, settings: Settings) -> Self {
        let mut network = Self::new(seed, settings);
        for number in 0..nodes {
            network.add(number * liars / 100 != (number + 1) * liars / 100);
        }
        let mut everybody: Vec<Contact> = network.hosts.iter().map(|host| host.contact).collect();
        everybody.sort();
        for host in 0..nodes {
            let known = network.acquaintances(&everybody, &network.hosts[host].contact.id.clone());
            let (now, stale, refresh) = (network.now, settings.timing.stale.0, settings.timing.refresh.0);
            let known: Vec<_> = known
                .into_iter()
                .map(|contact| (contact, Nanos(now.0 - network.random.random_range(0..stale))))
                .collect();
            let looked_around = Nanos(now.0 - network.random.random_range(0..refresh));
            let node = network.hosts[host].node.as_mut().expect("nobody has left");
            node.settle(known, looked_around, now);
            network.wake(host);
        }
        network
    }

    /// For each bucket of `me` as many as it holds, from anywhere in it.
    fn acquaintances(&mut self, everybody: &[Contact], me: &Id) -> Vec<Contact> {
        let mut known = Vec::new();
        for shared in 0..Id::BITS {
            // Who shares so many bits with `me` lies in one piece of the sorted list, and who shares more in one half of it.
            let begins_alike = |contact: &Contact| contact.id.distance(me).common_bits() >= shared;
            let at = everybody.partition_point(|contact| contact.id < *me);
            let (before, after) = everybody.split_at(at);
            let alike_before = before.len() - before.partition_point(|contact| !begins_alike(contact));
            let alike_after = after.partition_point(begins_alike);
            let alike = &everybody[at - alike_before..at + alike_after];
            if alike.len() <= 1 {
                break;
            }
            let bucket: Vec<_> = if alike.len() > 16 * self.settings.bucket {
                (0..8 * self.settings.bucket).map(|_| alike[self.random.random_range(0..alike.len())]).collect()
            } else {
                alike.to_vec()
            };
            let mut bucket: Vec<_> =
                bucket.into_iter().filter(|contact| contact.id.distance(me).common_bits() == shared).collect();
            while bucket.len() > self.settings.bucket {
                bucket.swap_remove(self.random.random_range(0..bucket.len()));
            }
            known.extend(bucket);
        }
        known
    }
}
