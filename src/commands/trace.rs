//! `photongate trace`: packets of a running filter with their verdicts.

mod blocks;
mod shown;

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown as Side;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use photongate_filter::trace::{Request, TraceRequest};
use photongate_net::Shutdown;
use photongate_pipeline::{DropReason, Verdict};
use serde_json::Value;

use crate::config::DEFAULT_SOCKET;
use crate::failure::Failure;
use crate::numbers::duration;
use crate::whole_file::WholeFile;

use blocks::{Block, Blocks};
use shown::Shown;

/// Show packets of a running filter, and why they were dropped
///
/// Prints one line per packet (number, time, verdict, reason, peer, source, destination, length), or writes pcapng with
/// the verdict as a comment of each packet, which Wireshark shows and filters (`frame.comment contains "bad_mac"`).
/// Packets are shown as they arrived. The filter never waits for a trace: packets that come too fast for it are left
/// out, and counted at the end.
///
/// Reasons are named as in the filter's counters: bad_mac, duplicate, timestamp_too_old and so on.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate trace --verdict dropped
    sudo photongate trace --reason bad_mac --reason bad_hash --count 100
    sudo photongate trace --sample 1000 --duration 10s --write sample.pcapng
    sudo photongate trace --snap-len 9728 --write - | tshark -r - -Y 'frame.comment contains \"duplicate\"'

Ctrl-C ends a trace in order. Exit status: 0; 1 if the filter ended meanwhile; 2 if there is none, or the output
cannot be written.")]
pub(crate) struct Arguments {
    /// The control socket of the filter
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,

    /// Packets with this verdict; may be given several times
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_parser = PossibleValuesParser::new(verdicts()))]
    verdict: Vec<String>,

    /// Packets dropped for this reason; may be given several times
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = PossibleValuesParser::new(reasons()), hide_possible_values = true)]
    reason: Vec<String>,

    /// One in N packets, chosen at random before their verdicts are known
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,

    /// End after N packets
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// End after this time, like 500ms, 10s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Bytes to keep of each packet
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=9_728))]
    snap_len: u32,

    /// Write pcapng to this file, which appears when the trace is complete, or to standard output with `-`
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Asks the filter for a trace, and passes it on until it ends.
///
/// # Errors
/// No filter answers, or the output cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let shutdown = Shutdown::install().map_err(|error| bad_input(format!("signals cannot be handled: {error}")))?;
    let mut output = Output::open(arguments.write.as_deref()).map_err(|error| arguments.unwritable(&error))?;
    let stream = start(arguments)?;
    let mut blocks = Blocks::new(stream);
    let (mut packets, mut left_out, mut told) = (0_u64, None, false);
    let outcome = loop {
        if shutdown.requested() && !told {
            // The filter then sends what it still has, and the end of the file.
            let _ = blocks.stream().get_ref().shutdown(Side::Write);
            told = true;
        }
        match blocks.next_block() {
            Ok(None) => break Ok(()),
            Ok(Some(block)) => {
                packets += u64::from(block.is_packet());
                left_out = left_out.or(block.left_out());
                match output.write(&block) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    Err(error) => return Err(arguments.unwritable(&error)),
                    Ok(()) => {}
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => break Err(at_run_time(format!("the filter cannot be heard any more: {error}"))),
        }
    };
    output.finish().map_err(|error| arguments.unwritable(&error))?;
    outcome?;
    let Some(left_out) = left_out else {
        return Err(at_run_time("the filter has ended, and the trace with it"));
    };
    let lost = if left_out > 0 { format!(", and {left_out} more came too fast for the trace") } else { String::new() };
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(io::stderr(), "{packets} packets{lost}");
    Ok(())
}

impl Arguments {
    fn unwritable(&self, error: &io::Error) -> Failure {
        let file = self.write.as_deref().filter(|path| path.as_os_str() != "-");
        let output = file.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        bad_input(format!("{output} cannot be written: {error}"))
    }
}

/// Connects to the filter, and has it start the trace.
fn start(arguments: &Arguments) -> Result<BufReader<UnixStream>, Failure> {
    let path = arguments.socket.display();
    let stream = UnixStream::connect(&arguments.socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            bad_input(format!("no filter listens at {path}: start one with `photongate filter`"))
        }
        ErrorKind::PermissionDenied => {
            bad_input(format!("{path} may not be opened: run this as the user that runs the filter, or with sudo"))
        }
        _ => bad_input(format!("{path} cannot be opened: {error}")),
    })?;
    let unusable = |error: io::Error| bad_input(format!("the filter at {path} does not answer: {error}"));
    let mut line = serde_json::to_vec(&Request::Trace(request(arguments))).expect("a request is valid JSON");
    line.push(b'\n');
    (&stream).write_all(&line).map_err(unusable)?;
    stream.set_read_timeout(Some(ANSWER_TIME)).map_err(unusable)?;
    let mut answer = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut answer).map_err(unusable)?;
    reader.get_ref().set_read_timeout(Some(LOOK_AROUND)).map_err(unusable)?;
    let answer: Value = serde_json::from_str(&answer).map_err(|error| unusable(error.into()))?;
    match answer["error"].as_str() {
        Some(error) => Err(bad_input(error)),
        None => Ok(reader),
    }
}

fn request(arguments: &Arguments) -> TraceRequest {
    TraceRequest {
        verdicts: arguments.verdict.clone(),
        reasons: arguments.reason.clone(),
        sample: arguments.sample,
        packets: Some(arguments.count),
        duration_ms: arguments.duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        snap_len: arguments.snap_len,
        ..TraceRequest::default()
    }
}

/// Where the trace goes.
enum Output {
    /// Text on standard output.
    Text(Shown),
    /// pcapng on standard output.
    Stdout(File),
    File(WholeFile),
}

impl Output {
    fn open(write: Option<&Path>) -> io::Result<Self> {
        match write {
            None => Ok(Self::Text(Shown::default())),
            Some(path) if path.as_os_str() == "-" => stdout().map(Self::Stdout),
            Some(path) => WholeFile::create(path).map(Self::File),
        }
    }

    fn write(&mut self, block: &Block) -> io::Result<()> {
        match self {
            Self::Text(shown) => match shown.line(block) {
                Some(line) => writeln!(io::stdout(), "{line}"),
                None => Ok(()),
            },
            Self::Stdout(stdout) => stdout.write_all(block.bytes()),
            Self::File(file) => file.write_all(block.bytes()),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Text(_) | Self::Stdout(_) => Ok(()),
            Self::File(file) => file.finish(),
        }
    }
}

/// Standard output without the buffer by line, which looks for line ends in what has none.
fn stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

fn verdicts() -> Vec<&'static str> {
    let forwarded = Verdict::all().filter(|verdict| verdict.is_forwarded()).map(Verdict::name);
    forwarded.chain(["dropped"]).collect()
}

fn reasons() -> impl Iterator<Item = &'static str> {
    DropReason::ALL.into_iter().map(DropReason::name)
}

fn bad_input(error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("photongate: {error}"))
}

fn at_run_time(error: impl std::fmt::Display) -> Failure {
    Failure::at_run_time(format!("photongate: {error}"))
}

/// A filter that is there answers at once.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How soon a signal is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(100);
