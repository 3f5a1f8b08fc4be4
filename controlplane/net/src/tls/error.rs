//! What can be wrong with the files of a TLS identity.

use std::io;
use std::path::{Path, PathBuf};

use crate::secret_file::SecretFileError;

/// What is wrong with a file that TLS needs, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("the file {} {mistake}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What is wrong with a file. Reads on after "the file NAME".
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// The operating system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// Not a PEM file, or not one of certificates.
    #[error("holds no certificate: it must have a PEM block -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A certificate in it cannot be used.
    #[error("holds a certificate that cannot be used: {0}")]
    Certificate(String),
    /// It cannot be read, or by too many.
    #[error("{0}")]
    KeyFile(SecretFileError),
    /// Not a PEM file, or not one of a private key.
    #[error("holds no private key: it must have a PEM block -----BEGIN PRIVATE KEY-----, and need no password")]
    NoKey,
    /// A private key that TLS cannot sign with.
    #[error(
        "holds a private key of a kind that cannot be used: make one with openssl ecparam -name prime256v1 -genkey"
    )]
    UnknownKey,
    /// Certificate and key belong to different pairs.
    #[error("holds a certificate that does not belong to the key in {key}: name the files of one pair")]
    OtherKey {
        /// The key's file.
        key: String,
    },
}

impl TlsError {
    pub(super) fn new(path: &Path, mistake: Mistake) -> Self {
        Self { path: path.to_owned(), mistake }
    }
}
