//! The configuration file of a running filter: read at the start, and anew when it is asked for.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use photongate_agent::api::AsListOrigin;
use photongate_agent::as_list::{AsList, Context, SecretFiles};
use photongate_agent::sealed::SealedStore;
use photongate_agent::{Configuration, ConfiguredList, InitialList, ReloadRefused, Reread, list_digest};
use photongate_net::config::Problems;
use photongate_pipeline::{Clock, Settings};
use zeroize::Zeroizing;

use crate::config::{FilterConfig, ListSource};
use crate::reload;

/// A configuration file, and what it said when it was last put in force. Its peers are not kept here.
pub(super) struct ConfigurationFile {
    path: PathBuf,
    running: FilterConfig,
    /// What was read last, to be in force soon.
    read: Option<FilterConfig>,
}

impl ConfigurationFile {
    /// Takes what was read from the file at `path` after `begun`, and chooses the list of peers to begin with, which may be the one
    /// that `store` has from before.
    ///
    /// # Errors
    /// All problems of the file, or those of the list if there is none to begin with instead.
    pub(super) fn load(
        path: PathBuf,
        store: &SealedStore,
        config: FilterConfig,
        list_problems: Option<Problems>,
        begun: SystemTime,
    ) -> Result<(Self, InitialList), Problems> {
        let mut config = config;
        let list = std::mem::take(&mut config.peers);
        let configured = ConfiguredList {
            source: source(&config.as_list, &list, begun),
            origin: origin(&path, &config.as_list),
            list: list_problems.map_or(Ok(list), Err),
        };
        let context = Context { secret_files: SecretFiles::Trust, ..config.list_context() };
        let initial = InitialList::choose(configured, Some(store), &context).map_err(|error| error.0)?;
        Ok((Self { path, running: config, read: None }, initial))
    }

    /// What the file said, but for its peers.
    pub(super) fn config(&self) -> &FilterConfig {
        &self.running
    }
}

impl Configuration for ConfigurationFile {
    fn reread(&mut self, settings: &Settings, clock: Clock) -> Result<Reread, ReloadRefused> {
        let begun = SystemTime::now();
        let mut new = FilterConfig::load(&self.path).map_err(ReloadRefused::Invalid)?;
        let list = std::mem::take(&mut new.peers);
        let plan = reload::plan(&self.running, &new, settings, clock.monotonic);
        let plan = plan.map_err(|needs_restart| ReloadRefused::NeedsRestart(needs_restart.fields))?;
        let reread = Reread {
            settings: plan.settings,
            default_limit: plan.peer_limit.unwrap_or(self.running.limits.peer),
            fields: plan.fields,
            list_source: source(&new.as_list, &list, begun),
            list,
            warnings: new.warnings.iter().map(ToString::to_string).collect(),
        };
        self.read = Some(new);
        Ok(reread)
    }

    fn origin(&self) -> AsListOrigin {
        origin(&self.path, &self.running.as_list)
    }

    fn accept(&mut self) {
        if let Some(read) = self.read.take() {
            self.running = read;
        }
    }
}

/// What tells the list's source from another: its file as it stands, or the peers in the configuration. Empty if it cannot be read,
/// or was written while it was read, which began at `begun`: what stands there now may not be what was read.
fn source(source: &ListSource, list: &AsList, begun: SystemTime) -> Vec<u8> {
    match source {
        ListSource::Inline => list_digest(&list.to_sealable()),
        ListSource::File { path, .. } => {
            let text = fs::read(path).map(Zeroizing::new).unwrap_or_default();
            let written = fs::metadata(path).and_then(|metadata| metadata.modified());
            if written.is_ok_and(|written| written + TICK < begun) { list_digest(&text) } else { Vec::new() }
        }
    }
}

fn origin(configuration: &std::path::Path, source: &ListSource) -> AsListOrigin {
    let path = match source {
        ListSource::Inline => configuration,
        ListSource::File { path, .. } => path,
    };
    AsListOrigin::File { path: path.display().to_string() }
}

/// File systems note times by the kernel's ticks.
const TICK: Duration = Duration::from_millis(10);
