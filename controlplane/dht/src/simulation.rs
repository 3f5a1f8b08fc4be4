//! Whole networks in one thread, from a seed: the real node, thousands of times, and a network that delays and loses datagrams. Nodes leave
//! without a word, others come, some lie together.
//!
//! A network begins settled, as if it had run for long: whom each node knows is chosen at random from all who belong into each of its
//! buckets. All else happens by datagrams. `docs/protocol/dht.md`, "The simulation", has what came of it.

mod claims;
mod liars;
mod network;
mod settled;
mod workload;

pub(crate) use network::Network;
