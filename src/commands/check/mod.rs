//! `photongate check`: is the configuration all right, and is the machine, without starting anything?

mod config;
mod host;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::config::FilterConfig;
use crate::failure::Failure;
use crate::output;
use crate::problems;
use host::Finding;

/// Check a configuration, or this machine, without starting anything
///
/// Reports every problem at once: of a configuration, and of the list of peers that it names, with line, column and what to do; of
/// the machine with the command that fixes it. A warning does not make the check fail.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate check --config config/filter.toml
    photongate check --host
    sudo photongate check --host --config config/filter.toml

With both, the machine is checked for what this configuration needs. Run it as the user that will run the filter.")]
pub(crate) struct Arguments {
    /// The configuration of a filter, to be checked
    #[arg(long, value_name = "FILE", required_unless_present = "host")]
    config: Option<PathBuf>,

    /// Check this machine: hugepages, locked memory, IOMMU, drivers, NUMA, kernel interfaces, clock
    #[arg(long)]
    host: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks what is asked for, and prints what was found.
///
/// # Errors
/// The configuration or the machine cannot be used as it is.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = arguments.config.as_deref().map(|path| (path, FilterConfig::load(path)));
    let config = loaded.as_ref().and_then(|(_, config)| config.as_ref().ok());
    let machine = host::Machine::new(Path::new("/"));
    let findings = arguments.host.then(|| host::check(&machine, config));
    let outcome = Outcome { loaded, findings };
    if arguments.json { outcome.print_json() } else { outcome.print_text() }
}

/// What the checks that were asked for have found.
struct Outcome<'a> {
    loaded: Option<(&'a Path, Result<FilterConfig, photongate_net::config::Problems>)>,
    findings: Option<Vec<Finding>>,
}

impl Outcome<'_> {
    fn print_text(&self) -> Result<(), Failure> {
        let mut text = String::new();
        let mut complaints = Vec::new();
        match &self.loaded {
            Some((path, Ok(loaded))) => text.push_str(&config::summary(path, loaded)),
            Some((_, Err(problems))) => complaints.push(problems::complaint(problems)),
            None => (),
        }
        if let Some(findings) = &self.findings {
            text.push_str(&host::report(findings));
            complaints.extend(host::complaint(findings));
        }
        output::print(&text)?;
        if complaints.is_empty() { Ok(()) } else { Err(Failure::bad_input(complaints.join("\n"))) }
    }

    fn print_json(&self) -> Result<(), Failure> {
        let mut object = Map::new();
        object.insert("ok".to_owned(), self.is_ok().into());
        match &self.loaded {
            Some((path, Ok(loaded))) => object.insert("config".to_owned(), config::summary_json(path, loaded)),
            Some((_, Err(problems))) => object.insert("problems".to_owned(), problems::to_json(problems.iter())),
            None => None,
        };
        if let Some(findings) = &self.findings {
            let findings = findings.iter().map(Finding::to_json);
            object.insert(
                "host".to_owned(),
                json!({ "ok": self.host_is_ok(), "findings": findings.collect::<Vec<_>>() }),
            );
        }
        output::print(&format!("{:#}\n", Value::Object(object)))?;
        // The object has said everything: only the exit status is left.
        if self.is_ok() { Ok(()) } else { Err(Failure::bad_input("")) }
    }

    fn is_ok(&self) -> bool {
        self.host_is_ok() && self.loaded.as_ref().is_none_or(|(_, config)| config.is_ok())
    }

    fn host_is_ok(&self) -> bool {
        self.findings.as_ref().is_none_or(|findings| host::complaint(findings).is_none())
    }
}
