//! Configuration files: TOML or JSON in, one typed value out, or every mistake at once.
//!
//! A reader asks a [`Section`] for its fields. Each answer is a `Result` whose error, [`Reported`], can only be made
//! by reporting a [`Problem`]; so a reader asks for all fields first and gives up afterwards, and nobody can give up
//! silently. Fields that no reader asked for are unknown fields, and are reported too.
//!
//! ```
//! use photongate_net::config::{self, Reported, Section};
//! use photongate_wire::Nanos;
//!
//! struct Probe { target: String, every: Nanos, attempts: u8 }
//!
//! fn read_probe(probe: &mut Section<'_>) -> Result<Probe, Reported> {
//!     let target = probe.required("target");
//!     let every = probe.or("every", Nanos::from_secs(5));
//!     let attempts = probe.or_with("attempts", 3, |attempts| attempts.number(1..=10, "attempts"));
//!     Ok(Probe { target: target?, every: every?, attempts: attempts? })
//! }
//!
//! let text = "[probe]\nevery = 5\nattempts = 20\n";
//! let loaded = config::read_text("probe.toml".as_ref(), text, |root| root.section("probe", read_probe));
//! let problems = loaded.err().unwrap();
//! assert_eq!(problems.to_string(), r#"probe.toml:1:1: probe.target: missing: add target = "text"
//! probe.toml:2:9: probe.every: 5 has no unit: write a whole number and a unit (ns, us, ms, s, m, h, d), like "500ms"
//! probe.toml:3:12: probe.attempts: 20 is too large: 1 to 10 attempts"#);
//! ```

mod format;
mod json;
mod kinds;
mod known;
mod path;
mod problem;
mod report;
mod secret;
mod section;
mod suggest;
mod value;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;
use zeroize::Zeroizing;

pub use format::Format;
pub use problem::{Place, Position, Problem, Problems};
pub use report::Reported;
pub use section::Section;
pub use value::{FromValue, Located, Value};

use report::Report;

/// A configuration that was read without a mistake.
#[derive(Debug)]
pub struct Loaded<T> {
    /// What the reader made of the file.
    pub config: T,
    /// What works, yet is hardly meant so.
    pub warnings: Vec<Problem>,
    /// Every field the reader asked for, like `ports[].mtu`: what a reference must describe.
    pub fields: BTreeSet<String>,
}

/// Reads the file at `path` with `read`, as what its name says it is written in.
///
/// # Errors
/// All problems of the file, in its order: one if it cannot be opened, else its syntax errors, else what `read` reports.
pub fn read_file<T>(
    path: &Path,
    read: impl FnOnce(&mut Section<'_>) -> Result<T, Reported>,
) -> Result<Loaded<T>, Problems> {
    // A configuration may hold secrets, so its text is wiped once it has been read.
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => return Err(Problem::of_file(path, format!("cannot be read: {error}")).into()),
    };
    read_as(Format::of_file(path), path, &text, read)
}

/// Reads `text`, TOML, with `read`, as the content of a file at `path`.
///
/// # Errors
/// As [`read_file`].
pub fn read_text<T>(
    path: &Path,
    text: &str,
    read: impl FnOnce(&mut Section<'_>) -> Result<T, Reported>,
) -> Result<Loaded<T>, Problems> {
    read_as(Format::Toml, path, text, read)
}

/// Reads `text` with `read`, as the content of a file at `path`.
///
/// # Errors
/// As [`read_file`].
pub fn read_as<T>(
    format: Format,
    path: &Path,
    text: &str,
    read: impl FnOnce(&mut Section<'_>) -> Result<T, Reported>,
) -> Result<Loaded<T>, Problems> {
    let report = Report::new(path, text, format);
    let table = match format {
        Format::Toml => toml_table(&report),
        Format::Json => json::parse(&report),
    };
    let config = match &table {
        Ok(table) => Section::root(&report, table).read(read),
        Err(reported) => Err(*reported),
    };
    report.conclude(config)
}

fn toml_table<'d>(report: &Report<'d>) -> Result<DeTable<'d>, Reported> {
    let text = report.text();
    let (table, errors) = if text.len() <= LONGEST_RECOVERABLE {
        DeTable::parse_recoverable(text)
    } else {
        match DeTable::parse(text) {
            Ok(table) => (table, Vec::new()),
            Err(error) => (Spanned::new(0..0, DeTable::new()), vec![error]),
        }
    };
    if report.syntax_errors(&errors) && (errors.is_empty() || text.len() <= LONGEST_RECOVERABLE) {
        Ok(table.into_inner())
    } else {
        Err(Reported::earlier())
    }
}

/// In a longer text only the first syntax error is reported: every two bytes may be one, and each takes a hundred bytes of memory.
const LONGEST_RECOVERABLE: usize = 1 << 20;

#[cfg(test)]
mod tests;
