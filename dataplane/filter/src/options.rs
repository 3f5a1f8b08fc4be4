//! What a filter is started with: plain values, wherever they came from.

use photongate_crypto::Backend;
use photongate_drkey::KeySet;
use photongate_pipeline::duplicates::Sizing;
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{PeerKey, Settings};
use std::path::PathBuf;

/// Everything a filter needs to know to start.
pub struct FilterOptions {
    /// What becomes of packets. The ports' own addresses and what they offload are filled in from the devices.
    pub settings: Settings,
    /// The devices, one for each port of `settings`, in the same order.
    pub ports: Vec<PortOptions>,
    /// Peers whose keys are there before the first packet is looked at. Others come by [`crate::Control`].
    pub peers: Vec<PeerOptions>,
    /// Entries that the key dictionary has room for; at least as many as there are peers.
    pub max_peers: u32,
    /// Dimensions of the duplicate filters; `None` lets replays pass.
    pub duplicates: Option<Sizing>,
    /// The polling threads.
    pub workers: WorkerOptions,
    /// Memory for packets and tables.
    pub memory: MemoryOptions,
    /// What DPDK is told beyond that.
    pub dpdk: DpdkOptions,
    /// Where `photongate trace` finds this filter.
    pub control: ControlSocketOptions,
}

/// Where a running filter can be asked for traces and counters.
#[derive(Clone, Debug)]
pub struct ControlSocketOptions {
    /// The path of the socket; `None` for no socket.
    pub path: Option<PathBuf>,
    /// Whether the filter is not to start when there cannot be a socket there. If not, there is a warning.
    pub is_required: bool,
}

/// The device behind a port.
#[derive(Clone, Debug)]
pub struct PortOptions {
    /// What drives the port.
    pub device: Device,
    /// Name of the kernel interface that stands for the port.
    pub exception: Option<String>,
    /// Whether the device may compute checksums, where it can.
    pub checksum_offload: bool,
}

/// A device as DPDK is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A network card.
    Pci {
        /// Its place on the bus, domain included: `0000:3b:00.0`.
        address: String,
        /// The address with the driver's arguments behind it, as for DPDK's `--allow`.
        arguments: String,
    },
    /// A device that DPDK makes: its name and arguments, as for `--vdev`.
    Virtual(String),
}

/// An AS to share keys with.
#[derive(Debug)]
pub struct PeerOptions {
    /// What the peer is found by.
    pub key: PeerKey,
    /// What it may send.
    pub limit: LimitSettings,
    /// The keys shared with it.
    pub keys: KeySet,
}

/// The polling threads.
#[derive(Clone)]
pub struct WorkerOptions {
    /// How many; at least one.
    pub count: usize,
    /// The processor of each; `None` takes the last ones this process may use.
    pub cores: Option<Vec<usize>>,
    /// Packets taken from a port at a time, at most [`photongate_pipeline::MAX_BURST`].
    pub burst: usize,
    /// Whether a worker sleeps a little when nothing arrives.
    pub adaptive_polling: bool,
    /// What computes MACs and hashes.
    pub backend: &'static dyn Backend,
}

/// Memory for packets and tables.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// Whether it comes from hugepages. Network cards need that.
    pub hugepages: bool,
    /// How much, in MiB.
    pub mib: u32,
    /// Packet buffers in each NUMA node that has a port.
    pub buffers: u32,
}

/// What DPDK is told beyond all that.
#[derive(Clone, Debug)]
pub struct DpdkOptions {
    /// Tells the files and sockets of this filter from those of others (DPDK's `--file-prefix`).
    pub name: String,
    /// Further arguments for the environment abstraction layer, as DPDK has them.
    pub arguments: Vec<String>,
    /// Whether to answer on DPDK's telemetry socket.
    pub telemetry: bool,
}

impl Device {
    /// The name that DPDK knows the device by.
    pub fn name(&self) -> &str {
        match self {
            Self::Pci { address, .. } => address,
            Self::Virtual(description) => description.split(',').next().unwrap_or_default(),
        }
    }

    /// Whether the device is the near end of an interface of this machine's kernel, made by DPDK. The address that DPDK
    /// reports is then the far end's.
    pub(crate) fn is_tap(&self) -> bool {
        matches!(self, Self::Virtual(description) if description.starts_with(TAP))
    }
}

/// The driver's name, which its devices' names begin with.
pub(crate) const TAP: &str = "net_tap";
