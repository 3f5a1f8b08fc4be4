//! Whom the node does not hear, and who counts as the same.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use photongate_wire::Nanos;

use super::{IdRule, Source};
use crate::{contact::Contact, id::Id};

/// Whom something is held against, and whom something counts for: bans, and quotas.
///
/// Where certificates say who is who, it is the node that the certificate names: neither another port nor another address helps it, and
/// others at its address are not to blame. Elsewhere it is the address. Ports, and the lower half of an IPv6 address, cost nothing there; but
/// on this machine several nodes may well have one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The node with this id, which is proven.
    Node(Id),
    /// Whoever is at this address.
    At(SocketAddr),
}

impl Source {
    /// Whom it is held against what comes from there.
    #[must_use]
    pub fn who(&self) -> Who {
        let (ip, port) = (self.address.ip(), self.address.port());
        match (self.proven, ip) {
            (Some(id), _) => Who::Node(id),
            (None, ip) if ip.is_loopback() => Who::At(SocketAddr::new(ip, port)),
            (None, IpAddr::V4(ip)) => Who::At(SocketAddr::new(ip.into(), 0)),
            (None, IpAddr::V6(ip)) => Who::At(SocketAddr::new(IpAddr::V6((u128::from(ip) >> 64 << 64).into()), 0)),
        }
    }
}

impl IdRule {
    /// A contact, as somebody that messages come from: with certificates only the node itself has its id.
    pub(crate) fn source(self, contact: &Contact) -> Source {
        Source { address: contact.address, proven: (self == Self::Certificate).then_some(contact.id) }
    }
}

/// Who is not heard for a while.
pub(crate) struct Bans {
    most: usize,
    until: BTreeMap<Who, Nanos>,
}

impl Bans {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, until: BTreeMap::new() }
    }

    /// Bans somebody for a time. If there are too many the one is forgotten whose time is over first.
    pub(crate) fn ban(&mut self, who: Who, now: Nanos, until: Nanos) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= self.most
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(who, _)| *who)
        {
            self.until.remove(&first);
        }
        self.until.insert(who, until);
    }

    pub(crate) fn is_banned(&self, who: Who, now: Nanos) -> bool {
        !self.until.is_empty() && self.until.get(&who).is_some_and(|until| *until > now)
    }

    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_node_gains_nothing_by_another_port() {
        let mut bans = Bans::new(9);
        for address in ["192.0.2.7:1", "[2001:db8::1]:1", "127.0.0.1:1"] {
            bans.ban(at(address), Nanos(0), Nanos(10));
        }
        let banned = ["192.0.2.7:2", "[2001:db8::2]:2", "127.0.0.1:1"];
        assert!(banned.into_iter().all(|who| bans.is_banned(at(who), Nanos(9))));
        let heard = ["192.0.2.8:1", "[2001:db8:0:1::1]:1", "127.0.0.1:2"];
        assert!(!heard.into_iter().any(|who| bans.is_banned(at(who), Nanos(9))));
        assert!(!banned.into_iter().any(|who| bans.is_banned(at(who), Nanos(10))), "the time is over");
    }

    #[test]
    fn who_is_named_by_a_certificate_is_banned_wherever_it_is_and_nobody_else() {
        let mut bans = Bans::new(9);
        let named = |address: &str, id| Source { address: address.parse().unwrap(), proven: Some(Id([id; 32])) }.who();
        bans.ban(named("192.0.2.7:1", 1), Nanos(0), Nanos(10));
        let elsewhere = ["192.0.2.7:2", "198.51.100.1:1"];
        assert!(elsewhere.into_iter().all(|address| bans.is_banned(named(address, 1), Nanos(9))));
        assert!(!bans.is_banned(named("192.0.2.7:1", 2), Nanos(9)), "one host may have several nodes");
    }

    #[test]
    fn there_are_never_more_bans_than_the_limit() {
        let mut bans = Bans::new(2);
        for host in 1..=3 {
            bans.ban(at(&format!("192.0.2.{host}:1")), Nanos(0), Nanos(10 + host));
        }
        assert_eq!(bans.len(), 2);
        assert!(!bans.is_banned(at("192.0.2.1:1"), Nanos(1)));
    }

    fn at(address: &str) -> Who {
        Source { address: address.parse().unwrap(), proven: None }.who()
    }
}
