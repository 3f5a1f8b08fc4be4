//! Who has which value: this node itself, and others that announced it.

use std::{collections::BTreeMap, net::SocketAddr};

use photongate_wire::Nanos;

use crate::{contact::Contact, id::Id, node::Limits};

/// What a node remembers of values. It is bounded in all, for each key, and for each address that announces.
pub(crate) struct Providers {
    limits: Limits,
    records: BTreeMap<Id, Record>,
    shares: BTreeMap<SocketAddr, Share>,
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
    share: SocketAddr,
    /// What it announced to have and this node took because of it.
    bytes: u64,
    expires: Nanos,
}

/// What one address has of the room.
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
    /// [`Full`] if the address has announced enough, or there are enough keys.
    pub(crate) fn announced(
        &mut self,
        key: Id,
        contact: Contact,
        share: SocketAddr,
        expires: Nanos,
    ) -> Result<(), Full> {
        let keys = self.records.len();
        if let Some(known) = self.records.get_mut(&key).and_then(|record| record.provider(&contact)) {
            known.expires = expires;
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
    /// [`Full`] if too much was taken already because its address announced it.
    pub(crate) fn charge(&mut self, key: &Id, contact: &Contact, bytes: u64) -> Result<(), Full> {
        let provider = self.records.get_mut(key).and_then(|record| record.provider(contact)).ok_or(Full)?;
        let share = self.shares.entry(provider.share).or_default();
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

    /// Forgets all that such addresses announced.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(SocketAddr) -> bool) {
        self.retain(|provider| !is_gone(provider.contact.address));
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
    fn provider(&mut self, contact: &Contact) -> Option<&mut Provider> {
        self.providers.iter_mut().find(|provider| provider.contact == *contact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_more_than_its_share_and_gets_it_back() {
        let mut providers = Providers::new(Limits { announcements: 2, announced_bytes: 100, ..Limits::default() });
        let mut announce = |key: u8, port: u16| {
            let contact = contact(port);
            providers.announced(Id([key; 32]), contact, SHARE, Nanos(10))?;
            providers.charge(&Id([key; 32]), &contact, 40)
        };
        assert_eq!([announce(1, 1), announce(2, 2), announce(3, 3)], [Ok(()), Ok(()), Err(Full)]);
        assert_eq!(announce(1, 1), Ok(()), "again is not once more");
        assert_eq!(providers.charge(&Id([1; 32]), &contact(1), 61), Err(Full));
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
        providers.remove(|address| address.port() == 1);
        assert_eq!(providers.others(&key, 9, 0), (vec![contact(0), contact(2)], 2));
        assert_eq!(providers.others(&Id([2; 32]), 9, 0), (vec![], 0));
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
        Contact { id: Id([9; 32]), address: SocketAddr::new([192, 0, 2, 1].into(), port) }
    }

    const SHARE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 0);
}
