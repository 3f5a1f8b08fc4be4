//! `photongate pki`: a private authority and the certificates of a site, in files.

mod init;
mod renew;
mod report;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use photongate_net::now;
use photongate_net::pki::{Pki, Site};

use crate::failure::{Failure, remark};
use crate::problems;

/// Make and renew the certificates of a site, with a private authority
///
/// A site file says who gets a certificate: each key server, application, filter, administrator, with its role and hosts. The
/// authority and the certificates are made from it, as files in one folder. For trials, and for sites that have no authority of
/// their own; docs/operations/pki.md has an example and says what to keep where.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate pki init site.toml
    photongate pki show site.toml
    photongate pki renew site.toml --before 30")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Arguments),
    Renew(renew::Arguments),
    Show(show::Arguments),
}

/// Runs the subcommand.
///
/// # Errors
/// As the subcommand.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Init(arguments) => init::run(arguments),
        Command::Renew(arguments) => renew::run(arguments),
        Command::Show(arguments) => show::run(arguments),
    }
}

/// What all of them work on.
#[derive(Args)]
struct Subject {
    /// The site file: TOML, or JSON if its name ends in .json
    #[arg(value_name = "SITE_FILE")]
    site: PathBuf,

    /// The folder of the authority and the certificates
    #[arg(long, value_name = "FOLDER", default_value = "pki")]
    out: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Subject {
    /// The certificates that the site file asks for, in their folder.
    fn pki(&self) -> Result<Pki, Failure> {
        let loaded = Site::load(&self.site).map_err(|found| Failure::bad_input(problems::complaint(&found)))?;
        loaded.warnings.iter().for_each(|warning| remark(&format!("warning: {warning}")));
        Ok(Pki::new(loaded.config, &self.out))
    }
}
