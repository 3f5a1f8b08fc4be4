//! Management over HTTP: what can be asked and told, and in which form.

pub mod model;

pub use model::*;
