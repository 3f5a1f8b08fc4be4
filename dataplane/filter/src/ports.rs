//! Devices made ready: found or made, configured as far as they can be, and started.

use crate::error::StartError;
use crate::exception;
use crate::options::{Device, FilterOptions, PortOptions};

use photongate_dpdk::port::{Downgrade, PortConfig};
use photongate_dpdk::{Eal, LARGEST_DATA_ROOM, Mempool, MempoolConfig, Port, PortError, RxQueue, TxQueue};
use photongate_pipeline::steering::KEY;
use photongate_pipeline::{NextHop, PortSettings, Settings};
use photongate_wire::MacAddress;

/// A port and what stands for it in the kernel.
pub(crate) struct OpenPort {
    pub(crate) name: String,
    pub(crate) port: Port,
    pub(crate) exception: Option<Port>,
    /// The port's own Ethernet address.
    mac: MacAddress,
}

/// The queues of a started port.
pub(crate) struct Queues {
    pub(crate) receive: Vec<RxQueue>,
    pub(crate) transmit: Vec<TxQueue>,
}

/// Finds or makes the devices of all ports, and the kernel interfaces that stand for them.
pub(crate) fn open(eal: Eal, options: &FilterOptions) -> Result<Vec<OpenPort>, StartError> {
    let ports = options.ports.iter().zip(&options.settings.ports).enumerate();
    ports.map(|(index, (port, settings))| open_one(eal, index, port, settings)).collect()
}

fn open_one(eal: Eal, index: usize, options: &PortOptions, settings: &PortSettings) -> Result<OpenPort, StartError> {
    let port = match &options.device {
        Device::Pci { address, .. } => Port::find(eal, address),
        Device::Virtual(description) => Port::attach(eal, description),
    };
    let port = port.map_err(failed(options, settings))?;
    let mac = if options.device.is_tap() {
        exception::address_beside(MacAddress(port.info().mac))
    } else {
        MacAddress(port.info().mac)
    };
    let exception = options.exception.as_ref().map(|interface| {
        exception::open(eal, index, interface, mac).map_err(|source| StartError::Exception {
            port: settings.name.clone(),
            interface: interface.clone(),
            source,
        })
    });
    Ok(OpenPort { name: settings.name.clone(), port, exception: exception.transpose()?, mac })
}

/// Packet buffers, by NUMA node.
pub(crate) struct Pools(Vec<(Option<u32>, Mempool)>);

impl Pools {
    /// Buffers that hold the longest frame of any port, on each node that has a port.
    pub(crate) fn create(eal: Eal, ports: &[OpenPort], options: &FilterOptions) -> Result<Self, StartError> {
        let mtu = options.settings.ports.iter().map(|port| port.mtu).max().unwrap_or_default();
        let longest = (mtu + LINK_HEADERS).next_multiple_of(64).max(USUAL_DATA_ROOM);
        let data_room = u16::try_from(longest).unwrap_or(LARGEST_DATA_ROOM).min(LARGEST_DATA_ROOM);
        let mut nodes: Vec<_> = ports.iter().map(|port| port.port.info().socket).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let pools = nodes.into_iter().map(|socket| {
            let config =
                MempoolConfig { buffers: options.memory.buffers, data_room, socket, ..MempoolConfig::default() };
            Ok((socket, Mempool::create(eal, &config)?))
        });
        pools.collect::<Result<_, StartError>>().map(Self)
    }

    /// The buffers nearest to `socket`.
    pub(crate) fn near(&self, socket: Option<u32>) -> Mempool {
        let (_, first) = self.0.first().expect("a filter has a port, and each port's node a pool");
        self.0.iter().find(|(node, _)| *node == socket).map_or(*first, |(_, pool)| *pool)
    }
}

/// Configures and starts all ports, and fills in what `settings` takes from the devices. The queues of the port and of its
/// kernel interface, for each port.
pub(crate) fn start(
    ports: &mut [OpenPort],
    options: &FilterOptions,
    pools: &Pools,
    settings: &mut Settings,
) -> Result<Vec<(Queues, Option<Queues>)>, StartError> {
    let descriptors = descriptors(ports, options)?;
    for (index, open) in ports.iter_mut().enumerate() {
        let device = &options.ports[index];
        let config = PortConfig {
            rx_queues: options.workers.count as u16,
            tx_queues: options.workers.count as u16,
            rx_descriptors: descriptors,
            tx_descriptors: descriptors,
            mtu: u16::try_from(settings.ports[index].mtu).ok(),
            rss_key: KEY,
            checksums: device.checksum_offload,
            promiscuous: receives_all(&settings.ports, index) || device.exception.is_some(),
        };
        let pool = pools.near(open.port.info().socket);
        let granted = open.port.configure(&config, &pool).map_err(failed(device, &settings.ports[index]))?;
        let refuse = |direction| StartError::NoQueue {
            port: open.name.clone(),
            device: device.device.name().to_owned(),
            direction,
        };
        if granted.rx_queues == 0 {
            return Err(refuse("receive"));
        }
        if granted.tx_queues == 0 {
            return Err(refuse("transmit"));
        }
        report_downgrades(&open.name, device, &granted.downgrades)?;
        settings.ports[index].udp_checksum_offload = granted.tx_udp_checksum;
        settings.ports[index].mac = open.mac;
        if let Some(exception) = &mut open.exception {
            exception::configure(exception, settings.ports[index].mtu, descriptors, &pool).map_err(|source| {
                let interface = device.exception.clone().unwrap_or_default();
                StartError::Exception { port: open.name.clone(), interface, source }
            })?;
        }
    }
    // The ports start together, after all could be configured.
    let started = ports.iter_mut().enumerate().map(|(index, open)| {
        let failed = failed(&options.ports[index], &settings.ports[index]);
        let (receive, transmit) = open.port.start().map_err(&failed)?;
        let exception = open.exception.as_mut().map(Port::start).transpose().map_err(&failed)?;
        let exception = exception.map(|(receive, transmit)| Queues { receive, transmit });
        Ok((Queues { receive, transmit }, exception))
    });
    started.collect()
}

/// Packets in each queue, so that full queues leave some buffers for those under way.
fn descriptors(ports: &[OpenPort], options: &FilterOptions) -> Result<u16, StartError> {
    let queues: usize = ports
        .iter()
        .map(|open| {
            let (receive, transmit) = (open.port.info().max_rx_queues, open.port.info().max_tx_queues);
            let workers = options.workers.count;
            let exception = if open.exception.is_some() { 2 } else { 0 };
            workers.min(receive.into()) + workers.min(transmit.into()) + exception
        })
        .sum();
    let (buffers, queues) = (options.memory.buffers, queues as u32);
    let share = buffers / 4 * 3 / queues.max(1);
    if share < LEAST_DESCRIPTORS {
        let needed = (LEAST_DESCRIPTORS * queues).div_ceil(3) * 4;
        return Err(StartError::TooFewBuffers { buffers, queues, needed });
    }
    let rounded = (share / 2 + 1).next_power_of_two();
    Ok(rounded.min(MOST_DESCRIPTORS) as u16)
}

/// Whether packets for any Ethernet address must be received at the port: where it is a bump in the wire.
fn receives_all(ports: &[PortSettings], index: usize) -> bool {
    let port = &ports[index];
    let leaves_by = ports.get(usize::from(port.forward_to.0));
    port.next_hop == NextHop::Keep || leaves_by.is_some_and(|port| port.next_hop == NextHop::Keep)
}

/// One warning for each thing that the device cannot do and that is done in software.
fn report_downgrades(port: &str, options: &PortOptions, downgrades: &[Downgrade]) -> Result<(), StartError> {
    let device = options.device.name();
    for downgrade in downgrades {
        let instead = match downgrade {
            Downgrade::RxQueues { .. } | Downgrade::Rss => "packets are spread over the workers in software",
            Downgrade::TxQueues { .. } => "workers send by way of each other",
            Downgrade::TxUdpChecksum => "they are computed in software",
            // Never left to the device, because the pipeline updates the checksum of each header it touches.
            Downgrade::TxIpChecksum => continue,
            Downgrade::Scatter { .. } => "longer frames are lost",
            Downgrade::Promiscuous => "frames for other addresses do not arrive",
            Downgrade::Mtu { .. } => {
                let (port, device) = (port.to_owned(), device.to_owned());
                return Err(StartError::Mtu { port, device, downgrade: *downgrade });
            }
        };
        tracing::warn!(port, device, "the device {downgrade}: {instead}");
    }
    Ok(())
}

fn failed<'e>(options: &'e PortOptions, settings: &'e PortSettings) -> impl Fn(PortError) -> StartError + 'e {
    move |source| StartError::Port { port: settings.name.clone(), device: options.device.name().to_owned(), source }
}

/// Ethernet header and two 802.1Q tags.
const LINK_HEADERS: usize = 14 + 8;

/// What drivers like to receive into.
const USUAL_DATA_ROOM: usize = 2048;

const LEAST_DESCRIPTORS: u32 = 64;
const MOST_DESCRIPTORS: u32 = 1024;
