//! Keys made of secrets that the operators of both ASes were given by hand.

use std::path::PathBuf;

use photongate_crypto::Key;
use photongate_wire::UnixNanos;

/// One secret shared with a peer.
#[derive(Debug)]
pub struct Secret {
    /// What it is, or where it is.
    pub material: SecretMaterial,
    /// The first instant at which it may be used. Epochs are counted from there.
    pub not_before: UnixNanos,
}

/// The secret itself, or where it is. Prints without the secret.
#[derive(Debug)]
pub enum SecretMaterial {
    /// The secret.
    Inline(Key),
    /// The file that holds it. Read anew for every key, so that it may lie on removable or remote storage.
    File(PathBuf),
}
