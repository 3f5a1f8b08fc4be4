//! A simulated QKD link that really runs the protocol: BB84 over a lossy, noisy and perhaps overheard channel, and all that
//! follows it over an authenticated classical channel until both ends hold the same secret bits.
//!
//! It is a simulation. What crosses the connection that stands for light is ordinary bytes, and whoever reads them knows the
//! keys. Everything behind the measurement is what a real pair of devices would do. `docs/protocol/bb84.md` has the formulas.
//!
//! [`channel`], [`sifting`], [`estimate`], [`cascade`], [`toeplitz`], [`authentication`] and [`monitor`] are pure: randomness is
//! passed in, and they have neither clock nor sockets. [`Link`] runs them between two processes.

#![forbid(unsafe_code)]

pub mod authentication;
pub mod bits;
pub mod cascade;
pub mod channel;
mod control;
pub mod estimate;
mod link;
pub mod message;
pub mod monitor;
mod parameters;
pub mod random;
mod session;
mod setting;
pub mod sifting;
mod status;
pub mod toeplitz;

pub use channel::ChannelSettings;
pub use control::Control;
pub use link::Link;
pub use message::BlockId;
pub use parameters::Parameters;
pub use session::{KeyBlock, Secret, SessionError};
pub use setting::BadSetting;
pub use status::{Phase, Statistics, Status};
