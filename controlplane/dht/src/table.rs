//! The routing table: whom a node knows, many near to itself and ever fewer far away.
//!
//! A bucket for each distance, told by how many bits an id and the node's own begin alike. Only who has answered gets a place, a contact
//! that answers is never given up for another one, and who finds its bucket full waits beside it. The table sends nothing: it says whom
//! to ping, and is told who answered and who did not.

mod bucket;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use photongate_wire::Nanos;

use crate::{
    contact::Contact,
    id::{Distance, Id},
    node::{PrefixLimits, Settings},
};
use bucket::Bucket;

/// The contacts of a node.
pub(crate) struct Table {
    me: Id,
    capacity: usize,
    replacements: usize,
    prefixes: PrefixLimits,
    /// The bucket of those that begin with as many bits like this node as its index. Grows to the deepest that is needed.
    buckets: Vec<Bucket>,
}

/// What became of a contact that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It has its place.
    Placed,
    /// It waits. This one, heard longest ago, should be pinged if that is long ago: if it is silent there is a place.
    Waits { oldest: Contact, heard: Nanos },
    /// Its id is known at another address, which should be pinged: if that is silent the place is free.
    Elsewhere(Contact),
    /// It gets no place: it is this node itself, or there are enough contacts of its network.
    Refused,
}

impl Table {
    pub(crate) fn new(me: Id, settings: &Settings) -> Self {
        Self {
            me,
            capacity: settings.bucket,
            replacements: settings.replacements,
            prefixes: settings.prefixes,
            buckets: Vec::new(),
        }
    }

    /// A contact has answered from its address.
    pub(crate) fn answered(&mut self, contact: Contact, now: Nanos) -> Heard {
        let Some(index) = self.index(&contact.id) else { return Heard::Refused };
        if let Some(entry) = self.bucket(index).entry(&contact.id) {
            let known = entry.contact;
            if known.address != contact.address {
                return Heard::Elsewhere(known);
            }
            self.bucket(index).refresh(&contact.id, now);
            return Heard::Placed;
        }
        if !self.has_room_for_prefix(index, contact.address.ip()) {
            return Heard::Refused;
        }
        let (capacity, replacements) = (self.capacity, self.replacements);
        let bucket = self.bucket(index);
        match bucket.oldest().filter(|_| bucket.len() >= capacity).copied() {
            None => {
                bucket.insert(contact, now);
                Heard::Placed
            }
            // Silent already: it only had its place because nobody else wanted it.
            Some(oldest) if oldest.silent > 0 => {
                bucket.remove(&oldest.contact.id);
                bucket.insert(contact, now);
                Heard::Placed
            }
            Some(oldest) => {
                bucket.wait(contact, replacements);
                Heard::Waits { oldest: oldest.contact, heard: oldest.heard }
            }
        }
    }

    /// Whether a contact that was only told of, or that asked something, should be pinged, for there is a place for it. If not it may
    /// wait for one.
    pub(crate) fn should_ping(&mut self, contact: Contact) -> bool {
        let Some(index) = self.index(&contact.id) else { return false };
        if self.bucket(index).entry(&contact.id).is_some() || !self.has_room_for_prefix(index, contact.address.ip()) {
            return false;
        }
        let (capacity, replacements) = (self.capacity, self.replacements);
        let bucket = self.bucket(index);
        let has_room = bucket.len() < capacity || bucket.oldest().is_some_and(|oldest| oldest.silent > 0);
        if !has_room {
            bucket.wait(contact, replacements);
        }
        has_room
    }

    /// A contact did not answer. Gives one that waits for its place and should be pinged.
    ///
    /// Nobody is given up for one silence unless somebody waits: who has lost its own network must not forget all others.
    pub(crate) fn silent(&mut self, contact: &Contact) -> Option<Contact> {
        let index = self.index(&contact.id)?;
        let bucket = self.buckets.get_mut(index)?;
        bucket.forget_waiting(contact);
        bucket.entry(&contact.id).filter(|entry| entry.contact.address == contact.address)?;
        bucket.silent(&contact.id);
        bucket.newest_waiting()
    }

    /// No such contact is to be known any more.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(&Contact) -> bool) {
        self.buckets.iter_mut().for_each(|bucket| bucket.remove_all(&is_gone));
    }

    /// The contacts nearest to `target` that are not known to be silent, nearest first.
    pub(crate) fn nearest(&self, target: &Id, count: usize) -> Vec<Contact> {
        let mut nearest: Vec<(Distance, Contact)> = Vec::with_capacity(count + self.capacity);
        let shared = self.me.distance(target).common_bits().min(self.buckets.len());
        // Who is in the target's own bucket is nearest to it, then all who are nearer to this node, then the buckets farther away.
        let deeper = self.buckets.len().min(shared + 1)..self.buckets.len();
        let own = shared..self.buckets.len().min(shared + 1);
        let farther = (0..shared).rev().map(|index| index..index + 1);
        for group in [own, deeper].into_iter().chain(farther) {
            if nearest.len() >= count {
                break;
            }
            let from = nearest.len();
            let live = self.buckets[group].iter().flat_map(Bucket::live);
            nearest.extend(live.map(|contact| (contact.id.distance(target), contact)));
            nearest[from..].sort_unstable_by_key(|(distance, _)| *distance);
        }
        nearest.into_iter().take(count).map(|(_, contact)| contact).collect()
    }

    /// Whether this very contact has a place and is not silent.
    pub(crate) fn knows(&self, contact: &Contact) -> bool {
        let entry = self.index(&contact.id).and_then(|index| self.buckets.get(index)?.entry(&contact.id));
        entry.is_some_and(|entry| entry.contact == *contact && entry.silent == 0)
    }

    /// In each bucket the contact heard longest ago, if that is before `since`.
    pub(crate) fn unheard(&self, since: Nanos) -> impl Iterator<Item = Contact> {
        let oldest = self.buckets.iter().filter_map(Bucket::oldest);
        oldest.filter(move |entry| entry.heard < since).map(|entry| entry.contact)
    }

    /// Somebody was looked up at this distance.
    pub(crate) fn touched(&mut self, target: &Id, now: Nanos) {
        if let Some(bucket) = self.index(target).and_then(|index| self.buckets.get_mut(index)) {
            bucket.touched = Some(now);
        }
    }

    /// The bucket with room in which nothing was looked up for longest, if never or before `since`, down to the nearest contact's.
    pub(crate) fn neglected(&self, since: Option<Nanos>) -> Option<usize> {
        let deepest = self.buckets.iter().rposition(|bucket| bucket.len() > 0)?;
        let indices = (0..=deepest).filter(|index| self.buckets[*index].live().count() < self.capacity);
        let neglected = indices.filter(|index| self.buckets[*index].touched.is_none_or(|at| Some(at) < since));
        neglected.min_by_key(|index| (self.buckets[*index].touched, *index))
    }

    /// An id that belongs into the bucket of that index; its lower bits are those of `random`.
    pub(crate) fn id_in(&self, index: usize, random: &Id) -> Id {
        let mut bytes = random.0;
        let (whole, bit) = (index / 8, 0x80_u8 >> (index % 8));
        bytes[..whole].copy_from_slice(&self.me.0[..whole]);
        let above = !(bit | (bit - 1));
        bytes[whole] = self.me.0[whole] & above | !self.me.0[whole] & bit | bytes[whole] & (bit - 1);
        Id(bytes)
    }

    /// All contacts, those far away first.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = Contact> {
        self.buckets.iter().flat_map(Bucket::live)
    }

    /// How far apart nodes are: the upper half of the distance to the last of the nearest, divided by how many these are. `None` if too few
    /// are known to tell.
    pub(crate) fn spacing(&self) -> Option<u128> {
        let nearest = self.nearest(&self.me, NEIGHBOURS);
        let last = nearest.last().filter(|_| nearest.len() == NEIGHBOURS)?;
        Some(last.id.distance(&self.me).high / NEIGHBOURS as u128)
    }

    /// How many contacts are in each bucket, the farthest first.
    pub(crate) fn fill(&self) -> impl Iterator<Item = usize> {
        self.buckets.iter().map(Bucket::len)
    }

    /// `None` for this node itself.
    fn index(&self, id: &Id) -> Option<usize> {
        let shared = self.me.distance(id).common_bits();
        (shared < Id::BITS).then_some(shared)
    }

    fn bucket(&mut self, index: usize) -> &mut Bucket {
        if self.buckets.len() <= index {
            self.buckets.resize_with(index + 1, Bucket::default);
        }
        &mut self.buckets[index]
    }

    fn has_room_for_prefix(&mut self, index: usize, address: IpAddr) -> bool {
        let prefix = prefix(address);
        let alike = |bucket: &Bucket| bucket.addresses().filter(|other| self::prefix(other.ip()) == prefix).count();
        let in_bucket = self.prefixes.bucket.is_none_or(|limit| self.buckets.get(index).map_or(0, alike) < limit);
        in_bucket && self.prefixes.table.is_none_or(|limit| self.buckets.iter().map(alike).sum::<usize>() < limit)
    }
}

#[cfg(test)]
impl Table {
    pub(crate) fn touched_at(&mut self, index: usize, at: Nanos) {
        self.buckets[index].touched = Some(at);
    }

    /// Bytes that the buckets take.
    pub(crate) fn weight(&self) -> usize {
        self.buckets.iter().map(Bucket::weight).sum()
    }
}

/// The network that an address counts for: a /24, or a /48 of IPv6.
pub(crate) fn prefix(address: IpAddr) -> [u8; 6] {
    let mut prefix = [0; 6];
    match address.to_canonical() {
        IpAddr::V4(address) => prefix[..3].copy_from_slice(&address.octets()[..3]),
        IpAddr::V6(address) => prefix.copy_from_slice(&address.octets()[..6]),
    }
    prefix
}

/// So many of the nearest tell how far apart nodes are.
const NEIGHBOURS: usize = 16;
