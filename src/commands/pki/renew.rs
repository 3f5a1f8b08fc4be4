//! `photongate pki renew`: replace what ends soon.

use clap::Args;
use photongate_net::pki::Renewal;
use photongate_wire::Nanos;

use super::{Subject, now, report};
use crate::failure::Failure;

/// Renew the certificates that end soon
///
/// Also those that are over already, or are not what the site file says; and makes those that are missing. Each file is replaced whole,
/// and keys stay the same unless asked otherwise. Processes take new files up when they reload. The authority itself is not renewed.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate pki renew site.toml
    photongate pki renew site.toml --before 30 --new-key

Exit status: 0 if every certificate is good now; 1 if the authority ends soon; 2 if the files cannot be made or used.")]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,

    /// Renew those that end within so many days; without it, those of which less than a third of their days is left
    #[arg(long, value_name = "DAYS")]
    before: Option<u16>,

    /// Make new keys, too
    #[arg(long)]
    new_key: bool,
}

/// Renews them, and prints what was done.
///
/// # Errors
/// The site file has mistakes, or files cannot be made.
pub(super) fn run(Arguments { subject, before, new_key }: &Arguments) -> Result<(), Failure> {
    let before = before.map(|days| Nanos::from_secs(u64::from(days) * 24 * 60 * 60));
    let renewal = Renewal { before, new_keys: *new_key };
    let reports = subject.pki()?.renew(now(), renewal).map_err(Failure::bad_input)?;
    report::print(subject, &reports)
}
