//! AES-CBC-MAC, AES-CMAC and SHA-1 for the packet path, one packet at a time or a burst at a time.
//!
//! A worker asks for a [`Backend`] once ([`backend::detect`]) and hands it whole bursts: [`MacJob`]s or
//! [`CmacJob`]s in, [`Tag`]s out; [`HashJob`]s in, [`Digest`]s out. How the work of a burst is laid over the machine's vector units is the backend's
//! own business, so a faster one changes no caller. [`cbc_mac()`], [`cmac()`] and [`Schedule::derive`] are for the control
//! plane, which derives few keys.

// Allowed only to the vector kernels, in `backend`.
#![deny(unsafe_code)]

pub mod backend;
mod cbc_mac;
mod cmac;
mod key;
mod tag;

pub use backend::{Backend, CmacJob, Digest, HashJob, MacJob};
pub use cbc_mac::{Block, Input, cbc_mac};
pub use cmac::cmac;
pub use key::{Key, Schedule};
pub use tag::Tag;
