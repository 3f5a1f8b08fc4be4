//! What the environment should be like, and DPDK's arguments for that.

use std::ffi::CString;

use photongate_dpdk_sys as sys;

use super::error::EalError;
use super::log::{LogLevel, LogSink};
use super::machine::{CpuSet, Machine};

/// How to set the environment up.
pub struct EalConfig {
    /// Processors that the calling thread, and the threads it starts later, may run on. Empty: those this process may
    /// use and no worker has, or all if the workers have them all.
    pub main_cpus: Vec<usize>,
    /// One worker lcore for each, pinned there.
    pub worker_cpus: Vec<usize>,
    /// Where memory comes from.
    pub memory: Memory,
    /// PCI addresses (such as `0000:3b:00.0`) of the network cards to use. Others are left alone.
    pub pci_devices: Vec<String>,
    /// Virtual devices, as for `--vdev`. [`crate::Port::attach`] makes them with better errors.
    pub virtual_devices: Vec<String>,
    /// Whether to open DPDK's telemetry socket.
    pub telemetry: bool,
    /// Name of the directory for the telemetry socket, below DPDK's run-time directory. Two processes should differ
    /// in it.
    pub file_prefix: String,
    /// The least severe messages of DPDK's to log.
    pub log_level: LogLevel,
    /// Where DPDK's log goes.
    pub log_sink: LogSink,
    /// Further arguments, as DPDK has them.
    pub raw_arguments: Vec<String>,
}

impl Default for EalConfig {
    /// No worker, 256 MiB without hugepages, no device, no telemetry; warnings are printed to standard error.
    fn default() -> Self {
        Self {
            main_cpus: Vec::new(),
            worker_cpus: Vec::new(),
            memory: Memory::Ordinary { mib: 256 },
            pci_devices: Vec::new(),
            virtual_devices: Vec::new(),
            telemetry: false,
            file_prefix: "photongate".to_owned(),
            log_level: LogLevel::Warning,
            log_sink: Box::new(|level, message| eprintln!("DPDK: {level}: {message}")),
            raw_arguments: Vec::new(),
        }
    }
}

/// Where DPDK's memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Hugepages, set aside beforehand. What network cards need, and what is fast.
    Hugepages {
        /// MiB to take at once.
        mib: u32,
    },
    /// Ordinary pages. Only virtual devices work with them.
    Ordinary {
        /// MiB to take at once; there will never be more.
        mib: u32,
    },
}

/// A configuration that fits the machine.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) arguments: Vec<CString>,
}

impl EalConfig {
    /// Checks the configuration against the machine and words it for DPDK.
    pub(super) fn plan(&self, machine: &Machine) -> Result<Plan, EalError> {
        let main_cpus = self.check_cpus(machine)?;
        self.check_memory(machine)?;

        let mut arguments = vec!["photongate".to_owned()];
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        add(&["--lcores", &self.lcores(&main_cpus), "--main-lcore", "0"]);
        match self.memory {
            // In memory: no files in the hugepage file system, so a crash leaves nothing behind that blocks the next
            // start.
            Memory::Hugepages { mib } => add(&["--in-memory", "-m", &mib.to_string()]),
            // DPDK 22.11 fails to start with both --no-huge and --in-memory.
            Memory::Ordinary { mib } => add(&["--no-huge", "--no-shconf", "--iova-mode=va", "-m", &mib.to_string()]),
        }
        if self.pci_devices.is_empty() {
            add(&["--no-pci"]);
        }
        for address in &self.pci_devices {
            add(&["-a", address]);
        }
        for description in &self.virtual_devices {
            add(&["--vdev", description]);
        }
        if !self.telemetry {
            add(&["--no-telemetry"]);
        }
        add(&["--file-prefix", &self.file_prefix]);
        // Or it warns at every start that nobody uses the socket of DPDK 20. What is said first counts for a library
        // that registers its log later.
        add(&["--log-level=lib.telemetry:error"]);
        add(&[&format!("--log-level=*:{}", self.log_level.number())]);
        arguments.extend(self.raw_arguments.iter().cloned());
        let arguments = arguments
            .into_iter()
            .map(|text| CString::new(text.clone()).map_err(|_| EalError::ZeroByte { argument: text }));
        Ok(Plan { arguments: arguments.collect::<Result<_, _>>()? })
    }

    /// The processors of the main lcore, after checking that all named ones are there.
    fn check_cpus(&self, machine: &Machine) -> Result<CpuSet, EalError> {
        let most = sys::RTE_MAX_LCORE as usize - 1;
        if self.worker_cpus.len() > most {
            return Err(EalError::TooManyWorkers { wanted: self.worker_cpus.len(), most });
        }
        let unknown = self.worker_cpus.iter().chain(&self.main_cpus).find(|&&cpu| !machine.cpus.contains(cpu));
        if let Some(&cpu) = unknown {
            return Err(EalError::UnknownCpu { cpu, usable: machine.cpus.clone() });
        }
        if !self.main_cpus.is_empty() {
            return Ok(self.main_cpus.iter().copied().collect());
        }
        let free: CpuSet = machine.cpus.iter().filter(|cpu| !self.worker_cpus.contains(cpu)).collect();
        Ok(if free.is_empty() { machine.cpus.clone() } else { free })
    }

    fn check_memory(&self, machine: &Machine) -> Result<(), EalError> {
        match self.memory {
            Memory::Hugepages { mib } if machine.free_hugepages_mib() < u64::from(mib) => {
                Err(EalError::NotEnoughHugepages {
                    wanted_mib: mib,
                    free_mib: machine.free_hugepages_mib(),
                    page_kib: machine.default_hugepage_kib,
                })
            }
            Memory::Ordinary { mib } if machine.available_mib.is_some_and(|available| available < u64::from(mib)) => {
                Err(EalError::NotEnoughMemory { wanted_mib: mib, available_mib: machine.available_mib })
            }
            Memory::Hugepages { .. } | Memory::Ordinary { .. } => Ok(()),
        }
    }

    /// Lcore 0 floats over the main processors, the others are pinned. Their numbers are ours, so a processor's
    /// number has no limit.
    fn lcores(&self, main_cpus: &CpuSet) -> String {
        let main: Vec<String> = main_cpus.iter().map(|cpu| cpu.to_string()).collect();
        let workers = self.worker_cpus.iter().zip(1..).map(|(cpu, lcore)| format!(",{lcore}@{cpu}"));
        format!("0@({}){}", main.join(","), workers.collect::<String>())
    }
}

#[cfg(test)]
mod tests;
