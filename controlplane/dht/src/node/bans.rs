//! Whom the node does not hear, and who counts as the same.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use photongate_wire::Nanos;

use super::IdRule;

/// Addresses from which nothing is heard for a while.
pub(crate) struct Bans {
    most: usize,
    ids: IdRule,
    until: BTreeMap<SocketAddr, Nanos>,
}

impl Bans {
    pub(crate) fn new(most: usize, ids: IdRule) -> Self {
        Self { most, ids, until: BTreeMap::new() }
    }

    /// Bans `address` for a time. If there are too many the one is forgotten whose time is over first.
    pub(crate) fn ban(&mut self, address: SocketAddr, now: Nanos, until: Nanos) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= self.most
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(who, _)| *who)
        {
            self.until.remove(&first);
        }
        self.until.insert(self.who(address), until);
    }

    pub(crate) fn is_banned(&self, address: SocketAddr, now: Nanos) -> bool {
        !self.until.is_empty() && self.until.get(&self.who(address)).is_some_and(|until| *until > now)
    }

    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }

    /// Whom an address stands for: two addresses with the same one share their blame and their quotas.
    ///
    /// Ports, and the lower half of an IPv6 address, cost nothing. But where certificates say who is who, and on this machine, several
    /// nodes may well have one address.
    pub(crate) fn who(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            ip if ip.is_loopback() || self.ids == IdRule::Certificate => SocketAddr::new(ip, address.port()),
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), 0),
            IpAddr::V6(ip) => SocketAddr::new(IpAddr::V6((u128::from(ip) >> 64 << 64).into()), 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_node_gains_nothing_by_another_port() {
        let mut bans = Bans::new(9, IdRule::Free);
        bans.ban(address("192.0.2.7:1"), Nanos(0), Nanos(10));
        bans.ban(address("[2001:db8::1]:1"), Nanos(0), Nanos(10));
        bans.ban(address("127.0.0.1:1"), Nanos(0), Nanos(10));
        let banned = ["192.0.2.7:2", "[2001:db8::2]:2", "127.0.0.1:1"];
        assert!(banned.into_iter().all(|who| bans.is_banned(address(who), Nanos(9))));
        let heard = ["192.0.2.8:1", "[2001:db8:0:1::1]:1", "127.0.0.1:2"];
        assert!(!heard.into_iter().any(|who| bans.is_banned(address(who), Nanos(9))));
        assert!(!banned.into_iter().any(|who| bans.is_banned(address(who), Nanos(10))), "the time is over");
    }

    #[test]
    fn with_certificates_one_host_may_have_several_nodes() {
        let mut bans = Bans::new(9, IdRule::Certificate);
        bans.ban(address("192.0.2.7:1"), Nanos(0), Nanos(10));
        assert!(!bans.is_banned(address("192.0.2.7:2"), Nanos(9)));
    }

    #[test]
    fn there_are_never_more_bans_than_the_limit() {
        let mut bans = Bans::new(2, IdRule::Free);
        for host in 1..=3 {
            bans.ban(address(&format!("192.0.2.{host}:1")), Nanos(0), Nanos(10 + host));
        }
        assert_eq!(bans.len(), 2);
        assert!(!bans.is_banned(address("192.0.2.1:1"), Nanos(1)));
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
