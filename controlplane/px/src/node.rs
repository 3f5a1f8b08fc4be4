//! The pure node: what it is told, what it says, what nodes say to each other.
//!
//! [`input`] has what a node is told, [`output`] what it wants done, [`message`] what nodes say to each other.

pub mod input;
pub mod message;
pub mod output;

pub use input::{Consistency, Input, Query, Request, RequestId};
pub use message::{Envelope, Hello, PeerMessage};
pub use output::{Answer, BatchId, Changed, Notice, Output, Refusal, Reply};
