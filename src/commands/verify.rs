//! `photongate verify`: what a filter would have done with the packets of a capture file.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use photongate_net::Shutdown;
use photongate_pipeline::{Action, DropReason, Outcome, Verdict};
use photongate_wire::{Nanos, UnixNanos};

use crate::config::FilterConfig;
use crate::failure::Failure;
use crate::glance;
use crate::packet_line::{PacketLine, Time};
use crate::verify::{Arrival, Capture, Judge, Record};
use crate::whole_file::WholeFile;

/// Show what a filter would have done with each packet of a capture
///
/// Runs the filter's own packet path over a pcap or pcapng file of Ethernet packets, in the order of the file, without
/// DPDK and without privileges. Each packet is judged at the time it was captured: with the keys of that time, its rate
/// limits, and the duplicates seen before it in the capture.
///
/// Prints one line per packet (number, time, verdict, reason, peer, source, destination, length), then how often each
/// verdict occurred, on standard error. Two things a filter does are left out: a fragment is refused even where
/// `outbound.fragments` is "reassemble", and a port's own Ethernet address, which only the device knows, is replaced by
/// 02:00:00:00:00:00 and up.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate verify capture.pcap --config filter.toml
    photongate verify capture.pcap --config filter.toml --only dropped
    photongate verify capture.pcap --config filter.toml --json | jq 'select(.reason == \"bad_mac\")'
    tcpdump -i eth0 -w - | photongate verify - --config filter.toml --port outside

Exit status: 0 whatever the verdicts are; 2 if the capture or the configuration cannot be read.")]
pub(crate) struct Arguments {
    /// The capture: pcap or pcapng, or `-` for standard input
    capture: PathBuf,

    /// The configuration of the filter
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Judge all packets at this time instead of that of their capture: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<UnixNanos>,

    /// The port of the configuration that the packets arrived by. By default the direction of each packet is told by
    /// the packet, as on a port of the role `auto`, wherever the capture was taken
    #[arg(long, value_name = "NAME")]
    port: Option<String>,

    /// Print one JSON object per line
    #[arg(long)]
    json: bool,

    /// Keep what would have been forwarded, as it would leave, in this pcap file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// Print only the packets with this verdict, or dropped for this reason; may be given several times
    #[arg(long, value_name = "VERDICT|REASON", value_delimiter = ',', value_parser = PossibleValuesParser::new(words()), hide_possible_values = true)]
    only: Vec<String>,
}

/// Judges the packets of the capture, and prints what comes out.
///
/// # Errors
/// The configuration or the capture cannot be read, or the output cannot be written. What was read before is printed.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = FilterConfig::load(&arguments.config).map_err(Failure::bad_input)?;
    let shutdown = Shutdown::install().map_err(at_run_time)?;
    let mut capture = Capture::open(&arguments.capture).map_err(bad_input)?;
    let first = capture.next_record();
    let first_time = first.as_ref().ok().and_then(Option::as_ref).and_then(|record| record.time);
    let start = first_time.or(arguments.at).unwrap_or_default();
    let mut verification = Verification {
        arguments,
        judge: Judge::new(&config, arguments.port.as_deref(), start).map_err(bad_input)?,
        lines: Lines::to_stdout(),
        forwarded: arguments.write.as_deref().map(forwarded_file).transpose().map_err(at_run_time)?,
        cut: 0,
    };
    let mut next = first;
    let outcome = loop {
        match next {
            Err(error) => break Err(bad_input(error.context(arguments.capture.display().to_string()))),
            Ok(None) => break Ok(()),
            Ok(Some(_)) if shutdown.requested() => break Err(Failure::at_run_time("photongate: interrupted")),
            Ok(Some(record)) => match verification.examine(&record) {
                Ok(()) if verification.is_heard() => next = capture.next_record(),
                outcome => break outcome,
            },
        }
    };
    verification.conclude().and(outcome)
}

/// A capture on its way through the pipeline.
struct Verification<'a> {
    arguments: &'a Arguments,
    judge: Judge,
    lines: Lines,
    forwarded: Option<PcapWriter<WholeFile>>,
    /// Packets of which the capture holds only a part.
    cut: u64,
}

impl Verification<'_> {
    fn examine(&mut self, record: &Record) -> Result<(), Failure> {
        let now = self.arguments.at.or(record.time).ok_or_else(|| {
            let number = record.number;
            Failure::bad_input(format!("photongate: record {number} of the capture has no time: give one with --at"))
        })?;
        let captured = record.time.unwrap_or(now);
        let (outcome, frame) = self.judge.judge(Arrival { frame: &record.data, captured, now });
        if let Some(file) = self.forwarded.as_mut().filter(|_| outcome.action == Action::Forward) {
            let packet = PcapPacket::new(Duration::from_nanos(captured.0), frame.len() as u32, frame);
            file.write_packet(&packet).map_err(at_run_time)?;
        }
        self.cut += u64::from(record.is_cut());
        if self.is_wanted(outcome.verdict) {
            let line = self.line(record, captured, now, &outcome);
            self.lines.print(&line, self.arguments.json)?;
        }
        Ok(())
    }

    fn is_wanted(&self, verdict: Verdict) -> bool {
        let only = &self.arguments.only;
        only.is_empty()
            || only.iter().any(|word| word == verdict.name() || verdict.reason().is_some_and(|r| word == r.name()))
    }

    fn line<'l>(&mut self, record: &Record, captured: UnixNanos, now: UnixNanos, outcome: &Outcome) -> PacketLine<'l> {
        let timestamp = glance::timestamp(&record.data, &self.judge.settings().lf);
        let skew_ns = timestamp.and_then(|timestamp| self.judge.age(outcome, timestamp, now));
        let (source, destination) = glance::addresses(&record.data).unzip();
        let notes = self.notes(record, outcome, skew_ns);
        PacketLine {
            n: record.number,
            time: Time(captured),
            verdict: outcome.verdict.name().into(),
            reason: outcome.verdict.reason().map(|reason| reason.name().into()),
            peer: outcome.peer.map(|peer| peer.to_string().into()),
            source,
            destination,
            length: record.original_len,
            skew_ns,
            explanation: outcome.verdict.reason().map(DropReason::explanation),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }

    /// What a person who wonders about the verdict should know.
    fn notes(&self, record: &Record, outcome: &Outcome, skew_ns: Option<i64>) -> Vec<String> {
        let mut notes = Vec::new();
        if record.is_cut() {
            notes.push(format!("the capture holds only {} bytes of it", record.data.len()));
        }
        if outcome.verdict == Verdict::Dropped(DropReason::FragmentOutbound) && self.judge.settings().reassemble {
            notes.push("the filter puts fragments together first, verify does not".to_owned());
        }
        if let (Some(DropReason::TimestampTooOld | DropReason::TimestampInFuture), Some(skew_ns)) =
            (outcome.verdict.reason(), skew_ns)
        {
            let direction = if skew_ns < 0 { "after" } else { "before" };
            notes.push(format!("sent {} {direction} its arrival", Nanos(skew_ns.unsigned_abs())));
        }
        match outcome.action {
            Action::Reply => notes.push("the sender is told by ICMP".to_owned()),
            Action::Kernel => notes.push("for the kernel".to_owned()),
            Action::Forward | Action::Discard => {}
        }
        notes
    }

    /// Whether there is any use in going on.
    fn is_heard(&self) -> bool {
        !self.lines.closed || self.forwarded.is_some()
    }

    /// Finishes all output, after an error too: what was judged before stays.
    fn conclude(mut self) -> Result<(), Failure> {
        self.lines.flush()?;
        if let Some(file) = self.forwarded.take() {
            file.into_writer().finish().map_err(at_run_time)?;
        }
        if !self.arguments.json {
            // Nobody is left to tell if standard error is closed.
            let _ = io::stderr().write_all(self.summary().as_bytes());
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let tally = self.judge.tally();
        let row = |name: &str, packets: u64, text: &str| {
            format!("{name:<34}{packets:>10}  {text}").trim_end().to_owned() + "\n"
        };
        let mut summary = row("packets", tally.received().packets, "");
        for (verdict, count) in tally.iter().filter(|(verdict, count)| verdict.is_forwarded() && count.packets > 0) {
            summary += &row(&format!("  {}", verdict.name()), count.packets, "");
        }
        if tally.dropped().packets > 0 {
            summary += &row("  dropped", tally.dropped().packets, "");
        }
        for (verdict, count) in tally.iter().filter(|(_, count)| count.packets > 0) {
            if let Some(reason) = verdict.reason() {
                summary += &row(&format!("    {}", reason.name()), count.packets, reason.explanation());
            }
        }
        if self.cut > 0 {
            let text = "Cut short in the capture, so that they cannot be verified: capture whole packets.";
            summary += &row("cut short", self.cut, text);
        }
        summary
    }
}

/// Standard output, until nobody reads it any more, as under `| head`.
struct Lines {
    output: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Lines {
    fn to_stdout() -> Self {
        Self { output: BufWriter::new(io::stdout().lock()), closed: false }
    }

    fn print(&mut self, line: &PacketLine<'_>, json: bool) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let written = if json {
            serde_json::to_writer(&mut self.output, line).map_err(io::Error::from).and_then(|()| writeln!(self.output))
        } else {
            writeln!(self.output, "{line}")
        };
        self.take_note(written)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.output.flush();
        self.take_note(flushed)
    }

    fn take_note(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => {
                let message = format!("photongate: standard output cannot be written: {error}");
                return Err(Failure::at_run_time(message));
            }
            Ok(()) => {}
        }
        Ok(())
    }
}

fn forwarded_file(path: &Path) -> anyhow::Result<PcapWriter<WholeFile>> {
    let unwritable = |error: &dyn std::fmt::Display| anyhow::anyhow!("{} cannot be written: {error}", path.display());
    let file = WholeFile::create(path).map_err(|error| unwritable(&error))?;
    let header = PcapHeader {
        snaplen: LONGEST_FORWARDED,
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        endianness: Endianness::native(),
        ..PcapHeader::default()
    };
    PcapWriter::with_header(file, header).map_err(|error| unwritable(&error))
}

/// Reads RFC 3339, taken for UTC without an offset, or seconds since 1970.
fn instant(text: &str) -> Result<UnixNanos, String> {
    let seconds = || text.parse::<u64>().ok()?.checked_mul(Nanos::from_secs(1).0);
    let timestamp = || {
        let utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        u64::try_from(text.parse::<Timestamp>().ok().or_else(utc)?.as_nanosecond()).ok()
    };
    let how = "write a time since 1970 like 2026-11-21T03:00:00Z, or seconds since 1970";
    seconds().or_else(timestamp).map(UnixNanos).ok_or_else(|| how.to_owned())
}

/// What `--only` takes: verdicts and reasons.
fn words() -> Vec<&'static str> {
    let forwarded = Verdict::all().filter(|verdict| verdict.is_forwarded()).map(Verdict::name);
    forwarded.chain(["dropped"]).chain(DropReason::ALL.into_iter().map(DropReason::name)).collect()
}

fn bad_input(error: impl Into<anyhow::Error>) -> Failure {
    Failure::bad_input(format!("photongate: {:#}", error.into()))
}

fn at_run_time(error: impl Into<anyhow::Error>) -> Failure {
    Failure::at_run_time(format!("photongate: {:#}", error.into()))
}

/// The longest packet of a capture, and an encapsulation.
const LONGEST_FORWARDED: u32 = 262_144 + 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_a_date_or_as_seconds() {
        let expected = Ok(UnixNanos(1_795_230_000_000_000_000));
        for text in ["2026-11-21T03:00:00Z", "2026-11-21T03:00:00", "2026-11-21T04:00:00+01:00", "1795230000"] {
            assert_eq!(instant(text), expected, "{text}");
        }
        for text in ["", "yesterday", "1969-12-31T23:59:59Z", "99999999999999999999"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_verdict_can_be_asked_for() {
        let words = words();
        for verdict in Verdict::all() {
            assert!(words.contains(&verdict.name()));
            assert!(verdict.reason().is_none_or(|reason| words.contains(&reason.name())));
        }
    }
}
