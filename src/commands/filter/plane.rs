//! The packet path, as the control plane sees it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use photongate_agent::api::{Count, Port, SkewBucket, TraceRequest, Traffic, Worker};
use photongate_agent::{DictionaryFull, Grace, Observer, Publisher, TraceEnd, TraceError};
use photongate_filter::trace::{self, TraceDesk, TraceFailure};
use photongate_filter::{Control, GracePeriod, PortReport, WorkerReport};
use photongate_pipeline::{Clock, Entry, PeerKey, Settings, Tally};

/// The one who changes what workers see.
pub(crate) struct Plane {
    control: Control,
    /// Grace periods that may not be over, in the order in which they began.
    graces: Vec<(Grace, GracePeriod)>,
    begun: u64,
}

impl Plane {
    pub(crate) fn new(control: Control) -> Self {
        Self { control, graces: Vec::new(), begun: 0 }
    }
}

impl Publisher for Plane {
    fn workers(&self) -> usize {
        self.control.workers()
    }

    fn clock(&self) -> Clock {
        self.control.clock()
    }

    fn publish(&mut self, entries: Vec<Entry>) -> Result<(), DictionaryFull> {
        let mut full = Vec::new();
        for entry in entries {
            let peer = entry.peer.key;
            if self.control.publish(entry).is_err() {
                full.push(peer);
            }
        }
        if full.is_empty() { Ok(()) } else { Err(DictionaryFull { peers: full }) }
    }

    fn remove(&mut self, peers: &[PeerKey]) {
        for peer in peers {
            self.control.remove(*peer);
        }
    }

    fn settings(&self) -> Arc<Settings> {
        self.control.settings()
    }

    fn replace_settings(&mut self, settings: Settings) {
        self.control.replace_settings(settings);
    }

    fn begin_grace(&mut self) -> Grace {
        self.begun += 1;
        let grace = Grace(self.begun);
        self.graces.push((grace, self.control.begin_grace()));
        grace
    }

    fn is_over(&mut self, grace: Grace) -> bool {
        let Self { control, graces, .. } = self;
        graces.retain(|(_, period)| !control.is_over(*period));
        graces.iter().all(|(waiting, _)| *waiting != grace)
    }
}

/// The one who reads what the packet path counts.
pub(crate) struct Gauges {
    observer: Arc<photongate_filter::Observer>,
    traces: Arc<TraceDesk>,
}

impl Gauges {
    pub(crate) fn new(observer: Arc<photongate_filter::Observer>, traces: Arc<TraceDesk>) -> Self {
        Self { observer, traces }
    }
}

impl Observer for Gauges {
    fn workers(&self) -> Vec<Worker> {
        self.observer.report().workers.iter().enumerate().map(|(index, report)| worker(index, report)).collect()
    }

    fn ports(&self) -> Vec<Port> {
        self.observer.report().ports.into_iter().map(port).collect()
    }

    fn tally(&self) -> Tally {
        self.observer.report().tally()
    }

    fn trace(&self, request: &TraceRequest, output: &mut dyn Write, stop: &AtomicBool) -> Result<TraceEnd, TraceError> {
        let TraceRequest { verdicts, reasons, sample, packets, bytes, duration_ms, snap_len } = request.clone();
        let request = trace::TraceRequest { verdicts, reasons, sample, packets, bytes, duration_ms, snap_len };
        match self.traces.record(&request, output, stop) {
            Ok(summary) => Ok(TraceEnd { packets: summary.packets, left_out: summary.left_out }),
            Err(TraceFailure::Invalid(error)) => Err(TraceError::Invalid(error.to_string())),
            Err(TraceFailure::TooMany) => Err(TraceError::TooMany),
            Err(TraceFailure::Write(error)) => Err(TraceError::Write(error)),
        }
    }
}

fn worker(index: usize, report: &WorkerReport) -> Worker {
    let skew = &report.skew;
    let counts = skew.accepted.counts.iter().zip(&skew.refused.counts);
    let buckets = skew.bounds_ns.iter().zip(counts).map(|(bound, (accepted, refused))| SkewBucket {
        up_to_ms: bound.map(|bound| bound as f64 / 1e6),
        accepted: *accepted,
        refused: *refused,
    });
    Worker {
        index,
        busy_cycles: report.busy_cycles,
        all_cycles: report.all_cycles,
        traffic: Traffic::from(&report.tally),
        handoff_lost: report.handoff_lost,
        unsuitable: report.unsuitable,
        icmp_replies: report.icmp_replies,
        clock_skew: buckets.collect(),
        accepted_skew_sum_ms: skew.accepted.sum_ns as f64 / 1e6,
        refused_skew_sum_ms: skew.refused.sum_ns as f64 / 1e6,
        duplicate_filter_load: report.duplicate_load,
        // How it has been lately is for whoever looks twice.
        polling: false,
        busy: 0.0,
    }
}

fn port(report: PortReport) -> Port {
    let stats = report.stats.unwrap_or_default();
    Port {
        name: report.name,
        received: Count { packets: stats.received_packets, bytes: stats.received_bytes },
        sent: Count { packets: stats.sent_packets, bytes: stats.sent_bytes },
        missed: stats.missed,
        without_buffer: stats.without_buffer,
        transmit_lost: report.transmit_lost,
        to_kernel: report.to_kernel,
        to_kernel_lost: report.to_kernel_lost,
        from_kernel: report.from_kernel,
    }
}
