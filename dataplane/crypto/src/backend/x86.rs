//! The kernels for x86-64 processors, and which of them a processor with given features uses.

mod aes;
pub(in crate::backend) mod ordinary;
mod sha1;

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use sha1::Sha1;

use super::{Backend, vectors};

/// What a processor has of the features that kernels need.
#[derive(Clone, Copy)]
pub(super) struct Features {
    /// VAES, with four blocks in a vector.
    vaes512: Option<aes::avx512::Avx512>,
    /// VAES, with two.
    vaes256: Option<aes::avx2::Avx2>,
    aes_ni: Option<aes::ni::AesNi>,
    /// SHA-1 in 16 lanes.
    lanes16: Option<sha1::avx512::Avx512>,
    /// SHA-1 in eight.
    lanes8: Option<sha1::avx2::Avx2>,
    sha_ni: Option<sha1::ni::ShaNi>,
}

impl Features {
    /// Those of this processor.
    pub(super) fn detect() -> Self {
        Self {
            vaes512: aes::avx512::Avx512::detect(),
            vaes256: aes::avx2::Avx2::detect(),
            aes_ni: aes::ni::AesNi::detect(),
            lanes16: sha1::avx512::Avx512::detect(),
            lanes8: sha1::avx2::Avx2::detect(),
            sha_ni: sha1::ni::ShaNi::detect(),
        }
    }

    /// The backends that a processor with these features can run, the fastest first.
    pub(super) fn backends(self) -> Vec<Box<dyn Backend>> {
        // Where there is no VAES, or not as wide, AES-NI does it: SHA-1 takes most of the time.
        let wide = self.lanes16.map(|wide| Sha1::Avx512 { wide, few: self.sha_ni });
        let avx512 =
            vectors::backend("avx512", self.vaes512, wide).or_else(|| vectors::backend("avx512", self.aes_ni, wide));
        let half = self.lanes8.map(|wide| self.sha_ni.map_or(Sha1::Avx2(wide), Sha1::ShaNi));
        let avx2 = vectors::backend("avx2", self.vaes256, half).or_else(|| vectors::backend("avx2", self.aes_ni, half));
        let narrow = self.sha_ni.map_or(Sha1::Portable, Sha1::ShaNi);
        let aesni = vectors::backend("aesni", self.aes_ni, Some(narrow));
        [avx512, avx2, aesni].into_iter().flatten().collect()
    }

    /// The features of every processor that has some of these and not the others, these themselves first.
    pub(super) fn subsets(self) -> impl Iterator<Item = Self> {
        (0..1_u32 << 6).map(move |missing| {
            let has = |feature: u32| missing & (1 << feature) == 0;
            Self {
                vaes512: self.vaes512.filter(|_| has(0)),
                vaes256: self.vaes256.filter(|_| has(1)),
                aes_ni: self.aes_ni.filter(|_| has(2)),
                lanes16: self.lanes16.filter(|_| has(3)),
                lanes8: self.lanes8.filter(|_| has(4)),
                sha_ni: self.sha_ni.filter(|_| has(5)),
            }
        })
    }
}

/// Begins to fetch the cache line where `value` starts.
#[inline(always)]
pub(super) fn prefetch<T>(value: &T) {
    // SAFETY: every x86-64 processor has the instruction, and it neither faults nor changes anything, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_vaes_the_wide_backends_encrypt_with_aes_ni() {
        for features in Features::detect().subsets() {
            if features.vaes512.is_some() || features.vaes256.is_some() || features.aes_ni.is_none() {
                continue;
            }
            let names =
                [features.lanes16.map(|_| "avx512"), features.lanes8.map(|_| "avx2"), features.aes_ni.map(|_| "aesni")];
            let backends = features.backends();
            assert!(backends.iter().map(|backend| backend.name()).eq(names.into_iter().flatten()), "{backends:?}");
            for backend in backends {
                assert!(format!("{backend:?}").contains("aes: AesNi"), "{backend:?}");
            }
        }
    }

    #[test]
    fn eight_lanes_hash_only_where_there_is_no_sha_ni() {
        for features in Features::detect().subsets() {
            for backend in features.backends().iter().filter(|backend| backend.name() == "avx2") {
                let lanes = format!("{backend:?}").contains("sha1: Avx2");
                assert_eq!(lanes, features.sha_ni.is_none(), "{backend:?}");
            }
        }
    }
}
