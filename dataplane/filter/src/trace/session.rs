//! One trace from its first packet to its last, whoever it is for.

use crate::trace::record::Record;
use crate::trace::request::{InvalidTrace, Plan, TraceRequest};
use crate::trace::writer::TraceWriter;
use crate::trace::{RECORDS, Trace, Tracer};
use photongate_net::now;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where traces are asked for.
#[derive(Debug)]
pub struct TraceDesk {
    tracer: Arc<Tracer>,
    /// The names of the ports, in the order of the settings.
    ports: Vec<String>,
}

/// How a trace ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSummary {
    /// Packets in it.
    pub packets: u64,
    /// Packets that should have been in it, but came too fast.
    pub left_out: u64,
}

/// Why there is no trace, or only the beginning of one.
#[derive(Debug, thiserror::Error)]
pub enum TraceFailure {
    /// The request makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidTrace),
    /// There is no place for another trace.
    #[error("as many traces run already as can at the same time")]
    TooMany,
    /// The output cannot be written.
    #[error("the trace cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl TraceDesk {
    /// A desk for traces of packets at these ports.
    pub fn new(tracer: Arc<Tracer>, ports: Vec<String>) -> Self {
        Self { tracer, ports }
    }

    /// Writes a trace as pcapng to `output`, until one of its bounds is reached or `stop` is set. Blocks meanwhile.
    ///
    /// # Errors
    /// [`TraceFailure`].
    pub fn record(
        &self,
        request: &TraceRequest,
        output: &mut dyn Write,
        stop: &AtomicBool,
    ) -> Result<TraceSummary, TraceFailure> {
        let (plan, trace) = self.open(request)?;
        Ok(run(&trace, &plan, &self.ports, output, stop)?)
    }

    /// Begins a trace.
    pub(super) fn open(&self, request: &TraceRequest) -> Result<(Plan, Trace<'_>), TraceFailure> {
        let plan = request.plan()?;
        let trace = self.tracer.start(&plan).ok_or(TraceFailure::TooMany)?;
        Ok((plan, trace))
    }

    pub(super) fn ports(&self) -> &[String] {
        &self.ports
    }
}

/// Whoever a trace is for.
pub(super) trait Audience {
    /// Whether it wants no more. Waits at most so long for it to say so.
    fn has_enough(&self, wait: Duration) -> bool;
}

impl Audience for AtomicBool {
    fn has_enough(&self, wait: Duration) -> bool {
        if !wait.is_zero() && !self.load(Ordering::Relaxed) {
            std::thread::sleep(wait);
        }
        self.load(Ordering::Relaxed)
    }
}

/// Writes a trace from its beginning to its end.
pub(super) fn run(
    trace: &Trace<'_>,
    plan: &Plan,
    ports: &[String],
    output: impl Write,
    audience: &impl Audience,
) -> io::Result<TraceSummary> {
    let mut writer = TraceWriter::new(output, ports, plan.snap_len)?;
    let mut end = End::new(plan);
    let pass_on = |writer: &mut TraceWriter<_>, end: &mut End| {
        let written = trace.take(|record| {
            end.count(record);
            writer.write(record)
        });
        written.transpose().map(|written| written.is_some())
    };
    while !end.has_come(audience) {
        if !pass_on(&mut writer, &mut end)? {
            writer.flush()?;
            end.wait(audience);
        }
    }
    // What is on its way belongs to the trace, too; but as long as the workers run, more comes for ever.
    let mut on_its_way = RECORDS;
    while on_its_way > 0 && !end.is_full() && pass_on(&mut writer, &mut end)? {
        on_its_way -= 1;
    }
    // A trace that is full lacks nothing that came behind its last packet.
    let left_out = if end.is_full() { end.left_out } else { trace.left_out() };
    writer.finish(left_out, now())?;
    Ok(TraceSummary { packets: end.written, left_out })
}

/// When a trace ends: at one of its bounds, or when its audience has enough.
struct End {
    deadline: Option<Instant>,
    written: u64,
    packets_left: u64,
    bytes_left: u64,
    /// Packets that were left out before the last one counted.
    left_out: u64,
    next_look: Instant,
}

impl End {
    fn new(plan: &Plan) -> Self {
        let now = Instant::now();
        let deadline = plan.duration.and_then(|duration| now.checked_add(duration));
        let (packets_left, bytes_left) = (plan.packets, plan.bytes);
        Self { deadline, written: 0, packets_left, bytes_left, left_out: 0, next_look: now }
    }

    /// Takes a packet off the bounds.
    fn count(&mut self, record: &Record) {
        self.written += 1;
        self.packets_left = self.packets_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(record.bytes().len() as u64);
        self.left_out = record.left_out_before;
    }

    /// Whether the trace has as many packets, or bytes, as were asked for.
    fn is_full(&self) -> bool {
        self.packets_left == 0 || self.bytes_left == 0
    }

    fn has_come(&mut self, audience: &impl Audience) -> bool {
        if self.is_full() {
            return true;
        }
        let now = Instant::now();
        if now < self.next_look {
            return false;
        }
        self.next_look = now + IDLE;
        self.deadline.is_some_and(|deadline| deadline <= now) || audience.has_enough(Duration::ZERO)
    }

    /// Lets some time pass in which packets may come.
    fn wait(&mut self, audience: &impl Audience) {
        if audience.has_enough(IDLE) {
            // The next look finds out, at once.
            self.next_look = Instant::now();
        }
    }
}

/// How long a trace sleeps when there are no packets, and how often it looks up otherwise.
const IDLE: Duration = Duration::from_millis(10);
