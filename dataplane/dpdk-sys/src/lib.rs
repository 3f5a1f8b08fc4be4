//! Raw bindings to the parts of DPDK that Photongate uses; `photongate-dpdk` makes them safe.
//!
//! Three things and nothing else: the functions of the allow-list in `build.rs`, the C shim of `csrc/` for what DPDK
//! offers only to C (static inline functions, macros, structures that change between versions), and [`mbuf`], which
//! reads packet buffers in place.
//!
//! DPDK 22.11 to 24.11, as shared libraries.

pub mod mbuf;

pub use bindings::*;

/// The DPDK version this crate was compiled against, as pkg-config gives it. [`rte_version`] tells which one is loaded.
pub const COMPILED_VERSION: &str = env!("PHOTONGATE_DPDK_VERSION");

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused_qualifications,
    unreachable_pub
)]
#[allow(clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks, clippy::semicolon_if_nothing_returned)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
