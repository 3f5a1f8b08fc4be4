//! What was done about certificates and how they stand, for people and for programs.

use std::fmt::Write;

use jiff::Timestamp;
use photongate_net::pki::{Action, Report, Standing};
use photongate_wire::UnixNanos;
use serde_json::{Value, json};

use super::Subject;
use crate::failure::Failure;
use crate::output;

/// Prints the reports.
///
/// # Errors
/// A certificate is not good: the message says what to do.
pub(super) fn print(subject: &Subject, reports: &[Report]) -> Result<(), Failure> {
    output::print(&if subject.json { json_text(subject, reports) } else { text(reports) })?;
    if reports.iter().all(|report| report.standing == Standing::Good) {
        return Ok(());
    }
    Err(Failure::at_run_time(if subject.json { String::new() } else { advice(subject, reports) }))
}

fn text(reports: &[Report]) -> String {
    let width = reports.iter().map(|report| report.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for report in reports {
        let role = report.wanted.as_ref().map_or_else(|| "authority".to_owned(), |wanted| wanted.role.to_string());
        let until = report.info.as_ref().map_or_else(|| "-".to_owned(), |info| time(info.not_after));
        let standing = standing(&report.standing);
        let (action, name) = (action(report), &report.name);
        let _ = writeln!(text, "{action:<8} {name:<width$}  {role:<9}  until {until:<20}  {standing}");
    }
    text
}

fn json_text(subject: &Subject, reports: &[Report]) -> String {
    let certificates: Vec<Value> = reports.iter().map(certificate).collect();
    format!("{:#}\n", json!({ "folder": subject.out.to_string_lossy(), "certificates": certificates }))
}

fn certificate(report: &Report) -> Value {
    let (wanted, info) = (report.wanted.as_ref(), report.info.as_ref());
    json!({
        "name": report.name,
        "role": wanted.map(|wanted| wanted.role.to_string()),
        "hosts": wanted.map(|wanted| wanted.hosts.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "certificate": report.certificate.to_string_lossy(),
        "key": report.key.to_string_lossy(),
        "action": action(report),
        "good": report.standing == Standing::Good,
        "standing": standing(&report.standing),
        "serial": info.map(|info| &info.serial),
        "fingerprint": info.map(|info| info.fingerprint.to_string()),
        "not_before": info.map(|info| time(info.not_before)),
        "not_after": info.map(|info| time(info.not_after)),
    })
}

/// What to do about those that are not good.
fn advice(subject: &Subject, reports: &[Report]) -> String {
    let bad = |report: &&Report| report.standing != Standing::Good;
    let mut advice = String::new();
    if let Some(authority) = reports.iter().filter(bad).find(|report| report.wanted.is_none()) {
        let _ = match authority.standing {
            Standing::Missing => writeln!(advice, "there is no authority in {}", subject.out.display()),
            Standing::Good | Standing::Bad(_) => writeln!(
                advice,
                "the authority {}: make another one in a new folder, and have both believed until its end",
                standing(&authority.standing)
            ),
        };
    }
    let (missing, due): (Vec<_>, Vec<_>) = reports
        .iter()
        .filter(bad)
        .filter(|report| report.wanted.is_some())
        .partition(|report| report.standing == Standing::Missing);
    for (reports, command) in [(missing, "init"), (due, "renew")] {
        if !reports.is_empty() {
            let (site, out) = (subject.site.display(), subject.out.display());
            let count = reports.len();
            let _ = writeln!(advice, "{count} to {command}: photongate pki {command} {site} --out {out}");
        }
    }
    advice.trim_end().to_owned()
}

fn action(report: &Report) -> &'static str {
    match report.action {
        Action::Made => "made",
        Action::Renewed => "renewed",
        Action::Kept if report.standing == Standing::Missing => "none",
        Action::Kept => "kept",
    }
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Missing => "missing".to_owned(),
        Standing::Good => "good".to_owned(),
        Standing::Bad(fault) => fault.to_string(),
    }
}

/// To the second, in UTC.
fn time(time: UnixNanos) -> String {
    let seconds = i64::try_from(time.0 / 1_000_000_000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}
