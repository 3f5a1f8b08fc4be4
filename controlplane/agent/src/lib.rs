//! The filter's control plane: what turns a program that was started with keys into one that is operated.
//!
//! The key manager ([`keys`]) fetches and rotates DRKeys, the AS list ([`as_list`]) says who the peers are, and the HTTP
//! interface ([`api`]) tells and is told. They reach the packet path through two traits only, [`Publisher`] and [`Observer`], so that
//! none of this needs DPDK.

#![forbid(unsafe_code)]

mod agent;
pub mod api;
pub mod as_list;
pub mod client;
mod dataplane;
pub mod keys;
mod metrics;
pub mod sealed;
#[cfg(test)]
mod testing;
mod traces;

pub use agent::{
    Agent, AgentOptions, AgentTask, ApplyError, ApplyRequest, Configuration, ConfiguredList, InitialList, ListFile,
    NoList, NotRevoked, PeersQuery, ReloadError, ReloadRefused, Reread, list_digest,
};
pub use dataplane::{DictionaryFull, Grace, Observer, Publisher, TraceEnd, TraceError};
pub use traces::{TraceRefused, Traces};
