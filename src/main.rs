//! `photongate`: the program. Reads its arguments, runs one command, and says with its exit status how that went.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
#[cfg(feature = "dataplane")]
mod demo;
mod failure;
mod glance;
mod line_socket;
mod logging;
mod management;
mod numbers;
mod output;
mod packet_line;
mod problems;
mod reach;
#[cfg(any(feature = "dataplane", test))]
mod reload;
mod serving;
mod settings;
mod verify;
mod whole_file;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
