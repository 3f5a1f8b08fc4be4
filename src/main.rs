//! `photongate`: the program. Reads its arguments, runs one command, and says with its exit status how that went.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
mod failure;
mod output;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
