//! A private authority and the certificates that it issues to the processes and people of a site: for trials, and for sites that have
//! no authority of their own. All of it is files in one folder.
//!
//! What is there and good is never written over, so that making what is missing can be repeated at any time. Keys are ECDSA P-256.

mod authority;
mod error;
mod files;
mod folder;
mod site;
mod standing;
#[cfg(test)]
mod tests;

pub use error::PkiError;
pub use folder::{Action, Pki, Renewal, Report};
pub use site::{Host, Role, Site, Wanted};
pub use standing::{Fault, Standing};
