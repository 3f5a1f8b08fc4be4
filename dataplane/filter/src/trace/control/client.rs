//! One client of the control socket.

use crate::trace::control::Shared;
use crate::trace::request::{Request, TraceRequest};
use crate::trace::session::{self, Audience};
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
    let (plan, trace) = match shared.traces.open(request) {
        Ok(opened) => opened,
        Err(error) => return answer(&mut output, &json!({ "error": error.to_string() })),
    };
    answer(&mut output, &json!({ "ok": true }))?;
    let output = BufWriter::with_capacity(BUFFER, output);
    let audience = Client { stream, stopping: &shared.stopping };
    session::run(&trace, &plan, shared.traces.ports(), output, &audience).map(drop)
}

/// Whether the client still listens.
struct Client<'s> {
    stream: &'s UnixStream,
    stopping: &'s AtomicBool,
}

impl Audience for Client<'_> {
    /// The client has had enough when it has closed its sending side, or all of the connection.
    fn has_enough(&self, wait: Duration) -> bool {
        let mut watched = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        // A client has nothing to say after its request, so whatever comes is the end.
        self.stopping.load(Ordering::Relaxed) || poll(&mut watched, timeout).is_ok_and(|ready| ready > 0)
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

const BUFFER: usize = 64 << 10;
