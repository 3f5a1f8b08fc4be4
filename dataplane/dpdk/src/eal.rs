//! The environment: DPDK's memory, threads and devices, set up once per process.

mod config;
mod console;
mod error;
pub mod log;
mod machine;

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use photongate_dpdk_sys as sys;

pub use config::{EalConfig, Memory};
pub use error::EalError;
pub use machine::CpuSet;

/// Proof that the environment is up; everything else is made from it. Copy it freely.
///
/// It stays up until the process ends: DPDK cannot be initialised a second time.
#[derive(Clone, Copy, Debug)]
pub struct Eal(());

impl Eal {
    /// Sets the environment up.
    ///
    /// The calling thread becomes the main lcore, and may from now on run on [`EalConfig::main_cpus`] only. Threads
    /// it starts afterwards inherit that, so call this before starting others.
    ///
    /// # Errors
    /// [`EalError`]. What can be known beforehand is checked before DPDK is called, and only those failures leave a
    /// second try.
    pub fn init(config: EalConfig) -> Result<Self, EalError> {
        let plan = config.plan(&machine::Machine::read())?;
        if WAS_TRIED.swap(true, Ordering::AcqRel) {
            return Err(EalError::AlreadyInitialised);
        }
        log::start(config.log_level, config.log_sink).map_err(EalError::log)?;

        // DPDK keeps pointers to some arguments, and reorders the array: the texts stay, and it gets an array of its
        // own.
        let arguments = ARGUMENTS.get_or_init(|| plan.arguments);
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
        pointers.push(std::ptr::null_mut());

        let messages = log::capture();
        let printed = console::capture();
        // SAFETY: this is the only call in the process (`WAS_TRIED`), with an array of terminated texts that live for
        // ever. DPDK does not write to the texts, only to the array.
        let status = unsafe { sys::rte_eal_init(arguments.len() as c_int, pointers.as_mut_ptr()) };
        // Read at once: what follows may change it.
        let errno = crate::Errno::last();
        let printed = printed.finish();
        if status >= 0 {
            return Ok(Self(()));
        }
        let mut lines = messages.into_lines();
        // Fatal errors are both printed and logged.
        lines.extend(printed.into_iter().filter(|line| !line.starts_with("EAL: FATAL")));
        Err(EalError::from_dpdk(errno, config.memory, lines))
    }

    /// The directory of this process' telemetry socket `dpdk_telemetry.v2`.
    pub fn runtime_directory(self) -> &'static Path {
        // SAFETY: a static, terminated text that is set by rte_eal_init, which has returned.
        let directory = unsafe { CStr::from_ptr(sys::rte_eal_get_runtime_dir()) };
        Path::new(directory.to_str().unwrap_or_default())
    }
}

static WAS_TRIED: AtomicBool = AtomicBool::new(false);

static ARGUMENTS: OnceLock<Vec<CString>> = OnceLock::new();
