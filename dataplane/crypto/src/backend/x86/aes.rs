//! AES with AES-NI, alone or, with VAES, on several blocks at once.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod ni;
