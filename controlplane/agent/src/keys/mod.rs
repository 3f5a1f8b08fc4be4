//! Keys on time: fetched before they are needed, held as long as they may be, and never more than two a direction.

pub mod shared_secret;
mod source;

pub use source::{Direction, FetchError, FetchedKey, KeyRequest, KeySource};
