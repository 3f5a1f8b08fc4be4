//! `photongate bench crypto`: the cryptography of the packet path, without the packets.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use photongate_crypto::{Backend, backend};
use photongate_filter::bench::{BURSTS, BackendCycles, CryptoParams, Kernel, LENGTHS, run_crypto};
use serde_json::{Map, Value, json};

use super::{print_json, refused};
use crate::failure::Failure;
use crate::output;

/// MACs and hashes on one core, by kernel, backend, size of burst and length.
#[derive(Args)]
#[command(after_long_help = "Example:\n\n    photongate bench crypto --backend avx512")]
pub(super) struct Arguments {
    /// Measure this backend only, instead of all that this machine can run: `auto`, `avx512`, `avx2`, `aesni`, `portable`.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// How long to go on.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let backends: Vec<&'static dyn Backend> = match &arguments.backend {
        Some(name) => {
            vec![backend::by_name(name).map_err(|error| Failure::bad_input(format!("photongate bench: {error}")))?]
        }
        None => backend::available().collect(),
    };
    let params = CryptoParams { backends, duration: Duration::from_secs(arguments.seconds) };
    let results = run_crypto(&params).map_err(|error| refused(&error))?;
    if !arguments.json {
        return output::print(&results.backends.iter().map(text).collect::<String>());
    }
    let backends: Map<String, Value> =
        results.backends.iter().map(|backend| (backend.name.to_owned(), json(backend))).collect();
    let params = json!({ "backend": arguments.backend, "seconds": arguments.seconds });
    print_json("crypto", &params, &results.host, &json!({ "backends": backends }))
}

fn text(backend: &BackendCycles) -> String {
    let mut text = format!("{}: cycles per packet, by packets in a burst\n{:>16}", backend.name, "");
    for burst in BURSTS {
        let _ = write!(text, "{burst:>9}");
    }
    for (kernel, name) in KERNELS {
        for length in lengths(kernel) {
            let name = if *length == 0 { name.to_owned() } else { format!("{name}, {length} B") };
            let _ = write!(text, "\n{name:>16}");
            for burst in BURSTS {
                let cycles = backend.cell(kernel, burst, *length).map_or(0.0, |cell| cell.cycles_per_packet);
                let _ = write!(text, "{cycles:>9.1}");
            }
        }
    }
    text + "\n"
}

/// The names of results that are compared over the years, and every cell.
fn json(backend: &BackendCycles) -> Value {
    let packet = |kernel, length| backend.cell(kernel, USUAL_BURST, length).map(|cell| cell.cycles_per_packet);
    let byte = |kernel, length: usize| packet(kernel, length).map(|cycles| thousandths(cycles / length as f64));
    let cells: Vec<Value> = backend
        .cells
        .iter()
        .map(|cell| {
            json!({
                "kernel": KERNELS.iter().find(|(kernel, _)| *kernel == cell.kernel).map(|(_, name)| name),
                "burst": cell.burst,
                "length": cell.length,
                "cycles_per_packet": thousandths(cell.cycles_per_packet),
            })
        })
        .collect();
    json!({
        "derive_mac_cycles_per_packet": packet(Kernel::DeriveMac, 0).map(thousandths),
        "sha1_cycles_per_byte": byte(Kernel::Sha1, USUAL_LENGTH),
        "cmac_cycles_per_byte": byte(Kernel::Cmac, USUAL_LENGTH),
        "cells": cells,
    })
}

fn lengths(kernel: Kernel) -> &'static [usize] {
    if kernel == Kernel::DeriveMac { &[0] } else { &LENGTHS }
}

/// A tenth of a cycle is a third of what a byte costs.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

const KERNELS: [(Kernel, &str); 3] =
    [(Kernel::DeriveMac, "derive_mac"), (Kernel::Sha1, "sha1"), (Kernel::Cmac, "cmac")];

/// What the single figures are of.
const USUAL_BURST: usize = 32;
const USUAL_LENGTH: usize = 1400;
