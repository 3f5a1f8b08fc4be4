//! `photongate pki init`: make what is missing.

use clap::Args;

use super::{Subject, now, report};
use crate::failure::Failure;

/// Make the authority and the certificates that are missing
///
/// Nothing that is there is written over, so that it can be run again whenever the site file has grown. A certificate that ends soon, or
/// is not what the site file says, is left as it is and named.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate pki init site.toml
    photongate pki init site.toml --out /etc/photongate/pki --json

Exit status: 0 if every certificate is good; 1 if one should be renewed; 2 if the files cannot be made or used.")]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,
}

/// Makes them, and prints what was done.
///
/// # Errors
/// The site file has mistakes; files cannot be made; or something should be renewed.
pub(super) fn run(Arguments { subject }: &Arguments) -> Result<(), Failure> {
    let reports = subject.pki()?.init(now()).map_err(Failure::bad_input)?;
    report::print(subject, &reports)
}
