//! Why the files of an authority cannot be made or used.

use std::io;
use std::path::PathBuf;

use crate::tls::TlsError;

/// Why the files of an authority cannot be made or used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The operating system refuses.
    #[error("{} cannot be {action}: {source}", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, like "read".
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else.
    #[error(transparent)]
    File(#[from] TlsError),
    /// One half of the authority is missing.
    #[error(
        "{} is missing beside {}: bring it back, or move the other files away to begin with a new authority",
        missing.display(),
        present.display()
    )]
    HalfAnAuthority {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// The authority's files are there, and cannot issue anything.
    #[error("{} {why}", path.display())]
    NotAnAuthority {
        /// Its certificate.
        path: PathBuf,
        /// Reads on after the name of the file.
        why: &'static str,
    },
    /// A certificate without its key.
    #[error("{} has no key beside it, {}: bring it back, or move the certificate away to get a new one", certificate.display(), key.display())]
    WithoutKey {
        /// The certificate that is there.
        certificate: PathBuf,
        /// The key that is not.
        key: PathBuf,
    },
    /// Somebody else makes certificates there at the same time.
    #[error("somebody else makes certificates in {} just now: try again", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("no certificate can be made for {name:?}: {why}")]
    NotMade {
        /// Whose.
        name: String,
        /// Why.
        why: String,
    },
}

impl PkiError {
    pub(super) fn refused(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Refused { path, action, source }
    }

    pub(super) fn not_made(name: &str) -> impl Fn(rcgen::Error) -> Self {
        move |error| Self::NotMade { name: name.to_owned(), why: error.to_string() }
    }
}
