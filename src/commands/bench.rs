//! `photongate bench`: how fast the packet path is on this machine, and those who serve it.

mod crypto;
mod dht;
mod pipeline;
mod px;
mod qks;
mod reload;

use std::time::Duration;

use clap::{Args, Subcommand};
use photongate_filter::bench::{DictParams, DictResults, Host, run_dict};
use serde_json::{Value, json};

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
    photongate bench pipeline --suite                              a table of many cases, with ratios
    photongate bench dict --entries 100000 --json
    photongate bench crypto                                        each kernel in each backend of this machine
    photongate bench reload --peers 100000 --changed 1000
    photongate bench qks --number 1 --concurrency 16
    photongate bench px --clients 64                               beside etcd, if it is installed
    photongate bench dht --nodes 100                               a network of real nodes")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    Pipeline(pipeline::Arguments),
    Dict(DictArguments),
    Crypto(crypto::Arguments),
    Reload(reload::Arguments),
    Qks(qks::Arguments),
    Px(px::Arguments),
    Dht(dht::Arguments),
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

/// Runs the command.
///
/// # Errors
/// A parameter out of range, or a machine that does not offer what is needed.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.bench {
        Bench::Pipeline(arguments) => pipeline::run(arguments),
        Bench::Dict(arguments) => dict(arguments),
        Bench::Crypto(arguments) => crypto::run(arguments),
        Bench::Reload(arguments) => reload::run(arguments),
        Bench::Qks(arguments) => qks::run(arguments),
        Bench::Px(arguments) => px::run(arguments),
        Bench::Dht(arguments) => dht::run(arguments),
    }
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
