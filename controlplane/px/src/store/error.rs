//! Why a store cannot be used, and what to do.

use crate::membership::NodeName;

/// Why a store cannot be used. The node must not run on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is another node's.
    #[error(
        "the data directory belongs to the node {found}, not to {expected}: use the directory of {expected}, or an empty one"
    )]
    OtherNode {
        /// Whose it is.
        found: NodeName,
        /// Who wanted it.
        expected: NodeName,
    },
    /// It was made by another version.
    #[error("the data directory has format {found}, which this version does not know: use the version that made it")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Another process has it open.
    #[error("the data directory is in use by another process")]
    InUse,
    /// What it says makes no sense.
    #[error("the store is damaged ({what}); do not repair it: {REPLACE}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// It has been changed by something else than a crash.
    #[error("the store is damaged; do not repair it: {REPLACE}")]
    Corrupted(#[source] Box<redb::Error>),
    /// The disk fails.
    #[error("the disk fails; once it works the node may be started again; if its data are gone, {REPLACE}")]
    Disk(#[source] Box<redb::Error>),
    /// The directory cannot be made durable.
    #[error("the data directory cannot be synced")]
    Directory(#[source] std::io::Error),
}

/// What helps where data are gone.
const REPLACE: &str = "move the data directory away, start the node with an empty one, \
                       and tell the others with `photongate px member replace NAME`";

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(_) | redb::Error::RepairAborted | redb::Error::UpgradeRequired(_) => {
                Self::Corrupted(Box::new(error))
            }
            error => Self::Disk(Box::new(error)),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(Box::new(redb::Error::Io(error)))
    }
}

/// redb has an error type for each kind of call.
macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::from(redb::Error::from(error))
            }
        })*
    };
}

from_redb!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
