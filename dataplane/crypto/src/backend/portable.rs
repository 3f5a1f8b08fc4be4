//! One packet after the other, with the AES and SHA-1 of RustCrypto. They use AES-NI and SHA-NI where the processor has
//! them, and otherwise constant-time software.

use sha1::{Digest as _, Sha1};

use super::{Backend, Digest, HashJob, MacJob};
use crate::cbc_mac::cbc_mac;
use crate::key::Schedule;
use crate::tag::Tag;

/// The backend that runs everywhere.
#[derive(Debug)]
pub(super) struct Portable;

impl Backend for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn macs(&self, jobs: &[MacJob<'_>], tags: &mut [Tag]) {
        assert_eq!(jobs.len(), tags.len(), "one tag for each job");
        for (job, tag) in jobs.iter().zip(tags) {
            // Both intermediate keys, and what they expand to, are wiped when they go out of scope.
            let host_as = Schedule::new(&job.schedule.derive(&job.host_as));
            let host_host = Schedule::new(&host_as.derive(&job.host_host));
            *tag = Tag::from_bytes(cbc_mac(&host_host, &job.message));
        }
    }

    fn sha1(&self, jobs: &[HashJob<'_>], digests: &mut [Digest]) {
        assert_eq!(jobs.len(), digests.len(), "one digest for each job");
        for (job, digest) in jobs.iter().zip(digests) {
            *digest = Sha1::digest(job.data).into();
        }
    }
}
