//! The filter: DPDK's ports and cores around the pipeline, and the keys that it looks up.
//!
//! [`Filter::start`] makes the ports ready, publishes the keys and launches one [`Worker`] per core. A worker takes bursts from its
//! queues, has the pipeline judge them, and sends each packet where it belongs. Workers share with the rest of the
//! process only the dictionary, the settings and counters, all of which they read or write without waiting.

#![forbid(unsafe_code)]

pub mod bench;
mod control;
mod cores;
mod counters;
mod dictionary;
mod egress;
mod error;
mod exception;
mod filter;
mod handoff;
mod idle;
mod links;
mod log;
mod options;
mod plan;
mod poll_times;
mod port_links;
mod ports;
mod reassembly;
mod report;
mod run;
mod telemetry;
mod timebase;
pub mod trace;
mod worker;

pub use control::Control;
pub use counters::WorkerCounters;
pub use dictionary::{Dictionary, DictionaryReader, DictionaryWriter};
pub use egress::{Egress, Path};
pub use error::StartError;
pub use filter::{Filter, Running};
pub use handoff::Handoff;
pub use options::{
    ControlSocketOptions, Device, DpdkOptions, FilterOptions, MemoryOptions, PeerOptions, PortOptions, WorkerOptions,
};
pub use photongate_dpdk::qsbr::GracePeriod;
pub use poll_times::{PollTimes, Polls};
pub use port_links::{ExceptionLinks, Outlet, PortLinks};
pub use reassembly::Reassembly;
pub use report::{FragmentReport, Observer, PeerReport, PortReport, Report, WorkerReport};
pub use timebase::Timebase;
pub use worker::{Worker, WorkerParts};
