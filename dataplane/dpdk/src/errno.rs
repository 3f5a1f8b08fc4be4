//! Error numbers as DPDK returns them.

use std::ffi::c_int;
use std::fmt;

use photongate_dpdk_sys as sys;

/// An errno value. Prints as the C library words it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// A number of the C library's, positive.
    pub(crate) const fn new(number: i32) -> Self {
        Self(number)
    }

    /// What `rte_errno` of this thread holds.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a thread-local variable.
        Self(unsafe { sys::pg_errno() })
    }

    /// The error in a status that is zero or positive on success, and a negative errno otherwise.
    pub(crate) fn check(status: c_int) -> Result<u32, Self> {
        u32::try_from(status).map_err(|_| Self(status.saturating_neg()))
    }

    /// The number, positive.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // Many drivers return -1 for whatever went wrong, and that is EPERM.
            NOT_PERMITTED => f.write_str("not permitted, or no reason given"),
            NO_CONFIG => f.write_str("the DPDK environment has no configuration"),
            SECONDARY => f.write_str("not allowed in a secondary DPDK process"),
            number => std::io::Error::from_raw_os_error(number).fmt(f),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

impl std::error::Error for Errno {}

/// `EPERM`
const NOT_PERMITTED: i32 = 1;
/// `E_RTE_SECONDARY`
const SECONDARY: i32 = 1001;
/// `E_RTE_NO_CONFIG`
const NO_CONFIG: i32 = 1002;
