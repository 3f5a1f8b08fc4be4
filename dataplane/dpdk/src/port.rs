//! Ports: network cards and virtual devices, whatever driver serves them.

mod config;
mod setup;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use photongate_dpdk_sys as sys;

use crate::eal::log::{self, Capture};
use crate::{Eal, Errno, Mempool, RxQueue, TxQueue};

pub use config::{Downgrade, Granted, PortConfig, PortInfo};

/// A port, held by one owner. It stops and closes when it and the queues made from it are gone.
pub struct Port {
    device: Arc<Device>,
    info: PortInfo,
    granted: Option<Granted>,
}

impl Port {
    /// Takes hold of a port that was found when the environment was initialised, by its PCI address or device name.
    ///
    /// # Errors
    /// [`PortError::NotFound`], [`PortError::InUse`].
    pub fn find(eal: Eal, name: &str) -> Result<Self, PortError> {
        Self::hold(eal, name, &mut claimed(), false)
    }

    /// Makes a virtual device and takes hold of its port. `description` is as for DPDK's `--vdev`: the driver with a
    /// number, then options, such as `net_tap5,iface=pg-outside`.
    ///
    /// # Errors
    /// [`PortError`]; [`PortError::Attach`] holds what DPDK logged of it.
    pub fn attach(eal: Eal, description: &str) -> Result<Self, PortError> {
        let name = description.split(',').next().unwrap_or_default();
        let invalid = || PortError::InvalidName { name: description.to_owned() };
        let raw = CString::new(description).map_err(|_| invalid())?;
        if name.is_empty() {
            return Err(invalid());
        }
        let mut claimed = claimed();
        let messages = log::capture();
        // SAFETY: the environment is up, as `eal` shows; DPDK copies the text. No other thread makes or removes devices
        // while `claimed` is locked.
        let status = unsafe { sys::rte_dev_probe(raw.as_ptr()) };
        if let Err(errno) = Errno::check(status) {
            let error = PortError::Attach { device: description.to_owned(), errno, log: Vec::new() };
            return Err(error.explained(messages));
        }
        drop(messages);
        Self::hold(eal, name, &mut claimed, true)
    }

    /// The names of all ports.
    pub fn names(_eal: Eal) -> Vec<String> {
        let next = |from: u16| {
            // SAFETY: the environment is up, as `_eal` shows.
            let id = unsafe { sys::rte_eth_find_next(from) };
            (u32::from(id) < sys::RTE_MAX_ETHPORTS).then_some(id)
        };
        let ids = std::iter::successors(next(0), |&id| next(id + 1));
        ids.filter_map(|id| PortInfo::read(id).ok()).map(|info| info.name).collect()
    }

    fn hold(eal: Eal, name: &str, claimed: &mut BTreeSet<u16>, is_attached: bool) -> Result<Self, PortError> {
        let raw_name = CString::new(name).map_err(|_| PortError::InvalidName { name: name.to_owned() })?;
        let mut id = 0;
        // SAFETY: the environment is up, as `eal` shows; the name is terminated, and `id` can be written.
        let found = unsafe { sys::rte_eth_dev_get_port_by_name(raw_name.as_ptr(), &raw mut id) };
        if found != 0 {
            return Err(PortError::NotFound { name: name.to_owned(), present: Self::names(eal) });
        }
        let info = PortInfo::read(id).map_err(|errno| PortError::refused(name, "tell its abilities", errno))?;
        if !claimed.insert(id) {
            return Err(PortError::InUse { name: name.to_owned() });
        }
        let attached = is_attached.then_some(raw_name);
        let device = Device { id, is_started: AtomicBool::new(false), attached };
        Ok(Self { device: Arc::new(device), info, granted: None })
    }

    /// DPDK's number for it, which received packets carry.
    pub fn id(&self) -> u16 {
        self.device.id
    }

    /// Its name: the PCI address, or the virtual device's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// What it is and can do.
    pub fn info(&self) -> &PortInfo {
        &self.info
    }

    /// Sets the port up as near to `config` as it can be. Packets are received into buffers of `pool`.
    ///
    /// # Errors
    /// [`PortError::Running`], and [`PortError::Refused`] when the driver fails at something that should work.
    pub fn configure(&mut self, config: &PortConfig, pool: &Mempool) -> Result<&Granted, PortError> {
        if self.device.is_started.load(Ordering::Acquire) {
            return Err(PortError::Running { name: self.info.name.clone() });
        }
        let messages = log::capture();
        let granted = setup::configure(self.device.id, &self.info, config, pool);
        let granted = granted.map_err(|error| error.explained(messages))?;
        Ok(self.granted.insert(granted))
    }

    /// What [`Port::configure`] achieved, if it was called.
    pub fn granted(&self) -> Option<&Granted> {
        self.granted.as_ref()
    }

    /// Starts the port and hands out its queues, as many as were granted.
    ///
    /// # Errors
    /// [`PortError::NotConfigured`], [`PortError::Running`], or [`PortError::Refused`].
    pub fn start(&mut self) -> Result<(Vec<RxQueue>, Vec<TxQueue>), PortError> {
        let name = &self.info.name;
        let granted = self.granted.as_ref().ok_or_else(|| PortError::NotConfigured { name: name.clone() })?;
        if self.device.is_started.load(Ordering::Acquire) {
            return Err(PortError::Running { name: name.clone() });
        }
        let messages = log::capture();
        setup::start(self.device.id, &self.info, granted).map_err(|error| error.explained(messages))?;
        self.device.is_started.store(true, Ordering::Release);
        let fills_checksums = granted.tx_ip_checksum || granted.tx_udp_checksum;
        let rx = (0..granted.rx_queues).map(|index| RxQueue::new(Arc::clone(&self.device), index)).collect();
        let tx = (0..granted.tx_queues)
            .map(|index| TxQueue::new(Arc::clone(&self.device), index, fills_checksums))
            .collect();
        Ok((rx, tx))
    }

    /// Stops the port. Takes back all queues that [`Port::start`] handed out: so nobody is using them.
    ///
    /// # Errors
    /// The queues, when some are missing or from another port. Then the port goes on.
    pub fn stop(&mut self, rx: Vec<RxQueue>, tx: Vec<TxQueue>) -> Result<(), (PortError, Vec<RxQueue>, Vec<TxQueue>)> {
        // Every queue holds the device, and nothing but queues and ports does.
        let held = Arc::strong_count(&self.device) - 1;
        let ours = rx.iter().filter(|queue| Arc::ptr_eq(queue.device(), &self.device)).count()
            + tx.iter().filter(|queue| Arc::ptr_eq(queue.device(), &self.device)).count();
        if ours != held || ours != rx.len() + tx.len() {
            let missing = held - ours;
            return Err((PortError::QueuesInUse { name: self.info.name.clone(), missing }, rx, tx));
        }
        // What the threads of dropped queues did with them comes before what follows.
        fence(Ordering::Acquire);
        self.device.stop();
        Ok(())
    }

    /// Receives packets for any Ethernet address, or only for the port's own.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the driver cannot.
    pub fn set_promiscuous(&self, is_on: bool) -> Result<(), PortError> {
        setup::set_promiscuous(self.device.id, is_on)
            .map_err(|errno| PortError::refused(&self.info.name, "change promiscuous mode", errno))
    }

    /// Whether the link is up, and its speed.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the driver cannot tell.
    pub fn link(&self) -> Result<Link, PortError> {
        let (mut is_up, mut mbit_per_second) = (false, 0);
        // SAFETY: the device is ours and both results can be written.
        let status = unsafe { sys::pg_port_link(self.device.id, &raw mut is_up, &raw mut mbit_per_second) };
        Errno::check(status).map_err(|errno| PortError::refused(&self.info.name, "tell its link status", errno))?;
        Ok(Link { is_up, mbit_per_second: (mbit_per_second != 0).then_some(mbit_per_second) })
    }

    /// What the port has counted since it was started.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the driver does not count.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let mut raw = sys::rte_eth_stats::default();
        // SAFETY: the device is ours and the result can be written.
        let status = unsafe { sys::rte_eth_stats_get(self.device.id, &raw mut raw) };
        Errno::check(status).map_err(|errno| PortError::refused(&self.info.name, "tell its counters", errno))?;
        Ok(PortStats {
            received_packets: raw.ipackets,
            received_bytes: raw.ibytes,
            sent_packets: raw.opackets,
            sent_bytes: raw.obytes,
            missed: raw.imissed,
            receive_errors: raw.ierrors,
            send_errors: raw.oerrors,
            without_buffer: raw.rx_nombuf,
        })
    }

    /// All counters that the driver keeps, by its own names.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the driver does not tell.
    pub fn extended_stats(&self) -> Result<Vec<(String, u64)>, PortError> {
        setup::extended_stats(self.device.id)
            .map_err(|errno| PortError::refused(&self.info.name, "tell its extended counters", errno))
    }
}

/// State of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether packets can pass.
    pub is_up: bool,
    /// Speed in Mbit/s, if known.
    pub mbit_per_second: Option<u32>,
}

/// A port's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub received_packets: u64,
    /// Bytes received, Ethernet header included.
    pub received_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes sent, Ethernet header included.
    pub sent_bytes: u64,
    /// Packets lost because the receive queue was full: the worker is too slow.
    pub missed: u64,
    /// Broken packets received.
    pub receive_errors: u64,
    /// Packets that could not be sent.
    pub send_errors: u64,
    /// Packets lost because the pool was empty.
    pub without_buffer: u64,
}

/// Why a port does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// No such port.
    #[error("there is no port {name}; {}", list(present))]
    NotFound {
        /// The name asked for.
        name: String,
        /// The names of the ports there are.
        present: Vec<String>,
    },
    /// The name cannot be one.
    #[error("{name:?} is no device name")]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// Somebody holds the port already.
    #[error("port {name} is in use already")]
    InUse {
        /// The port.
        name: String,
    },
    /// The device cannot be made or taken over.
    #[error("DPDK cannot attach {device}: {errno}{}", lines(log))]
    Attach {
        /// What was asked for.
        device: String,
        /// DPDK's reason.
        errno: Errno,
        /// What it logged of it.
        log: Vec<String>,
    },
    /// The driver failed.
    #[error("port {name} cannot {action}: {errno}{}", lines(log))]
    Refused {
        /// The port.
        name: String,
        /// What it was to do.
        action: &'static str,
        /// The driver's reason.
        errno: Errno,
        /// What it logged of it.
        log: Vec<String>,
    },
    /// Not possible before [`Port::configure`].
    #[error("port {name} is not configured yet")]
    NotConfigured {
        /// The port.
        name: String,
    },
    /// Not possible while the port runs.
    #[error("port {name} is running")]
    Running {
        /// The port.
        name: String,
    },
    /// A port stops only when all its queues are given back.
    #[error("port {name} cannot stop: {missing} of its queues were not given back")]
    QueuesInUse {
        /// The port.
        name: String,
        /// How many queues are still elsewhere.
        missing: usize,
    },
}

impl PortError {
    fn refused(name: &str, action: &'static str, errno: Errno) -> Self {
        Self::Refused { name: name.to_owned(), action, errno, log: Vec::new() }
    }

    /// With what was logged meanwhile, for a call that set out to do something.
    fn explained(mut self, messages: Capture) -> Self {
        if let Self::Refused { log, .. } | Self::Attach { log, .. } = &mut self {
            *log = messages.into_lines();
        }
        self
    }
}

/// The right to use a port. Queues share it, so that the port outlives them.
pub(crate) struct Device {
    id: u16,
    is_started: AtomicBool,
    /// Name of a virtual device that [`Port::attach`] made.
    attached: Option<CString>,
}

impl Device {
    #[inline]
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    fn stop(&self) {
        if self.is_started.swap(false, Ordering::AcqRel) {
            // SAFETY: the port was started. No queue is polled: either all queues were given back, or they are dropped.
            // A driver that fails to stop is closed all the same.
            let _ = unsafe { sys::rte_eth_dev_stop(self.id) };
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop();
        let mut claimed = claimed();
        // SAFETY: the last holder of the device is going, the port is stopped, and nobody can take hold of it before
        // it is no longer claimed.
        let _ = unsafe { sys::rte_eth_dev_close(self.id) };
        if let Some(name) = &self.attached {
            // SAFETY: both texts are terminated; the port is closed, so nothing uses the device.
            let _ = unsafe { sys::rte_eal_hotplug_remove(c"vdev".as_ptr(), name.as_ptr()) };
        }
        claimed.remove(&self.id);
    }
}

/// Ports that have an owner: DPDK itself would let two owners fight over a queue. Locked while devices come and go.
fn claimed() -> MutexGuard<'static, BTreeSet<u16>> {
    static CLAIMED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "there is none at all".to_owned() } else { format!("there are {}", names.join(", ")) }
}

fn lines(log: &[String]) -> String {
    log.iter().map(|line| format!("\n  {line}")).collect()
}
