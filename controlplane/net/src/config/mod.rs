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
mod long_list;
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

use zeroize::Zeroizing;

pub use format::Format;
pub use problem::{Place, Position, Problem, Problems};
pub use report::Reported;
pub use section::Section;
pub use value::{FromValue, Located, Value};

use long_list::LongList;
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
    let long_list = if format == Format::Toml { LongList::at_end_of(text) } else { None };
    let table = match (format, &long_list) {
        (Format::Json, _) => json::parse(&report),
        (Format::Toml, None) => report.part(0..text.len()),
        (Format::Toml, Some(list)) => report.part(0..list.start()),
    };
    let config = match (&table, &long_list) {
        // The text gives the list in another way, too, which is a mistake that is found by reading it at once.
        (Ok(table), Some(list)) if table.contains_key(list.name) => {
            report.part(0..text.len()).and_then(|table| Section::root(&report, &table, None).read(read))
        }
        (Ok(table), _) => Section::root(&report, table, long_list.as_ref()).read(read),
        (Err(reported), _) => Err(*reported),
    };
    report.conclude(config)
}

#[cfg(test)]
mod tests;
