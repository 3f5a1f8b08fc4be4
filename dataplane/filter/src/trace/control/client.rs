//! One client of the control socket.

use crate::keys::unix_now;
use crate::trace::RECORDS;
use crate::trace::control::Shared;
use crate::trace::record::Record;
use crate::trace::request::{Plan, Request, TraceRequest};
use crate::trace::writer::TraceWriter;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Reads the client's request and does what it asks for. Whatever goes wrong, the client learns it, or is gone.
pub(super) fn serve(stream: &UnixStream, shared: &Shared) {
    if let Err(error) = try_to_serve(stream, shared) {
        tracing::debug!(%error, "a client of the control socket is gone");
    }
}

/// Tells a client that it is not served.
pub(super) fn refuse(stream: &UnixStream, why: &str) {
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let _ = answer(&mut &*stream, &json!({ "error": why }));
}

fn try_to_serve(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(REQUEST_TIME))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut output = Patient { stream, stopping: &shared.stopping };
    let request = match read_request(stream) {
        Ok(request) => request,
        Err(why) => return answer(&mut output, &json!({ "error": why })),
    };
    match request {
        Request::Status => answer(&mut output, &json!({ "ok": true, "status": (shared.status)() })),
        Request::Trace(request) => trace(stream, output, &request, shared),
    }
}

/// Reads one line, and says what is wrong with it.
fn read_request(stream: &UnixStream) -> Result<Request, String> {
    let started = Instant::now();
    let (mut line, mut chunk) = (Vec::new(), [0; 1024]);
    while !line.contains(&b'\n') {
        if line.len() > LONGEST_REQUEST || started.elapsed() > REQUEST_TIME {
            return Err(format!("the request must be one line of up to {LONGEST_REQUEST} bytes"));
        }
        match (&mut &*stream).read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("the request cannot be read: {error}")),
        }
    }
    let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
    serde_json::from_slice(&line[..end]).map_err(|error| format!("the request cannot be understood: {error}"))
}

fn trace(stream: &UnixStream, mut output: Patient<'_>, request: &TraceRequest, shared: &Shared) -> io::Result<()> {
    let plan = match request.plan() {
        Ok(plan) => plan,
        Err(error) => return answer(&mut output, &json!({ "error": error.to_string() })),
    };
    let Some(trace) = shared.tracer.start(&plan) else {
        return answer(&mut output, &json!({ "error": "as many traces run already as can at the same time" }));
    };
    answer(&mut output, &json!({ "ok": true }))?;
    let mut writer = TraceWriter::new(BufWriter::with_capacity(BUFFER, output), &shared.ports, plan.snap_len)?;
    let mut end = End::new(stream, &shared.stopping, &plan);
    let pass_on = |writer: &mut TraceWriter<_>, end: &mut End<'_>| {
        let written = trace.take(|record| {
            end.count(record);
            writer.write(record)
        });
        written.transpose().map(|written| written.is_some())
    };
    while !end.has_come() {
        if !pass_on(&mut writer, &mut end)? {
            writer.flush()?;
            end.wait();
        }
    }
    // What is on its way belongs to the trace, too; but as long as the workers run, more comes for ever.
    let mut on_its_way = RECORDS;
    while on_its_way > 0 && !end.is_full() && pass_on(&mut writer, &mut end)? {
        on_its_way -= 1;
    }
    // A trace that is full lacks nothing that came behind its last packet.
    let left_out = if end.is_full() { end.left_out } else { trace.left_out() };
    writer.finish(left_out, unix_now()).map(drop)
}

/// When a trace ends: at one of its bounds, with the filter, or when the client wants no more.
struct End<'s> {
    stream: &'s UnixStream,
    stopping: &'s AtomicBool,
    deadline: Option<Instant>,
    packets: u64,
    bytes: u64,
    /// Packets that were left out before the last one counted.
    left_out: u64,
    next_look: Instant,
}

impl<'s> End<'s> {
    fn new(stream: &'s UnixStream, stopping: &'s AtomicBool, plan: &Plan) -> Self {
        let now = Instant::now();
        let deadline = plan.duration.and_then(|duration| now.checked_add(duration));
        Self { stream, stopping, deadline, packets: plan.packets, bytes: plan.bytes, left_out: 0, next_look: now }
    }

    /// Takes a packet off the bounds.
    fn count(&mut self, record: &Record) {
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(record.bytes().len() as u64);
        self.left_out = record.left_out_before;
    }

    /// Whether the trace has as many packets, or bytes, as were asked for.
    fn is_full(&self) -> bool {
        self.packets == 0 || self.bytes == 0
    }

    fn has_come(&mut self) -> bool {
        if self.is_full() {
            return true;
        }
        let now = Instant::now();
        if now < self.next_look {
            return false;
        }
        self.next_look = now + IDLE;
        self.stopping.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|deadline| deadline <= now)
            || self.client_wants_no_more(Duration::ZERO)
    }

    /// Lets some time pass in which packets may come.
    fn wait(&mut self) {
        if self.client_wants_no_more(IDLE) {
            // The next look finds out, at once.
            self.next_look = Instant::now();
        }
    }

    /// Whether the client has closed its sending side, or all of the connection, at the latest after `wait`.
    fn client_wants_no_more(&self, wait: Duration) -> bool {
        let mut watched = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        // A client has nothing to say after its request, so whatever comes is the end.
        poll(&mut watched, timeout).is_ok_and(|ready| ready > 0)
    }
}

/// Writes to a client that may be slow, but not longer than the filter runs.
struct Patient<'s> {
    stream: &'s UnixStream,
    stopping: &'s AtomicBool,
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&mut &*self.stream).write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.stopping.load(Ordering::Relaxed) => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answer(output: &mut impl Write, answer: &Value) -> io::Result<()> {
    writeln!(output, "{answer}")
}

/// How long a client may take for its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: usize = 16 << 10;

/// How long a write waits before it asks whether the filter stops.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long a trace sleeps when there are no packets, and how often it looks up otherwise.
const IDLE: Duration = Duration::from_millis(10);

const BUFFER: usize = 64 << 10;
