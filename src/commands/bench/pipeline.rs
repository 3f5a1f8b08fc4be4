//! `photongate bench pipeline`: cycles per packet, of one case or of a table of them.

mod suite;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use photongate_filter::bench::{Attack, Direction, PipelineParams, PipelineResults, Session, Size, Source};
use photongate_pipeline::{DropReason, Encapsulation, Verdict};
use serde_json::{Map, Value, json};

use super::{print_json, refused, rounded};
use crate::failure::Failure;
use crate::output;

/// The worker loop on one core or several, over packets in memory: each new, with a valid MAC made beforehand.
///
/// docs/performance.md tells how to read the figures.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate bench pipeline --payload 1400 --direction out --peers 1000 --seconds 5
    photongate bench pipeline --size imix --bad-mac 50 --replays 10
    photongate bench pipeline --workers 2 --peers 100000
    photongate bench pipeline --encapsulation lf2 --payload 1400
    photongate bench pipeline --write-pcap frames.pcap
    photongate bench pipeline --source pcap:frames.pcap
    photongate bench pipeline --suite --json")]
pub(super) struct Arguments {
    /// Bytes behind the inner IP header, which hash and MAC cover.
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    payload: usize,
    /// The same, or `imix`: of twelve packets seven of 64 bytes, four of 570, one of 1,400.
    #[arg(long, value_name = "BYTES|imix", value_parser = size, conflicts_with = "payload")]
    size: Option<Size>,
    /// What the packets are.
    #[arg(long, value_enum, default_value_t = DirectionArgument::In)]
    direction: DirectionArgument,
    /// What packets are put into: LightningFilter's header, or ours.
    #[arg(long, value_enum, default_value_t = EncapsulationArgument::Lf)]
    encapsulation: EncapsulationArgument,
    /// Per cent of inbound packets that have a wrong MAC.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    bad_mac: u8,
    /// Per cent of inbound packets that were sent before.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    replays: u8,
    /// Per cent of inbound packets whose headers make no sense.
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    malformed: u8,
    /// Peers that the packets come from or go to, at random: 1 to 1,000,000.
    #[arg(long, default_value_t = 10)]
    peers: u32,
    /// Workers, each on a processor of its own, all at the same time.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Where packets come from: `fresh`, or `pcap:FILE` for those of a capture file, again and again, without a duplicate
    /// filter.
    #[arg(long, default_value = "fresh", value_parser = source)]
    source: Source,
    /// Write 1,024 of the packets into a capture file, and measure nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "suite")]
    write_pcap: Option<PathBuf>,
    /// Measure a table of cases one after the other (sizes, directions, encapsulations, peers, workers), and say which of our goals they
    /// reach.
    #[arg(long, conflicts_with_all = ["payload", "size", "direction", "encapsulation", "peers", "workers", "source", "bad_mac", "replays", "malformed"])]
    suite: bool,
    /// How long to go on, for each case; making the packets takes part of it.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Packets taken from the port at a time: 1 to 64.
    #[arg(long, default_value_t = 64)]
    burst: usize,
    /// Take memory from hugepages, as in operation with network cards.
    #[arg(long)]
    hugepages: bool,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum EncapsulationArgument {
    Lf,
    Lf2,
}

#[derive(Clone, Copy, ValueEnum)]
enum DirectionArgument {
    /// Authenticated packets of the peers.
    In,
    /// Packets to the peers.
    Out,
    /// Packets with a wrong MAC.
    InBadMac,
    /// No pipeline, only receive and send: the floor.
    Forward,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.suite {
        return suite::run(arguments);
    }
    let params = arguments.params();
    let session = Session::new(params.workers, params.size.longest(), arguments.hugepages);
    let mut session = session.map_err(|error| refused(&error))?;
    if let Some(path) = &arguments.write_pcap {
        return session.write_pcap(&params, PACKETS_IN_FILE, path).map_err(|error| refused(&error));
    }
    let results = session.run(&params).map_err(|error| refused(&error))?;
    if !arguments.json {
        return output::print(&text(&params, &results));
    }
    print_json("pipeline", &describe(&params, arguments), &results.host, &figures(&params, &results))
}

impl Arguments {
    fn params(&self) -> PipelineParams {
        PipelineParams {
            size: self.size.unwrap_or(Size::Fixed(self.payload)),
            direction: match self.direction {
                DirectionArgument::In => Direction::In,
                DirectionArgument::Out => Direction::Out,
                DirectionArgument::InBadMac => Direction::InBadMac,
                DirectionArgument::Forward => Direction::Forward,
            },
            encapsulation: match self.encapsulation {
                EncapsulationArgument::Lf => Encapsulation::Lf,
                EncapsulationArgument::Lf2 => Encapsulation::Lf2,
            },
            attack: Attack { bad_mac: self.bad_mac, replays: self.replays, malformed: self.malformed },
            peers: self.peers,
            workers: self.workers,
            source: self.source.clone(),
            duration: Duration::from_secs(self.seconds),
            burst: self.burst,
        }
    }
}

fn row(params: &PipelineParams, results: &PipelineResults) -> String {
    format!(
        "{:>10.1} cycles  {:>8.3} Mpps  {:<10} {:<3} {:>5}  {:>7} peers  {} worker{}\n",
        results.cycles_per_packet,
        results.packets_per_second / 1e6,
        direction_name(params.direction),
        params.encapsulation.name(),
        size_name(params.size),
        params.peers,
        params.workers,
        if params.workers == 1 { "" } else { "s" },
    )
}

fn describe(params: &PipelineParams, arguments: &Arguments) -> Value {
    let payload = match params.size {
        Size::Fixed(bytes) => json!(bytes),
        Size::Imix => json!("imix"),
    };
    let source = match &params.source {
        Source::Fresh => "fresh".to_owned(),
        Source::Pcap(file) => format!("pcap:{}", file.display()),
    };
    json!({
        "payload": payload,
        "direction": direction_name(params.direction),
        "encapsulation": params.encapsulation.name(),
        "bad_mac": params.attack.bad_mac,
        "replays": params.attack.replays,
        "malformed": params.attack.malformed,
        "peers": params.peers,
        "workers": params.workers,
        "source": source,
        "duplicate_filter": params.source == Source::Fresh,
        "seconds": arguments.seconds,
        "burst": params.burst,
        "hugepages": arguments.hugepages,
    })
}

fn figures(params: &PipelineParams, results: &PipelineResults) -> Value {
    let stages: Map<String, Value> =
        results.stages.iter().map(|(stage, cycles)| (stage.name().to_owned(), rounded(*cycles))).collect();
    let dropped: Map<String, Value> = results
        .tally
        .iter()
        .filter_map(|(verdict, count)| Some((verdict.reason()?.name().to_owned(), count.packets.into())))
        .filter(|(_, packets): &(String, Value)| *packets != 0)
        .collect();
    let forwarded = match params.direction {
        Direction::Forward => results.packets,
        Direction::In | Direction::Out | Direction::InBadMac => results.tally.forwarded().packets,
    };
    json!({
        "packets_per_second": rounded(results.packets_per_second),
        "cycles_per_packet": rounded(results.cycles_per_packet),
        "cycles_per_packet_min": rounded(results.cycles_per_packet_min),
        "stages": stages,
        "forwarded": forwarded,
        "dropped": dropped,
        "packets": results.packets,
    })
}

fn text(params: &PipelineParams, results: &PipelineResults) -> String {
    let mut text = format!(
        "{:>10.1} cycles per packet (median; least {:.1})\n{:>10.3} million packets per second on {} at {:.2} GHz\n",
        results.cycles_per_packet,
        results.cycles_per_packet_min,
        results.packets_per_second / 1e6,
        if params.workers == 1 { "one core".to_owned() } else { format!("{} cores", params.workers) },
        results.host.tsc_hz as f64 / 1e9,
    );
    if params.source != Source::Fresh {
        text += "           without a duplicate filter, since the packets repeat\n";
    }
    let all: f64 = results.stages.iter().map(|(_, cycles)| cycles).sum();
    for (stage, cycles) in &results.stages {
        text += &format!("{cycles:>10.1} {:>5.1} %  {}\n", cycles / all * 100.0, stage.name());
    }
    for (verdict, count) in results.tally.iter().filter(|(_, count)| count.packets > 0) {
        let reason = verdict.reason().map_or_else(|| verdict.name(), DropReason::name);
        let dropped = if matches!(verdict, Verdict::Dropped(_)) { "dropped, " } else { "" };
        text += &format!("{:>10} {dropped}{reason}\n", count.packets);
    }
    text
}

fn size(text: &str) -> Result<Size, String> {
    match text {
        "imix" => Ok(Size::Imix),
        bytes => bytes.parse().map(Size::Fixed).map_err(|_| "a number of bytes, or `imix`".to_owned()),
    }
}

fn source(text: &str) -> Result<Source, String> {
    match (text, text.strip_prefix("pcap:")) {
        ("fresh", _) => Ok(Source::Fresh),
        (_, Some(file)) if !file.is_empty() => Ok(Source::Pcap(file.into())),
        _ => Err("`fresh`, or `pcap:FILE`".to_owned()),
    }
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::InBadMac => "in-bad-mac",
        Direction::Forward => "forward",
    }
}

fn size_name(size: Size) -> String {
    match size {
        Size::Fixed(bytes) => bytes.to_string(),
        Size::Imix => "imix".to_owned(),
    }
}

/// Different enough that no hash or branch can learn them by heart.
const PACKETS_IN_FILE: usize = 1024;
