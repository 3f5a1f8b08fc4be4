//! `photongate aslist apply`: put a list into force.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use photongate_agent::api::Changes;
use photongate_agent::as_list::Format;
use photongate_agent::client::{Bytes, Client, ClientError, StatusCode};

use super::changes;
use crate::commands::status;
use crate::failure::{Failure, remark};
use crate::management::{self, Filter, Reach, print_json};
use crate::output;

/// Put a list of peers into force in a running filter
///
/// Shows first what changes, and asks if there is somebody at a terminal. The list takes effect whole or not at all, and no packet is
/// lost. Nothing is changed if another list came into force since the comparison: two operators cannot overwrite each other's work.
///
/// The filter keeps the list over restarts, until the file that its configuration names (`as_list.file`) becomes another: what is to last
/// belongs there too. A filter whose peers stand in filter.toml itself takes no list.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate aslist show > new.toml && $EDITOR new.toml
    photongate aslist apply new.toml --dry-run
    sudo photongate aslist apply new.toml
    sudo photongate aslist apply new.json --if-generation 7 --yes --json

Exit status: 0 if the list is in force, or was before; 1 if the filter refuses it, or you do; 2 if the filter cannot be asked or the
file cannot be read.")]
pub(crate) struct Arguments {
    /// The list: TOML, or JSON if its name ends in .json
    file: PathBuf,

    #[command(flatten)]
    reach: Reach,

    /// Only show what would change
    #[arg(long)]
    dry_run: bool,

    /// Change nothing unless this generation is in force
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Print what changed as one JSON object
    #[arg(long)]
    json: bool,
}

/// Compares the list with the one in force, and puts it in its place.
///
/// # Errors
/// The list is refused, somebody was faster, or the filter cannot be asked.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.file.display();
    let list = fs::read(&arguments.file)
        .map_err(|error| Failure::bad_input(format!("photongate: {path} cannot be read: {error}")))?;
    let (list, format) = (Bytes::from(list), Format::of_file(&arguments.file));
    let filter = arguments.reach.filter()?;

    let planned = filter.ask(|client| check(client, list.clone(), format))?;
    if arguments.if_generation.is_some_and(|expected| expected != planned.generation) {
        return Err(conflict(&filter)?);
    }
    let is_all = arguments.dry_run || changes::are_none(&planned);
    if arguments.json && is_all {
        return print_json(&planned);
    }
    if !arguments.json {
        output::print(&changes::in_words(&planned))?;
    }
    if is_all {
        let why = if arguments.dry_run { "this was a dry run" } else { "the list is in force already" };
        remark(&format!("nothing was changed: {why} (generation {})", planned.generation));
        return Ok(());
    }
    management::confirm(&format!("Replace generation {}?", planned.generation), arguments.yes)?;
    let done = match filter.run(|client| replace(client, list, format, planned.generation)) {
        Err(error) if error.status() == Some(StatusCode::PRECONDITION_FAILED) => return Err(conflict(&filter)?),
        done => done.map_err(|error| management::failure(&error))?,
    };
    if arguments.json {
        return print_json(&done);
    }
    output::print(&format!("{}generation {} is in force\n", changes::missing_keys(&done), done.generation))
}

async fn check(client: Client, list: Bytes, format: Format) -> Result<Changes, ClientError> {
    client.check_as_list(list, format).await
}

async fn replace(client: Client, list: Bytes, format: Format, generation: u64) -> Result<Changes, ClientError> {
    client.replace_as_list(list, format, generation).await
}

/// Another list is in force than was expected: which, and what to do.
fn conflict(filter: &Filter) -> Result<Failure, Failure> {
    let in_force = filter.ask(|client| async move { client.as_list_in_force().await })?;
    Ok(Failure::at_run_time(format!(
        "photongate: nothing was changed: another list has come into force meanwhile: {}\n\
         Take up what it changes (`photongate aslist show`), and apply yours again",
        status::as_list(&in_force, Timestamp::now())
    )))
}
