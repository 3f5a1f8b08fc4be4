//! Keys that outlive the process: what a key manager holds, in the form in which it is put away and taken up again.

use photongate_crypto::Key;
use photongate_drkey::Epoch;
use photongate_pipeline::PeerKey;
use photongate_wire::UnixNanos;

use super::Direction;

/// The keys of one peer that were held before.
#[derive(Debug, Default)]
pub struct HeldKeys(pub Vec<HeldKey>);

/// One key that was held before.
#[derive(Debug)]
pub struct HeldKey {
    /// What it is for.
    pub direction: Direction,
    /// The key.
    pub key: Key,
    /// When it is used.
    pub epoch: Epoch,
    /// The start of its successor's epoch, as far as was known: usually the end of its own.
    pub handover: UnixNanos,
}

/// A key that must not be used any more, although its epoch may not be over.
#[derive(Debug)]
pub struct RevokedKey {
    /// Whose it was.
    pub peer: PeerKey,
    /// What it was for.
    pub direction: Direction,
    /// The key.
    pub key: Key,
    /// When it would have been used.
    pub epoch: Epoch,
}

/// One key that is held, to be put away.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldRef<'k> {
    pub(super) direction: Direction,
    pub(super) key: &'k Key,
    pub(super) epoch: Epoch,
    pub(super) handover: UnixNanos,
}
