//! Why a filter does not start, each with what to do about it.

use crate::trace::ControlError;
use photongate_dpdk::fragments::ReassemblerError;
use photongate_dpdk::hash::TableError;
use photongate_dpdk::lcore::{LaunchError, WorkerPanic};
use photongate_dpdk::port::Downgrade;
use photongate_dpdk::qsbr::TooManyParticipants;
use photongate_dpdk::ring::RingError;
use photongate_dpdk::{EalError, MempoolError, PortError};

/// Why a filter does not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// DPDK's environment cannot be set up.
    #[error("{}{}", .0, what_to_change(.0))]
    Environment(#[from] EalError),
    /// A port's device is not there, or does not work.
    #[error("port {port}: {source}{}", hint(source, device))]
    Port {
        /// The port, as the operator calls it.
        port: String,
        /// Its device.
        device: String,
        /// What is wrong.
        source: PortError,
    },
    /// The kernel interface that stands for a port cannot be made.
    #[error("port {port}: the kernel interface {interface} cannot be made: {source}{}", hint(source, "net_tap"))]
    Exception {
        /// The port, as the operator calls it.
        port: String,
        /// The interface.
        interface: String,
        /// What is wrong.
        source: PortError,
    },
    /// A port cannot carry packets as long as it should.
    #[error(
        "port {port}: device {device} {downgrade}; set the port's mtu to what the device has, or use another device"
    )]
    Mtu {
        /// The port, as the operator calls it.
        port: String,
        /// Its device.
        device: String,
        /// By how much it falls short.
        downgrade: Downgrade,
    },
    /// A device that cannot receive, or cannot send.
    #[error("port {port}: device {device} has no {direction} queue, so nothing can be forwarded; check its arguments")]
    NoQueue {
        /// The port, as the operator calls it.
        port: String,
        /// Its device.
        device: String,
        /// Which queue is missing.
        direction: &'static str,
    },
    /// The queues would hold all packet buffers.
    #[error("{buffers} packet buffers are too few for {queues} queues: set memory.buffers to {needed} or more")]
    TooFewBuffers {
        /// How many there are.
        buffers: u32,
        /// Receive and transmit queues.
        queues: u32,
        /// How many are needed.
        needed: u32,
    },
    /// No memory for packets.
    #[error("{0} (memory.mib, memory.buffers)")]
    Buffers(#[from] MempoolError),
    /// No memory for keys.
    #[error("{0}; lower keys.max_peers")]
    Dictionary(#[from] TableError),
    /// More workers than the dictionary was made for: a mistake of the filter's.
    #[error("{0}")]
    Readers(#[from] TooManyParticipants),
    /// No memory for packets between workers.
    #[error("{0}; raise memory.mib")]
    Ring(#[from] RingError),
    /// No memory for fragments.
    #[error("{0}; raise memory.mib, or set outbound.fragments = \"drop\"")]
    Reassembly(#[from] ReassemblerError),
    /// A worker cannot run.
    #[error("{0}")]
    Launch(#[from] LaunchError),
    /// A worker ended before it began.
    #[error("{0}")]
    Worker(#[from] WorkerPanic),
    /// There are no workers to start, or not a device for each port.
    #[error("{0}")]
    Options(&'static str),
    /// The socket that was asked for cannot be made.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Which setting an operator can change.
fn what_to_change(error: &EalError) -> &'static str {
    match error {
        EalError::UnknownCpu { .. } => "; choose workers.cores from these",
        EalError::TooManyWorkers { .. } => "; lower workers.count",
        EalError::NotEnoughMemory { .. } => "; lower memory.mib and memory.buffers",
        EalError::NotEnoughHugepages { .. } => ", or lower memory.mib",
        _ => "",
    }
}

/// What an operator can do about a device that is not there.
fn hint(error: &PortError, device: &str) -> String {
    let is_pci = !device.starts_with("net_");
    match error {
        PortError::NotFound { .. } if is_pci => format!(
            "; bind the card to a driver that DPDK can use (`dpdk-devbind.py --bind=vfio-pci {device}`), \
             and see `photongate check --host`"
        ),
        PortError::Attach { log, .. } if log.iter().any(|line| line.contains("Operation not permitted")) => {
            "\nrun as root, or with CAP_NET_ADMIN".to_owned()
        }
        PortError::Attach { .. } => {
            let driver =
                device.split(',').next().unwrap_or(device).trim_end_matches(|last: char| last.is_ascii_digit());
            match driver {
                "net_tap" => "\nis /dev/net/tun there (`modprobe tun`), and is no other program using the interface?",
                "net_af_packet" | "net_af_xdp" => "\nis the interface there and up (`ip link`)?",
                "net_pcap" => "\nis the file there (rx_pcap=…), and can it be written (tx_pcap=…)?",
                _ => "\nis its name right? Virtual devices are net_tap, net_af_packet, net_af_xdp, net_memif, net_pcap, net_ring and net_null",
            }
            .to_owned()
        }
        _ => String::new(),
    }
}
