//! The AS list: who the peers are, what lies behind them, and what they may send.
//!
//! It is a document of its own, in TOML or JSON; `[[peers]]` in a filter's configuration has the same shape and is read by the same
//! code. Reading one gives a whole list or every mistake in it; two lists give their [`Difference`], and applying that is all
//! a reload has to do. Every field is described in `docs/reference/as-list.md`.

mod context;
mod difference;
mod document;
mod limit;
mod read;
mod secrets;
mod write;

use std::sync::Arc;

use ipnet::IpNet;
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::{Encapsulation, PeerEncapsulation, PeerKey, Route};
use photongate_wire::UnixNanos;

use crate::keys::shared_secret::Secret;

pub use context::{Context, DEFAULT_PROTOCOL, Held, SecretFiles};
pub use difference::Difference;
pub use document::{AsListDocument, LimitDocument, NeverShown, PeerDocument, SecretDocument};
pub use limit::Limit;
pub use photongate_net::config::Format;
pub use read::{Read, is_public, read_peers};

/// The peers of a filter, each once. Never changed: another list takes its place.
#[derive(Debug, Default)]
pub struct AsList {
    /// In the order of their keys.
    peers: Box<[ListedPeer]>,
}

/// One peer: an AS, under one DRKey protocol. A hundred thousand of them take some 20 MB.
#[derive(Clone, Debug)]
pub struct ListedPeer {
    /// What the peer is found by.
    pub key: PeerKey,
    /// What operators call it: 1 to 64 printable characters.
    pub name: Option<Box<str>>,
    /// The addresses behind it, in order. No other peer of the list has one of these prefixes, though prefixes may lie within one
    /// another. None: packets from it are verified, none are sent to it.
    pub prefixes: Box<[IpNet]>,
    /// What it may send; `None` leaves it to the filter's `limits.peer`.
    pub limit: Option<Box<LimitSettings>>,
    /// Whether packets from its prefixes are refused if they have no proof of origin.
    pub refuse_best_effort: bool,
    /// What its packets and ours are put into.
    pub encapsulation: PeerEncapsulation,
    /// Where its keys come from.
    pub source: Source,
}

impl ListedPeer {
    /// What it may send, where `default` is what peers without a limit of their own may.
    pub fn limit_or(&self, default: LimitSettings) -> LimitSettings {
        self.limit.as_deref().copied().unwrap_or(default)
    }
}

/// Where the keys shared with a peer come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Secrets that both sides were given by hand, at least one, in the order in which they come into use.
    SharedSecret(Arc<[Secret]>),
    /// The key server of the filter's AS.
    KeyServer,
}

impl AsList {
    /// All peers, in the order of their keys.
    pub fn peers(&self) -> &[ListedPeer] {
        &self.peers
    }

    /// The peer that is found by `key`.
    pub fn get(&self, key: PeerKey) -> Option<&ListedPeer> {
        let index = self.peers.binary_search_by_key(&key, |peer| peer.key).ok()?;
        self.peers.get(index)
    }

    /// From address to peer, for the packet path.
    pub fn routes(&self) -> RouteTable<Route> {
        let routes = self.peers.iter().flat_map(|peer| {
            let route = Route::new(peer.key, peer.refuse_best_effort);
            peer.prefixes.iter().map(move |prefix| (*prefix, route))
        });
        RouteTable::new(routes).expect("a list has each prefix once, without bits beyond its length")
    }

    /// Whether any peer refuses packets without a proof of origin.
    pub fn refuses_best_effort(&self) -> bool {
        self.peers.iter().any(|peer| peer.refuse_best_effort)
    }

    /// Whether any peer may send packets in `lf2`.
    pub fn accepts_lf2(&self) -> bool {
        self.peers.iter().any(|peer| peer.encapsulation.accept.contains(Encapsulation::Lf2))
    }

    /// Peers none of whose secrets may be used yet at `now`: until then there are no keys for them.
    pub fn too_early(&self, now: UnixNanos) -> impl Iterator<Item = &ListedPeer> {
        self.peers.iter().filter(move |peer| match &peer.source {
            Source::SharedSecret(secrets) => secrets.iter().all(|secret| now < secret.not_before),
            Source::KeyServer => false,
        })
    }

    /// The list of `peers`, no two of which have the same key or share a prefix.
    fn new(mut peers: Vec<ListedPeer>) -> Self {
        peers.sort_unstable_by_key(|peer| peer.key);
        Self { peers: peers.into_boxed_slice() }
    }
}

#[cfg(test)]
mod tests;
