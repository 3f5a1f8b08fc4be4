//! How fast the packet path is on this machine: the real worker loop over packets from memory, and the key dictionary.
//!
//! Packets go into a ring in memory (`net_ring`) before the clock starts, and leave for a port that frees them (`net_null`):
//! what is measured is what a worker does with them, and what DPDK's port functions cost. Each packet is new, so the duplicate filter meets none
//! twice, and its memory is as cold as in operation.

mod crypto;
mod dict;
mod environment;
mod pipeline;
mod rounds;
mod traffic;

pub use crypto::{BURSTS, BackendCycles, Cell, CryptoParams, CryptoResults, Kernel, LENGTHS, run_crypto};
pub use dict::{DictParams, DictResults, run_dict};
pub use environment::{BenchError, Host};
pub use pipeline::{PipelineParams, PipelineResults, Session, Source};
pub use traffic::{Attack, Direction, Size};
