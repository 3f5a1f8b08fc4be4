//! What key servers say to one another: HTTPS with mutual TLS, JSON.
//!
//! A neighbour is known by the common name of its certificate, in both directions.

mod channel;
mod client;
mod link_state;
mod neighbour;
mod one_time;
mod relaying;
mod routes;
mod upkeep;
mod wire;

pub use self::channel::PeerChannel;
pub use self::client::{PeerClient, PeerError};
pub use self::link_state::{LinkState, LinkStateOptions};
pub(crate) use self::neighbour::ATTEMPTS;
pub use self::neighbour::{Neighbour, Neighbours, TakeFailure};
pub use self::relaying::{Letter, Relay, RelayError};
pub use self::routes::{PeerRoutes, refusal, router};
pub use self::upkeep::keep_up;
pub use self::wire::{Known, Purpose, Refusal, Reservation};
