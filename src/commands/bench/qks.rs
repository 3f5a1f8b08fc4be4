//! `photongate bench qks`: how many keys two key servers hand out, and how many requests the same HTTP stack could answer at all.

mod ceiling;
mod load;
mod site;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use photongate_filter::bench::Host;
use photongate_qks::sae::KeyRequest;
use serde_json::{Value, json};

use super::print_json;
use crate::failure::Failure;
use crate::output;

use load::{Phase, Work};
use site::Site;

/// Two key servers on this machine, and applications that ask the one for keys and the other for the same keys
///
/// Everything is as in operation: processes of their own, mutual TLS, a database on disk, and nothing handed out before it is there.
/// Beside it, in the same run, stands the ceiling: the same server that answers every request with the same keys.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate bench qks --number 1 --size 256 --concurrency 16
    photongate bench qks --number 100 --concurrency 16 --stock 10000000 --json
    photongate bench qks --concurrency 16 --new-connections")]
pub(super) struct Arguments {
    /// Keys in a request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    number: u16,
    /// Size of a key, in bits.
    #[arg(long, default_value_t = 256)]
    size: u32,
    /// Requests that are under way at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// Keys in stock when it begins.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    stock: u64,
    /// How long each part goes on at most.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Make a new connection for every request.
    #[arg(long)]
    new_connections: bool,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// Be the server that the ceiling is measured with.
    #[arg(long, hide = true, value_name = "FOLDER")]
    serve_ceiling: Option<PathBuf>,
}

/// Runs the benchmark.
///
/// # Errors
/// A parameter that makes no sense, or servers that do not do their work.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let failed = |error: anyhow::Error| Failure::at_run_time(format!("photongate bench: {error:#}"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads").map_err(failed)?;
    if let Some(folder) = &arguments.serve_ceiling {
        return runtime.block_on(ceiling::serve(folder, arguments.number, arguments.size)).map_err(failed);
    }
    let results = runtime.block_on(measure(arguments)).map_err(failed)?;
    if !arguments.json {
        return output::print(&text(&results));
    }
    let Arguments { number, size, concurrency, stock, new_connections, .. } = arguments;
    let params = json!({
        "number": number, "size": size, "concurrency": concurrency, "stock": stock, "new_connections": new_connections,
    });
    print_json("qks", &params, &Host::without_cycles(), &results)
}

async fn measure(arguments: &Arguments) -> Result<Value> {
    let Arguments { number, size, concurrency, stock, seconds, new_connections, .. } = *arguments;
    let mut site = Site::new(number, size).await?;
    site.start().await?;
    let begun = Instant::now();
    site.fill(stock).await?;
    let filled = begun.elapsed();
    // Started anew, with the stock in the database.
    site.stop().await?;
    let begun = Instant::now();
    site.start().await?;
    site.wait_for_keys().await?;
    let started = begun.elapsed();

    let work = Work {
        // A quarter of the stock, so that neither end runs out, nor hands blocks over.
        requests: (stock / 4 / u64::from(number) / u64::from(ROUNDS)).max(1),
        time: Duration::from_secs(seconds) / ROUNDS,
        concurrency: concurrency.into(),
        new_connections,
    };
    let request = KeyRequest { number: Some(number.into()), size: Some(size.into()), ..KeyRequest::default() };
    let (_ceiling, stub) = site.start_ceiling(number, size).await?;
    let (master, slave) = (site.master()?, site.slave()?);
    let (mut ceiling, mut enc, mut dec, mut taken) = (Phase::default(), Phase::default(), Phase::default(), 0);
    for _ in 0..ROUNDS {
        ceiling.add(load::enc(&stub, &work, &request).await?.0);
        let (phase, given) = load::enc(&master, &work, &request).await?;
        enc.add(phase);
        let (phase, compared) = load::dec(&slave, &work, &given).await?;
        dec.add(phase);
        taken += compared;
    }
    ensure!(taken > 0, "no key was fetched");
    let resident = site.resident_mib()?;
    site.stop().await?;
    Ok(json!({
        "enc": enc.to_json(number),
        "dec": dec.to_json(number),
        "ceiling": ceiling.to_json(number),
        "keys_equal": true,
        "keys_compared": taken,
        "enc_of_ceiling": ratio(&enc, &ceiling),
        "dec_of_ceiling": ratio(&dec, &ceiling),
        "fill_seconds": filled.as_secs_f64(),
        "start_seconds": started.as_secs_f64(),
        "resident_mib": resident,
    }))
}

fn ratio(phase: &Phase, ceiling: &Phase) -> Value {
    json!((phase.requests_per_second() / ceiling.requests_per_second() * 1e3).round() / 1e3)
}

fn text(results: &Value) -> String {
    results.as_object().into_iter().flatten().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:>16}  {value}");
        text
    })
}

/// What else the machine does is spread over all that is compared: each part is measured in so many pieces, in turn.
const ROUNDS: u32 = 8;
