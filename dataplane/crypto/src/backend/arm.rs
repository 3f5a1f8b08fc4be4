//! The kernels for 64-bit ARM processors with the cryptography extensions of ARMv8.

mod aes;
mod sha1;

use aes::Armv8;
use sha1::Sha1;

use super::{Backend, vectors};

/// What a processor has of the features that kernels need.
#[derive(Clone, Copy)]
pub(super) struct Features {
    aes: Option<Armv8>,
    sha1: Option<sha1::Armv8>,
}

impl Features {
    /// Those of this processor.
    pub(super) fn detect() -> Self {
        Self { aes: Armv8::detect(), sha1: sha1::Armv8::detect() }
    }

    /// The backends that a processor with these features can run, the fastest first.
    pub(super) fn backends(self) -> Vec<Box<dyn Backend>> {
        let sha1 = self.sha1.map_or(Sha1::Portable, Sha1::Armv8);
        vectors::backend("armv8", self.aes, Some(sha1)).into_iter().collect()
    }

    /// The features of every processor that has some of these and not the others, these themselves first.
    pub(super) fn subsets(self) -> impl Iterator<Item = Self> {
        let sha1 = [self, Self { sha1: None, ..self }];
        sha1.into_iter().flat_map(|features| [features, Self { aes: None, ..features }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_with_aes_instructions_has_the_backend() {
        for features in Features::detect().subsets() {
            let names: Vec<_> = features.backends().iter().map(|backend| backend.name()).collect();
            assert_eq!(names, if features.aes.is_some() { vec!["armv8"] } else { vec![] });
        }
    }

    /// Or else all tests under `scripts/aarch64.sh` would pass and prove nothing.
    #[test]
    fn the_emulator_has_all_features() {
        let Features { aes, sha1 } = Features::detect();
        let is_emulated = std::env::var_os("PHOTONGATE_EMULATED").is_some();
        assert!(!is_emulated || aes.is_some() && sha1.is_some());
    }
}
