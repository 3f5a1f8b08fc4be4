//! Which names other nodes may have.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use photongate_net::quic::VerifyHostNameCallback;

/// Names that other nodes may have. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNames(Arc<RwLock<BTreeSet<String>>>);

impl KnownNames {
    /// From now on these are the names.
    pub(super) fn set(&self, names: impl IntoIterator<Item = String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names.into_iter().collect();
    }

    fn contains(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&name.to_ascii_lowercase())
    }
}

impl VerifyHostNameCallback for KnownNames {
    fn verify_host_name(&self, host_name: &str) -> bool {
        self.contains(host_name)
    }
}
