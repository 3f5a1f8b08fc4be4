//! The choice of how a burst's MACs and hashes are computed.
//!
//! Every backend gives the same results; they differ in speed and in what they ask of the processor.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
#[expect(unsafe_code, reason = "the vector kernels")]
mod arm;
pub mod ordinary;
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
mod other;
mod portable;
mod stack;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
#[expect(unsafe_code, reason = "the vector kernels")]
mod vectors;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the vector kernels")]
mod x86;

use std::sync::LazyLock;
use std::{fmt, iter};

use portable::Portable;

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use arm::Features;
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
use other::Features;
#[cfg(target_arch = "x86_64")]
use x86::Features;

use crate::cbc_mac::{Block, Input};
use crate::key::Key;
use crate::tag::Tag;

/// Computes MACs and hashes, a burst at a time. Chosen once per worker.
///
/// No method allocates, and none keeps a derived key longer than the call.
pub trait Backend: fmt::Debug + Send + Sync {
    /// What operators call it in the configuration.
    fn name(&self) -> &'static str;

    /// Computes the tag of every job, in order.
    ///
    /// # Panics
    /// If there are not as many `tags` as `jobs`.
    fn macs(&self, jobs: &[MacJob<'_>], tags: &mut [Tag]);

    /// Computes the CMAC tag of every job, in order.
    ///
    /// # Panics
    /// If there are not as many `tags` as `jobs`.
    fn cmacs(&self, jobs: &[CmacJob<'_>], tags: &mut [Tag]);

    /// Computes the SHA-1 of every job, in order.
    ///
    /// # Panics
    /// If there are not as many `digests` as `jobs`.
    fn sha1(&self, jobs: &[HashJob<'_>], digests: &mut [Digest]);

    /// The tag of one packet.
    fn mac(&self, job: &MacJob<'_>) -> Tag {
        let mut tag = Tag::default();
        self.macs(std::slice::from_ref(job), std::slice::from_mut(&mut tag));
        tag
    }

    /// The CMAC tag of one packet.
    fn cmac(&self, job: &CmacJob<'_>) -> Tag {
        let mut tag = Tag::default();
        self.cmacs(std::slice::from_ref(job), std::slice::from_mut(&mut tag));
        tag
    }

    /// The SHA-1 of one packet's `data`.
    fn sha1_of(&self, data: &[u8]) -> Digest {
        let mut digest = Digest::default();
        self.sha1(&[HashJob { data }], std::slice::from_mut(&mut digest));
        digest
    }
}

/// One packet's MAC, from the AS-AS key down: three chained CBC-MACs, each but the last giving the key of the next.
#[derive(Clone, Copy, Debug)]
pub struct MacJob<'k> {
    /// The AS-AS key.
    pub as_as: &'k Key,
    /// What the HOST-AS key is derived from, under the AS-AS key.
    pub host_as: Input,
    /// What the HOST-HOST key is derived from, under the HOST-AS key.
    pub host_host: Input,
    /// What is authenticated, under the HOST-HOST key.
    pub message: [Block; 2],
}

/// One packet's CMAC, from the AS-AS key down: two derivations as of a [`MacJob`], then AES-CMAC over header and payload.
#[derive(Clone, Copy, Debug)]
pub struct CmacJob<'k> {
    /// The AS-AS key.
    pub as_as: &'k Key,
    /// What the HOST-AS key is derived from, under the AS-AS key.
    pub host_as: Input,
    /// What the HOST-HOST key is derived from, under the HOST-AS key.
    pub host_host: Input,
    /// What is authenticated first, under the HOST-HOST key.
    pub head: [Block; 2],
    /// What is authenticated behind it. May be empty.
    pub data: &'k [u8],
}

/// One packet's payload, to be hashed.
#[derive(Clone, Copy, Debug)]
pub struct HashJob<'p> {
    /// The bytes to hash.
    pub data: &'p [u8],
}

/// A SHA-1 digest (FIPS 180-4).
pub type Digest = [u8; 20];

/// The backend called `name`; `auto` is the fastest of this machine.
///
/// # Errors
/// [`UnknownBackend`] if there is none of that name, or this machine's processor cannot run it.
pub fn by_name(name: &str) -> Result<&'static dyn Backend, UnknownBackend> {
    if name == AUTO {
        return Ok(detect());
    }
    available().find(|backend| backend.name() == name).ok_or_else(|| UnknownBackend { name: name.to_owned() })
}

/// The fastest backend of this machine.
pub fn detect() -> &'static dyn Backend {
    available().next().expect("the portable backend runs everywhere")
}

/// Every backend that this machine can run, the fastest first.
pub fn available() -> impl Iterator<Item = &'static dyn Backend> {
    ALL.iter().map(Box::as_ref)
}

/// Every backend that this machine can run: also those that it would choose if it lacked some of its features. For tests.
///
/// Several have the same name, and different kernels.
pub fn every_kind() -> Vec<Box<dyn Backend>> {
    let mut kinds: Vec<Box<dyn Backend>> = Vec::new();
    for backend in Features::detect().subsets().flat_map(Features::backends).chain(iter::once(portable())) {
        if kinds.iter().all(|kind| format!("{kind:?}") != format!("{backend:?}")) {
            kinds.push(backend);
        }
    }
    kinds
}

/// There is no backend of this name, or none that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no crypto backend `{name}` on this machine: choose one of {}", choices())]
pub struct UnknownBackend {
    /// The name that was asked for.
    pub name: String,
}

fn choices() -> String {
    [AUTO].into_iter().chain(available().map(Backend::name)).collect::<Vec<_>>().join(", ")
}

/// Begins to fetch the cache line where `value` starts, for use a little later. Nothing waits for it, and nothing comes of it where
/// the processor knows no such thing.
///
/// It is here, and not with the tables that it is for, because it takes an instruction of the processor, as the kernels do: the packet
/// path is thus free of `unsafe`, and of DPDK, which has the same as a C macro.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(value);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

const AUTO: &str = "auto";

/// The fastest first. Made when first asked for; from then on no packet costs a look at what the processor can do.
static ALL: LazyLock<Vec<Box<dyn Backend>>> =
    LazyLock::new(|| Features::detect().backends().into_iter().chain(iter::once(portable())).collect());

fn portable() -> Box<dyn Backend> {
    Box::new(Portable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_first_of_the_available_backends() {
        assert_eq!(Some(by_name("auto").unwrap().name()), available().map(Backend::name).next());
    }

    #[test]
    fn every_available_backend_is_found_by_its_name() {
        for backend in available() {
            assert_eq!(by_name(backend.name()).unwrap().name(), backend.name());
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_there_are() {
        let error = by_name("abacus").unwrap_err().to_string();
        assert!(error.starts_with("no crypto backend `abacus` on this machine: choose one of auto, "), "{error}");
        assert!(error.ends_with("portable"), "{error}");
    }

    #[test]
    fn every_available_backend_is_among_those_that_are_tested() {
        let kinds: Vec<_> = every_kind().iter().map(|kind| format!("{kind:?}")).collect();
        for backend in available() {
            assert!(kinds.contains(&format!("{backend:?}")), "{backend:?} is not in {kinds:?}");
        }
    }
}
