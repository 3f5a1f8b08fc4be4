//! DRKey: its types, its epochs, how keys are derived, and which keys are in force when. No I/O, no clock.
//!
//! A key has a *fast* side, which derives it, and a *slow* side, which must be given it ([`AsPair`]). From an AS-AS key
//! follow HOST-AS and HOST-HOST keys, packet by packet ([`host_as_input`], [`host_host_input`]). A peer's AS-AS keys are
//! kept as a [`KeySet`], at most two per direction; [`Rotation`] says what it holds at any time.

#![forbid(unsafe_code)]

mod derivation;
mod epoch;
mod host_address;
mod key_set;
mod key_times;
mod protocol;
mod rotation;
mod secret_value;
mod shared_secret;
mod terms;

pub use derivation::{
    AsPair, as_host_input, host_as_input, host_host_input, level1_input, lf2_host_host_input, shared_secret_input,
    specific_as_host_input, specific_host_as_input,
};
pub use epoch::{Epoch, calendar};
pub use host_address::HostAddress;
pub use key_set::{AsAsKey, EpochMiss, KeySet};
pub use key_times::{EpochTooShort, KeyTimes};
pub use protocol::Protocol;
pub use rotation::Rotation;
pub use secret_value::{EpochNotInSeconds, secret_value};
pub use shared_secret::{AllZeroSecret, SharedSecret, SharedSecrets, shared_secret_key};
pub use terms::{RotationError, Term, Terms};
