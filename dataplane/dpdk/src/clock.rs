//! The time-stamp counter, the clock of the packet path.

use photongate_dpdk_sys as sys;

/// Cycles of the time-stamp counter. Monotonic and in step between cores on all machines DPDK is run on; costs about
/// 20 cycles.
#[inline]
pub fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has RDTSC, and Linux leaves it enabled for user code.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: reads the counter register, needs no environment.
    unsafe {
        sys::pg_rdtsc()
    }
}

/// Cycles of [`tsc`] in a second, as measured when the environment was initialised.
pub fn tsc_hz(_eal: crate::Eal) -> u64 {
    // SAFETY: reads a variable that is set once, by rte_eal_init, which has returned as `_eal` shows.
    unsafe { sys::rte_get_tsc_hz() }
}
