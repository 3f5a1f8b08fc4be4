//! The pipeline over a capture file: what a filter with this configuration would have done with each packet.
//!
//! `capture` reads the file, `keys` holds the keys of the time a packet was captured, `judge` joins them to the pipeline.

mod capture;
mod judge;
mod keys;

pub(crate) use capture::{Capture, Record};
pub(crate) use judge::{Arrival, Judge};
