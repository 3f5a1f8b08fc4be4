//! Processors for which there are no kernels.

use super::Backend;

/// Nothing that a kernel needs.
pub(super) struct Features;

impl Features {
    /// Those of this processor.
    pub(super) fn detect() -> Self {
        Self
    }

    /// No backends but the portable one, which is not among these.
    pub(super) fn backends(self) -> Vec<Box<dyn Backend>> {
        Vec::new()
    }

    /// There is nothing to leave out.
    pub(super) fn subsets(self) -> impl Iterator<Item = Self> {
        std::iter::once(self)
    }
}
