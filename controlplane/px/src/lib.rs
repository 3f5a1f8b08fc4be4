//! A small cluster that keeps one ordered log of commands, and applies it to a small key-value space, so that every machine ends with
//! the same documents and no acknowledged write is ever lost.
//!
//! The core is pure: [`node`] is a state machine that is told what happened (ticks, messages, requests, "batch 7 is on disk") and says
//! what to do (send, write, answer). OmniPaxos inside decides the order; [`mod@state`] applies it; [`membership`] says who
//! votes; [`storage`] collects what is to be written. The core has no sockets, clocks or randomness, so a simulator runs thousands of clusters from seeds.
//!
//! [`store`] is the disk, behind the core.
//!
//! What crosses the core's edge: [`command`] (what is put into the log), [`node::Input`] and [`node::Output`], and
//! [`node::PeerMessage`] (what nodes say to each other).

#![forbid(unsafe_code)]

pub mod api;
pub mod command;
pub mod config;
mod digest;
pub mod frame;
pub mod handle;
pub mod lines;
pub mod membership;
pub mod node;
pub mod peer;
pub mod pipe;
pub mod server;
pub mod service;
#[cfg(test)]
mod simulation;
mod socket;
pub mod state;
pub mod storage;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod watch;
