//! `photongate pki show`: how the certificates stand.

use clap::Args;

use super::{Subject, now, report};
use crate::failure::Failure;

/// Show how the certificates stand
///
/// Changes nothing. A certificate ends soon when less than a third of its days is left. With --json, serial numbers and fingerprints
/// (SHA-256) are told, too.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate pki show site.toml
    photongate pki show site.toml --json

Exit status: 0 if every certificate is good; 1 if one is missing or should be renewed; 2 if the files cannot be used.")]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,
}

/// Prints them.
///
/// # Errors
/// The site file has mistakes; files cannot be used; or something is missing or should be renewed.
pub(super) fn run(Arguments { subject }: &Arguments) -> Result<(), Failure> {
    let reports = subject.pki()?.show(now()).map_err(Failure::bad_input)?;
    report::print(subject, &reports)
}
