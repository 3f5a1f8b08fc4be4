//! A simulated QKD link that really runs the protocol: BB84 over a lossy, noisy and perhaps overheard channel, and all that
//! follows it over an authenticated classical channel until both ends hold the same secret bits.
//!
//! All of it is pure: randomness is passed in, and there are neither clocks nor sockets.

#![forbid(unsafe_code)]

pub mod authentication;
pub mod bits;
pub mod cascade;
pub mod channel;
pub mod estimate;
pub mod monitor;
pub mod random;
pub mod sifting;
pub mod toeplitz;

pub use channel::ChannelSettings;
