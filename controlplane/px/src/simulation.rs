//! Whole clusters in one thread, from a seed: the real node, a network that loses, repeats and reorders, disks that lose what was not
//! synced, machines that die, stand still or come back empty, clocks that run at different speeds, members that come and go.
//!
//! Clients write and read all the while, and what they saw is judged ([`crate::testing::linearizability`], [`oracle`]): it must be as if one machine had
//! done everything in one order, nothing that was acknowledged may be missing at the end, nothing may have happened twice, and all
//! nodes must end with the same state, once the network is well again.
//!
//! A seed that fails prints the command that runs it again with a trace.

mod clients;
mod disk;
mod faults;
mod mutations;
mod network;
mod oracle;
mod seeds;
mod world;

pub(crate) use world::{Failure, Report, World};
