//! Who polls and sends by which queue, and how packets get from worker to worker.

use crate::egress::{Egress, Path};
use crate::error::StartError;
use crate::handoff::Handoff;
use crate::options::FilterOptions;
use crate::port_links::{ExceptionLinks, Outlet, PortLinks};
use crate::ports::{OpenPort, Queues};
use crate::reassembly::Reassembly;
use photongate_dpdk::fragments::MOST_FRAGMENTS;
use photongate_dpdk::{Eal, Mempool, TxQueue, ring};
use photongate_pipeline::steering::{Over, Steering};
use photongate_pipeline::{Role, Settings};
use std::sync::Arc;

/// One worker's links to ports and to other workers.
pub(crate) struct WorkerLinks {
    pub(crate) ports: Vec<PortLinks>,
    pub(crate) handoff: Option<Handoff>,
}

/// The links of all workers. Worker `i` has queue `i` of each port; where a port has fewer, packets go by way of the
/// others. A kernel interface has one queue, and the ports' interfaces are dealt out in turn.
pub(crate) fn between(
    eal: Eal,
    ports: &[OpenPort],
    queues: Vec<(Queues, Option<Queues>)>,
    settings: &Settings,
    workers: usize,
) -> Result<Vec<WorkerLinks>, StartError> {
    let steered: Vec<_> =
        ports.iter().enumerate().map(|(index, port)| is_steered(port, index, settings, workers)).collect();
    let mut links: Vec<_> = if workers > 1 {
        let steering = Arc::new(Steering::new(workers, hash_input(settings)));
        let handoffs = Handoff::between(eal, workers, &steering, &steered)?;
        handoffs.into_iter().map(|(handoff, inboxes)| (Some(handoff), inboxes.into_iter())).collect()
    } else {
        let inboxes: Vec<_> = ports.iter().map(|_| None).collect();
        vec![(None, inboxes.into_iter())]
    };
    let mut built: Vec<Vec<PortLinks>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, (port, exception)) in queues.into_iter().enumerate() {
        let mut outlets = outlets(eal, port.transmit, workers, 0)?.into_iter();
        let mut receive = port.receive.into_iter();
        let owner = index % workers;
        let (mut kernel_receive, mut kernel_outlets) = match exception {
            Some(queues) => (queues.receive.into_iter().next(), outlets_of(eal, queues.transmit, workers, owner)?),
            None => (None, Vec::new().into_iter()),
        };
        for (worker, built) in built.iter_mut().enumerate() {
            let exception = kernel_outlets.next().map(|transmit| ExceptionLinks {
                receive: if worker == owner { kernel_receive.take() } else { None },
                transmit,
            });
            built.push(PortLinks {
                receive: receive.next(),
                inbox: links[worker].1.next().flatten(),
                transmit: outlets.next().expect("there is an outlet for each worker"),
                exception,
            });
        }
    }
    Ok(links.into_iter().zip(built).map(|((handoff, _), ports)| WorkerLinks { ports, handoff }).collect())
}

/// What puts a worker's fragments together, if the settings want it. Fragments may take a quarter of the buffers.
pub(crate) fn reassembly(
    eal: Eal,
    settings: &Settings,
    options: &FilterOptions,
    pool: Mempool,
) -> Result<Option<Reassembly>, StartError> {
    if !settings.reassemble {
        return Ok(None);
    }
    let share = options.memory.buffers / 4 / options.workers.count as u32;
    let packets = (share / MOST_FRAGMENTS as u32).max(1);
    Ok(Some(Reassembly::create(eal, packets, pool)?))
}

/// Whether a port's packets may come to a worker that does not own them, and it matters.
fn is_steered(port: &OpenPort, index: usize, settings: &Settings, workers: usize) -> bool {
    let Some(granted) = port.port.granted() else { return false };
    let may_be_inbound = settings.ports.get(index).is_some_and(|port| port.role != Role::Inside);
    // Fragments bear no UDP ports: a card that hashes these spreads the fragments of one packet.
    let scatters_fragments = settings.reassemble && !granted.rss_over_addresses;
    workers > 1 && (may_be_inbound || scatters_fragments || usize::from(granted.rx_queues) < workers)
}

/// Behind a NAT, the address in the packet is not the one that was authenticated.
fn hash_input(settings: &Settings) -> Over {
    let is_translated = settings.lf.public_v4.is_some() || settings.lf.public_v6.is_some();
    if is_translated { Over::SourceOnly } else { Over::Both }
}

/// Each worker's way out by these queues, dealt out from worker `first` on. A worker without a queue relays to one that has.
fn outlets(eal: Eal, queues: Vec<TxQueue>, workers: usize, first: usize) -> Result<Vec<Outlet>, StartError> {
    let holders: Vec<_> = (0..workers.min(queues.len())).map(|queue| (first + queue) % workers).collect();
    let mut outlets: Vec<Option<Outlet>> = (0..workers).map(|_| None).collect();
    let mut senders = Vec::new();
    for (queue, &holder) in queues.into_iter().zip(&holders) {
        let relay = if holders.len() < workers { Some(ring::create(eal, RELAYED, None)?) } else { None };
        let (sender, relay) = relay.unzip();
        senders.extend(sender);
        outlets[holder] = Some(Outlet { egress: Egress::new(Path::Queue(queue)), relay });
    }
    let mut next_sender = senders.iter().cycle();
    let outlet = |outlet: Option<Outlet>| {
        let mut relayed = || next_sender.next().map_or(Path::Nowhere, |sender| Path::Relay(sender.clone()));
        outlet.unwrap_or_else(|| Outlet::new(Egress::new(relayed())))
    };
    Ok(outlets.into_iter().map(outlet).collect())
}

fn outlets_of(
    eal: Eal,
    queues: Vec<TxQueue>,
    workers: usize,
    first: usize,
) -> Result<std::vec::IntoIter<Outlet>, StartError> {
    outlets(eal, queues, workers, first).map(Vec::into_iter)
}

/// Packets that wait to be sent by another worker.
const RELAYED: u32 = 2048;
