//! Who has which value: this node itself, and others that announced it.

use std::collections::BTreeMap;

use photongate_wire::Nanos;

use crate::{
    contact::Contact,
    id::Id,
    node::{Limits, Who},
};

/// What a node remembers of values. It is bounded in all, for each key, and for each node that announces.
pub(crate) struct Providers {
    limits: Limits,
    records: BTreeMap<Id, Record>,
    shares: BTreeMap<Who, Share>,
}

#[derive(Default)]
struct Record {
    held: Option<Held>,
    providers: Vec<Provider>,
}

/// A value that this node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// In bytes.
    pub(crate) size: u64,
    /// When it is to be announced, if it is.
    pub(crate) due: Option<Nanos>,
    /// Whether it was put into the network here: then it is announced even if other nodes are nearer.
    pub(crate) is_origin: bool,
}

struct Provider {
    contact: Contact,
    /// For whom it counts.
    share: Who,
    /// What it announced to have and this node took because of it.
    bytes: u64,
    expires: Nanos,
}

/// What one node has of the room.
#[derive(Default)]
struct Share {
    announcements: usize,
    bytes: u64,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Providers {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, records: BTreeMap::new(), shares: BTreeMap::new() }
    }

    /// What this node itself has.
    pub(crate) fn held(&self, key: &Id) -> Option<&Held> {
        self.records.get(key)?.held.as_ref()
    }

    pub(crate) fn held_mut(&mut self, key: &Id) -> Option<&mut Held> {
        self.records.get_mut(key)?.held.as_mut()
    }

    pub(crate) fn hold(&mut self, key: Id, held: Held) {
        self.records.entry(key).or_default().held = Some(held);
    }

    pub(crate) fn drop_held(&mut self, key: &Id) {
        if let Some(record) = self.records.get_mut(key) {
            record.held = None;
            if record.providers.is_empty() {
                self.records.remove(key);
            }
        }
    }

    /// How many values this node has.
    pub(crate) fn count_held(&self) -> usize {
        self.records.values().filter(|record| record.held.is_some()).count()
    }

    /// `contact` says it has a value. Who says so again is remembered for longer.
    ///
    /// # Errors
    /// [`Full`] if who it counts for has announced enough, or there are enough keys.
    pub(crate) fn announced(&mut self, key: Id, contact: Contact, share: Who, expires: Nanos) -> Result<(), Full> {
        let keys = self.records.len();
        if let Some(known) = self.records.get_mut(&key).and_then(|record| record.provider(&contact, share)) {
            (known.contact, known.expires) = (contact, expires);
            return Ok(());
        }
        let announcements = self.shares.get(&share).map_or(0, |share| share.announcements);
        let is_new = !self.records.contains_key(&key);
        if announcements >= self.limits.announcements || is_new && keys >= self.limits.keys {
            return Err(Full);
        }
        let record = self.records.entry(key).or_default();
        // Who is known stays known: or whoever has many addresses could displace all others.
        if record.providers.len() < self.limits.providers {
            record.providers.push(Provider { contact, share, bytes: 0, expires });
            self.shares.entry(share).or_default().announcements += 1;
        }
        Ok(())
    }

    /// Counts what is taken because `contact` announced it.
    ///
    /// # Errors
    /// [`Full`] if too much was taken already because who it counts for announced it.
    pub(crate) fn charge(&mut self, key: &Id, contact: &Contact, share: Who, bytes: u64) -> Result<(), Full> {
        let provider = self.records.get_mut(key).and_then(|record| record.provider(contact, share)).ok_or(Full)?;
        let share = self.shares.entry(share).or_default();
        let more = bytes.saturating_sub(provider.bytes);
        if share.bytes.saturating_add(more) > self.limits.announced_bytes {
            return Err(Full);
        }
        share.bytes += more;
        provider.bytes += more;
        Ok(())
    }

    /// Up to `most` of the others that have a value, beginning anywhere, and how many they are.
    pub(crate) fn others(&self, key: &Id, most: usize, anywhere: usize) -> (Vec<Contact>, usize) {
        let Some(record) = self.records.get(key) else { return (Vec::new(), 0) };
        let count = record.providers.len();
        let some = record.providers.iter().cycle().skip(anywhere % count.max(1)).take(most.min(count));
        (some.map(|provider| provider.contact).collect(), count)
    }

    /// Forgets whose time is over.
    pub(crate) fn expire(&mut self, now: Nanos) {
        self.retain(|provider| provider.expires > now);
    }

    /// Forgets all that such nodes announced.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(&Contact) -> bool) {
        self.retain(|provider| !is_gone(&provider.contact));
    }

    fn retain(&mut self, stays: impl Fn(&Provider) -> bool) {
        let shares = &mut self.shares;
        self.records.retain(|_, record| {
            record.providers.retain(|provider| {
                let stays = stays(provider);
                if !stays && let Some(share) = shares.get_mut(&provider.share) {
                    share.announcements -= 1;
                    share.bytes -= provider.bytes;
                }
                stays
            });
            record.held.is_some() || !record.providers.is_empty()
        });
        shares.retain(|_, share| share.announcements > 0);
    }

    /// Values of this node that are to be announced by now.
    pub(crate) fn due(&self, now: Nanos) -> impl Iterator<Item = Id> {
        let held = self.records.iter().filter_map(|(key, record)| Some((key, record.held?)));
        held.filter(move |(_, held)| held.due.is_some_and(|due| due <= now)).map(|(key, _)| *key)
    }
}

impl Record {
    /// What `contact` announced. A node that is proven is one provider, whichever port it says it listens at.
    fn provider(&mut self, contact: &Contact, share: Who) -> Option<&mut Provider> {
        let is_proven = matches!(share, Who::Node(_));
        let is_meant = |provider: &&mut Provider| {
            if is_proven { provider.share == share } else { provider.contact == *contact }
        };
        self.providers.iter_mut().find(is_meant)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::*;

    #[test]
    fn nobody_has_more_than_their_share_and_all_get_it_back() {
        let mut providers = Providers::new(Limits { announcements: 2, announced_bytes: 100, ..Limits::default() });
        let mut announce = |key: u8, port: u16| {
            let contact = contact(port);
            providers.announced(Id([key; 32]), contact, SHARE, Nanos(10))?;
            providers.charge(&Id([key; 32]), &contact, SHARE, 40)
        };
        assert_eq!([announce(1, 1), announce(2, 2), announce(3, 3)], [Ok(()), Ok(()), Err(Full)]);
        assert_eq!(announce(1, 1), Ok(()), "again is not once more");
        assert_eq!(providers.charge(&Id([1; 32]), &contact(1), SHARE, 61), Err(Full));
        providers.expire(Nanos(10));
        assert!(providers.records.is_empty() && providers.shares.is_empty());
    }

    #[test]
    fn who_is_known_is_not_displaced_and_all_are_told_of() {
        let mut providers = Providers::new(Limits { providers: 3, ..Limits::default() });
        let key = Id([1; 32]);
        for port in 0..5 {
            providers.announced(key, contact(port), SHARE, Nanos(10)).unwrap();
        }
        assert_eq!(providers.others(&key, 9, 7), (vec![contact(1), contact(2), contact(0)], 3));
        assert_eq!(providers.others(&key, 2, 2), (vec![contact(2), contact(0)], 3));
        providers.remove(|contact| contact.address.port() == 1);
        assert_eq!(providers.others(&key, 9, 0), (vec![contact(0), contact(2)], 2));
        assert_eq!(providers.others(&Id([2; 32]), 9, 0), (vec![], 0));
    }

    #[test]
    fn a_node_with_a_certificate_is_one_provider_whichever_port_it_claims() {
        let mut providers = Providers::new(Limits { providers: 3, announcements: 1, ..Limits::default() });
        let (key, share) = (Id([1; 32]), Who::Node(contact(0).id));
        for port in 0..5 {
            providers.announced(key, contact(port), share, Nanos(10)).unwrap();
        }
        assert_eq!(providers.others(&key, 9, 0), (vec![contact(4)], 1));
        assert_eq!(providers.announced(Id([2; 32]), contact(5), share, Nanos(10)), Err(Full), "it has its share");
    }

    #[test]
    fn what_is_held_stays_when_providers_expire() {
        let mut providers = Providers::new(Limits::default());
        let (key, held) = (Id([1; 32]), Held { size: 9, due: Some(Nanos(20)), is_origin: true });
        providers.hold(key, held);
        providers.announced(key, contact(1), SHARE, Nanos(10)).unwrap();
        providers.expire(Nanos(10));
        assert_eq!(providers.held(&key), Some(&held));
        assert_eq!(providers.due(Nanos(19)).count(), 0);
        assert_eq!(providers.due(Nanos(20)).collect::<Vec<_>>(), [key]);
        providers.drop_held(&key);
        assert!(providers.records.is_empty());
    }

    fn contact(port: u16) -> Contact {
        Contact { id: Id([9; 32]), address: (Ipv4Addr::new(192, 0, 2, 1), port).into() }
    }

    const SHARE: Who = Who::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0));
}
