//! The filter as a whole: started, watched, and stopped.

use crate::control::Control;
use crate::cores;
use crate::counters::WorkerCounters;
use crate::dictionary::Dictionary;
use crate::error::StartError;
use crate::idle::Idle;
use crate::links::{self, WorkerLinks};
use crate::options::{ControlSocketOptions, Device, FilterOptions, MemoryOptions, PeerOptions};
use crate::plan::Plan;
use crate::ports::{self, OpenPort, Pools};
use crate::report::{Observer, Peers};
use crate::run::{StopSignal, run};
use crate::telemetry;
use crate::timebase::Timebase;
use crate::trace::{ControlOptions, ControlSocket, Tap, TraceDesk, Tracer};
use arc_swap::ArcSwap;
use photongate_dpdk::eal::{EalConfig, Memory};
use photongate_dpdk::lcore::{self, WorkerPanic};
use photongate_dpdk::{Eal, Port};
use photongate_pipeline::limits::Limit;
use photongate_pipeline::{Entry, PeerState, Settings, VerdictCounters};
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// Starts filters.
pub struct Filter;

impl Filter {
    /// Starts a filter: when this returns, its workers poll. DPDK can be set up once, so a process has one filter.
    ///
    /// The calling thread, and those it starts afterwards, may then run on processors that no worker has.
    ///
    /// # Errors
    /// [`StartError`]. Whatever was started is stopped then.
    pub fn start(options: FilterOptions) -> Result<Running, StartError> {
        if options.workers.count == 0 {
            return Err(StartError::Options("a filter needs at least one worker"));
        }
        if options.ports.is_empty() || options.ports.len() != options.settings.ports.len() {
            return Err(StartError::Options("a filter needs a device for each port, and at least one"));
        }
        let eal = Eal::init(environment(&options))?;
        Self::start_in(eal, options)
    }

    /// As [`Filter::start`], in an environment that has a worker lcore for each worker.
    ///
    /// # Errors
    /// [`StartError`]. Whatever was started is stopped then.
    pub fn start_in(eal: Eal, mut options: FilterOptions) -> Result<Running, StartError> {
        let workers = options.workers.count;
        let mut open = ports::open(eal, &options)?;
        let pools = Pools::create(eal, &open, &options)?;
        let mut settings = options.settings.clone();
        let queues = ports::start(&mut open, &options, &pools, &mut settings)?;

        let peers = std::mem::take(&mut options.peers);
        let capacity = options.max_peers.max(peers.len() as u32).max(1);
        let (dictionary, writer) = Dictionary::create(capacity, workers as u32)?;
        let timebase = Timebase::start();

        let links = links::between(eal, &open, queues, &settings, workers)?;
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let known: Arc<Peers> = Arc::default();
        let mut control = Control {
            dictionary: writer,
            settings: Arc::clone(&settings),
            peers: Arc::clone(&known),
            workers,
            timebase,
        };
        for peer in peers {
            control.publish(peer.into_entry(workers, &timebase)).expect("there is room for all peers of the start");
        }
        let (tracer, taps) = Tracer::new(workers);
        let (mut ports, mut exceptions) = (Vec::new(), Vec::new());
        for OpenPort { name, port, exception, .. } in open {
            ports.push((name, port));
            exceptions.extend(exception);
        }
        let mut running = Running {
            eal,
            workers: Vec::new(),
            stop: Arc::new(StopSignal::new(workers)),
            control: Some(control),
            socket: None,
            traces: Arc::new(TraceDesk::new(tracer, ports.iter().map(|(name, _)| name.clone()).collect())),
            observer: Arc::new(Observer { workers: Vec::new(), ports: Vec::new(), peers: Arc::clone(&known) }),
            _exceptions: exceptions,
        };
        let shared = Shared { dictionary, settings, pools, timebase };
        let counters = running.launch(eal, &options, &shared, links, taps)?;
        running.observer = Arc::new(Observer { workers: counters, ports, peers: known });
        running.socket = control_socket(options.control, &running.traces, &running.observer)?;
        if options.dpdk.telemetry
            && let Err(error) = telemetry::register(eal, &running.observer)
        {
            tracing::warn!("{error}: counters are not on DPDK's telemetry socket");
        }
        Ok(running)
    }
}

/// A filter that runs. Dropping it stops it.
pub struct Running {
    eal: Eal,
    workers: Vec<lcore::Worker<()>>,
    stop: Arc<StopSignal>,
    control: Option<Control>,
    socket: Option<ControlSocket>,
    traces: Arc<TraceDesk>,
    observer: Arc<Observer>,
    /// Kept as long as workers poll them.
    _exceptions: Vec<Port>,
}

impl Running {
    /// Where the counters are.
    pub fn observer(&self) -> &Arc<Observer> {
        &self.observer
    }

    /// A worker's panic, if there was one. The filter is then to be stopped: part of the traffic goes nowhere.
    pub fn failure(&mut self) -> Option<WorkerPanic> {
        let ended = self.workers.iter().position(lcore::Worker::is_finished)?;
        self.workers.swap_remove(ended).join().err()
    }

    pub(crate) fn eal(&self) -> Eal {
        self.eal
    }

    /// Where packets are traced.
    pub fn traces(&self) -> &Arc<TraceDesk> {
        &self.traces
    }

    /// What changes keys, peers and settings. There is one: `None` when it has been taken.
    pub fn take_control(&mut self) -> Option<Control> {
        self.control.take()
    }

    /// Stops: what has arrived is judged and sent, then the workers end. The final counters are with the observer.
    ///
    /// # Errors
    /// The first worker's panic, if there was one.
    pub fn stop(mut self) -> Result<Arc<Observer>, WorkerPanic> {
        self.halt()?;
        Ok(Arc::clone(&self.observer))
    }

    /// Launches a worker for each of `links`, and waits until all of them poll. Returns where each counts.
    fn launch(
        &mut self,
        eal: Eal,
        options: &FilterOptions,
        shared: &Shared,
        links: Vec<WorkerLinks>,
        taps: Vec<Tap>,
    ) -> Result<Vec<Counters>, StartError> {
        let workers = links.len();
        let (ready, has_begun) = channel();
        for ((index, (links, tap)), lcore) in links.into_iter().zip(taps).enumerate().zip(eal.workers()) {
            let pool = shared.pools.near(Some(lcore.socket()));
            let plan = Plan {
                index,
                workers,
                sizing: options.duplicates.clone(),
                seed: random_seed()?,
                backend: options.workers.backend,
                dictionary: shared.dictionary.reader()?,
                links,
                reassembly: links::reassembly(eal, &shared.settings.load(), options, pool)?,
                tap,
                settings: Arc::clone(&shared.settings),
                pool,
                burst: options.workers.burst,
                timebase: shared.timebase,
            };
            let idle = Idle::new(options.workers.adaptive_polling);
            let (stop, ready) = (Arc::clone(&self.stop), ready.clone());
            self.workers.push(eal.launch(lcore, move || {
                let mut worker = plan.build();
                let counters = (Arc::clone(worker.pipeline().counters()), Arc::clone(worker.counters()));
                // Whoever started this has given up if it is not listening.
                let _ = ready.send((index, counters));
                drop(ready);
                run(&mut worker, idle, &stop);
            })?);
        }
        if self.workers.len() < workers {
            return Err(StartError::Options("the environment has fewer lcores than the filter has workers"));
        }
        drop(ready);
        let mut counters: Vec<_> = has_begun.iter().collect();
        // A worker that has not begun has panicked: nothing else drops its end of the channel.
        if let Some(missing) = (0..workers).find(|index| !counters.iter().any(|(begun, _)| begun == index)) {
            self.workers.swap_remove(missing).join()?;
        }
        if let Some(panic) = self.failure() {
            return Err(panic.into());
        }
        counters.sort_by_key(|(index, _)| *index);
        Ok(counters.into_iter().map(|(_, counters)| counters).collect())
    }

    fn halt(&mut self) -> Result<(), WorkerPanic> {
        self.stop.request();
        let mut result = Ok(());
        for worker in self.workers.drain(..) {
            result = result.and(worker.join());
        }
        // After the workers, so that who traces sees the last packets.
        self.socket = None;
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(panic) = self.halt() {
            tracing::error!("{panic}");
        }
    }
}

/// What all workers have in common.
struct Shared {
    dictionary: Dictionary,
    settings: Arc<ArcSwap<Settings>>,
    pools: Pools,
    timebase: Timebase,
}

/// Where a worker counts.
type Counters = (Arc<VerdictCounters>, Arc<WorkerCounters>);

/// DPDK's environment for these options.
fn environment(options: &FilterOptions) -> EalConfig {
    let MemoryOptions { hugepages, mib, .. } = options.memory;
    let pci = options.ports.iter().filter_map(|port| match &port.device {
        Device::Pci { arguments, .. } => Some(arguments.clone()),
        Device::Virtual(_) => None,
    });
    EalConfig {
        worker_cpus: cores::choose(options.workers.count, options.workers.cores.as_deref()),
        memory: if hugepages { Memory::Hugepages { mib } } else { Memory::Ordinary { mib } },
        pci_devices: pci.collect(),
        telemetry: options.dpdk.telemetry,
        file_prefix: options.dpdk.name.clone(),
        log_sink: Box::new(crate::log::dpdk),
        raw_arguments: options.dpdk.arguments.clone(),
        ..EalConfig::default()
    }
}

/// Where traces can be asked for.
fn control_socket(
    options: ControlSocketOptions,
    traces: &Arc<TraceDesk>,
    observer: &Arc<Observer>,
) -> Result<Option<ControlSocket>, StartError> {
    let Some(path) = options.path else { return Ok(None) };
    let observer = Arc::downgrade(observer);
    let status = move || observer.upgrade().map_or(Value::Null, |observer| observer.to_json());
    match ControlSocket::open(ControlOptions { path, traces: Arc::clone(traces), status: Box::new(status) }) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if options.is_required => Err(error.into()),
        Err(error) => {
            tracing::warn!("{error}; until then `photongate trace` does not reach this filter");
            Ok(None)
        }
    }
}

impl PeerOptions {
    fn into_entry(self, workers: usize, timebase: &Timebase) -> Entry {
        let limit = Limit::from_settings(&self.limit, timebase.unix());
        Entry::new(Arc::new(PeerState::new(self.key, limit, workers)), self.keys)
    }
}

fn random_seed() -> Result<[u64; 2], StartError> {
    Ok([getrandom::u64().map_err(StartError::Random)?, getrandom::u64().map_err(StartError::Random)?])
}
