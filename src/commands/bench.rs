//! `photongate bench`: how fast the packet path is on this machine.

mod crypto;
mod qks;
mod reload;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use photongate_filter::bench::{
    DictParams, DictResults, Direction, Host, PipelineParams, PipelineResults, run_dict, run_pipeline,
};
use photongate_pipeline::Verdict;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;

/// Measures the packet path on this machine, without a network card.
///
/// Cycles are those of the time-stamp counter. Machines are noisy: compare figures of one machine, taken one after the other, by
/// their ratio.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate bench pipeline --payload 64 --direction in
    photongate bench pipeline --payload 64 --direction forward     what receiving and sending alone cost
    photongate bench dict --entries 100000 --json
    photongate bench crypto                                        each kernel in each backend of this machine
    photongate bench reload --peers 100000 --changed 1000
    photongate bench qks --number 1 --concurrency 16")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    Pipeline(PipelineArguments),
    Dict(DictArguments),
    Crypto(crypto::Arguments),
    Reload(reload::Arguments),
    Qks(qks::Arguments),
}

/// The worker loop on one core, over packets in memory: each new, with a valid MAC made beforehand.
#[derive(Args)]
#[command(
    after_long_help = "Example:\n\n    photongate bench pipeline --payload 1400 --direction out --peers 1000 --seconds 5"
)]
struct PipelineArguments {
    /// Bytes behind the inner IP header, which hash and MAC cover.
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    payload: usize,
    /// What the packets are.
    #[arg(long, value_enum, default_value_t = DirectionArgument::In)]
    direction: DirectionArgument,
    /// Peers that the packets come from or go to, at random: 1 to 1,000,000.
    #[arg(long, default_value_t = 10)]
    peers: u32,
    /// How long to go on; making the packets takes part of it.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Packets taken from the port at a time: 1 to 64.
    #[arg(long, default_value_t = 32)]
    burst: usize,
    /// Take memory from hugepages, as in operation with network cards.
    #[arg(long)]
    hugepages: bool,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

/// Look-ups in the key dictionary, beside a writer that replaces entries without pause.
#[derive(Args)]
#[command(after_long_help = "Example:\n\n    photongate bench dict --entries 1000000")]
struct DictArguments {
    /// Entries in the dictionary: 1 to 1,000,000.
    #[arg(long, default_value_t = 50_000)]
    entries: u32,
    /// How long to go on.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Take memory from hugepages, as in operation with network cards.
    #[arg(long)]
    hugepages: bool,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
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
///
/// # Errors
/// A parameter out of range, or a machine that does not offer what is needed.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.bench {
        Bench::Pipeline(arguments) => pipeline(arguments),
        Bench::Dict(arguments) => dict(arguments),
        Bench::Crypto(arguments) => crypto::run(arguments),
        Bench::Reload(arguments) => reload::run(arguments),
        Bench::Qks(arguments) => qks::run(arguments),
    }
}

fn pipeline(arguments: &PipelineArguments) -> Result<(), Failure> {
    let direction = match arguments.direction {
        DirectionArgument::In => Direction::In,
        DirectionArgument::Out => Direction::Out,
        DirectionArgument::InBadMac => Direction::InBadMac,
        DirectionArgument::Forward => Direction::Forward,
    };
    let params = PipelineParams {
        payload_len: arguments.payload,
        direction,
        peers: arguments.peers,
        duration: Duration::from_secs(arguments.seconds),
        burst: arguments.burst,
        hugepages: arguments.hugepages,
    };
    let results = run_pipeline(&params).map_err(|error| refused(&error))?;
    if !arguments.json {
        return output::print(&pipeline_text(&results));
    }
    let params = json!({
        "payload": arguments.payload,
        "direction": arguments.direction.to_possible_value().map(|value| value.get_name().to_owned()),
        "peers": arguments.peers,
        "seconds": arguments.seconds,
        "burst": arguments.burst,
        "hugepages": arguments.hugepages,
    });
    let stages: Map<String, Value> =
        results.stages.iter().map(|(stage, cycles)| (stage.name().to_owned(), rounded(*cycles))).collect();
    let dropped: Map<String, Value> = results
        .tally
        .iter()
        .filter_map(|(verdict, count)| Some((verdict.reason()?.name().to_owned(), count.packets.into())))
        .filter(|(_, packets): &(String, Value)| *packets != 0)
        .collect();
    let forwarded =
        if matches!(direction, Direction::Forward) { results.packets } else { results.tally.forwarded().packets };
    print_json(
        "pipeline",
        &params,
        &results.host,
        &json!({
            "packets_per_second": rounded(results.packets_per_second),
            "cycles_per_packet": rounded(results.cycles_per_packet),
            "cycles_per_packet_min": rounded(results.cycles_per_packet_min),
            "stages": stages,
            "forwarded": forwarded,
            "dropped": dropped,
            "packets": results.packets,
        }),
    )
}

fn pipeline_text(results: &PipelineResults) -> String {
    let mut text = format!(
        "{:>10.1} cycles per packet (median; least {:.1})\n{:>10.3} million packets per second on one core at {:.2} GHz\n",
        results.cycles_per_packet,
        results.cycles_per_packet_min,
        results.packets_per_second / 1e6,
        results.host.tsc_hz as f64 / 1e9,
    );
    let all: f64 = results.stages.iter().map(|(_, cycles)| cycles).sum();
    for (stage, cycles) in &results.stages {
        text += &format!("{cycles:>10.1} {:>5.1} %  {}\n", cycles / all * 100.0, stage.name());
    }
    for (verdict, count) in results.tally.iter().filter(|(_, count)| count.packets > 0) {
        let reason = verdict.reason().map_or_else(|| verdict.name(), photongate_pipeline::DropReason::name);
        text += &format!(
            "{:>10} {}{reason}\n",
            count.packets,
            if matches!(verdict, Verdict::Dropped(_)) { "dropped, " } else { "" }
        );
    }
    text
}

fn dict(arguments: &DictArguments) -> Result<(), Failure> {
    let params = DictParams {
        entries: arguments.entries,
        duration: Duration::from_secs(arguments.seconds),
        hugepages: arguments.hugepages,
    };
    let DictResults { host, cycles_per_lookup, updates_per_second, lookups, missed } =
        run_dict(&params).map_err(|error| refused(&error))?;
    if !arguments.json {
        return output::print(&format!(
            "{cycles_per_lookup:>10.1} cycles per look-up (median over bursts of 32), among {} entries\n\
             {updates_per_second:>10.0} entries replaced per second meanwhile\n\
             {lookups:>10} look-ups, {missed} missed\n",
            arguments.entries,
        ));
    }
    let params = json!({
        "entries": arguments.entries,
        "seconds": arguments.seconds,
        "hugepages": arguments.hugepages,
    });
    print_json(
        "dict",
        &params,
        &host,
        &json!({
            "cycles_per_lookup": rounded(cycles_per_lookup),
            "updates_per_second": rounded(updates_per_second),
            "lookups": lookups,
            "missed": missed,
        }),
    )
}

fn refused(error: &photongate_filter::bench::BenchError) -> Failure {
    Failure::bad_input(format!("photongate bench: {error}"))
}

fn print_json(bench: &str, params: &Value, host: &Host, results: &Value) -> Result<(), Failure> {
    let host = json!({ "cpu": host.cpu, "cores": host.cores, "tsc_hz": (host.tsc_hz > 0).then_some(host.tsc_hz), "load": host.load });
    let report = json!({ "bench": bench, "params": params, "host": host, "results": results });
    output::print(&format!("{report}\n"))
}

/// To a tenth: more would feign a precision that there is not.
fn rounded(value: f64) -> Value {
    json!((value * 10.0).round() / 10.0)
}
