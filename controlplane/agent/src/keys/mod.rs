//! Keys on time: fetched before they are needed, held as long as they may be, and never more than two a direction.

mod cache;
mod fetcher;
mod held;
mod manager;
pub mod qks;
pub mod shared_secret;
mod source;
mod view;

pub use cache::{CacheError, KeyCache};
pub use fetcher::{Fetched, Fetcher};
pub use held::{HeldKey, HeldKeys, RevokedKey};
pub use manager::{Fetch, FetchId, KeyManager, Outcome};
pub use source::{Direction, FetchError, FetchedKey, KeyRequest, KeySource};
pub use view::{Degraded, PeerView};
