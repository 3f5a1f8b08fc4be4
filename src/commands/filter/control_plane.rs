//! The control plane of a running filter, on threads of its own.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use photongate_agent::api::{self, Log};
use photongate_agent::keys::qks::KeyServer;
use photongate_agent::{Agent, AgentOptions, AgentTask, InitialList, ListFile, Observer};
use photongate_filter::Running;
use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::configuration::ConfigurationFile;
use super::management::Management;
use super::plane::{Gauges, Plane};
use super::state_directory::StateDirectory;
use crate::config::ListSource;
use crate::logging::{LogControl, LogLevel};

/// The control plane. To be stopped, so that keys and requests end in order.
pub(super) struct ControlPlane {
    runtime: Runtime,
    agent: Agent,
    task: Option<AgentTask>,
    management: Option<Arc<Management>>,
    watchdog: Option<Watchdog>,
    _state: StateDirectory,
}

impl ControlPlane {
    /// Starts it over a filter that runs: when this returns, the peers have their keys, as far as there are any.
    ///
    /// # Errors
    /// It cannot start.
    pub(super) fn start(
        running: &mut Running,
        configuration: ConfigurationFile,
        list: InitialList,
        state: StateDirectory,
        log: LogControl,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("control-plane")
            .enable_all()
            .build()
            .context("the control plane has no threads")?;
        let control = running.take_control().expect("nobody has taken it before");
        let observer: Arc<dyn Observer> =
            Arc::new(Gauges::new(Arc::clone(running.observer()), Arc::clone(running.traces())));
        let config = configuration.config();
        let api = config.api.clone();
        let list_file = match &config.as_list {
            ListSource::Inline => None,
            ListSource::File { path, watch } => Some(ListFile { path: path.clone(), watch: *watch }),
        };
        let key_server = config.qks.as_ref().map(KeyServer::new).transpose().context("[qks] cannot be used")?;
        let options = AgentOptions {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            local: config.isd_as,
            default_protocol: config.lf.protocol,
            times: config.keys.times,
            max_peers: config.keys.max_peers,
            default_limit: config.limits.peer,
            list,
            list_file,
            store: Some(Arc::clone(state.store())),
            configuration: Box::new(configuration),
            key_server: key_server.map(Arc::new),
            seed: seed(),
        };
        let (agent, task, management, hangups) = runtime.block_on(async {
            // Before anything else: without a handler, it would end the process.
            let hangups = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
            let (agent, task) = Agent::start(options, Box::new(Plane::new(control)), Arc::clone(&observer)).await;
            let management = match &api {
                Some(api) => {
                    let started =
                        Management::start(api, &state, agent.clone(), observer, Arc::new(Logged(log))).await?;
                    Some(Arc::new(started))
                }
                None => None,
            };
            anyhow::Ok((agent, task, management, hangups))
        })?;
        // Whoever stops the control plane needs the only handle.
        runtime.spawn(reload_on_request(hangups, agent.clone(), management.as_ref().map(Arc::downgrade)));
        Ok(Self { runtime, agent, task: Some(task), management, watchdog: Watchdog::start(), _state: state })
    }

    /// Tells the service manager, if there is one, that packets flow.
    pub(super) fn announce(&self) {
        let waiting = self.agent.not_ready_because();
        for reason in &waiting {
            tracing::warn!("not ready: {reason}");
        }
        notify(&[NotifyState::Ready]);
    }

    /// Whether it does its work. To be called now and then: the service manager hears of it.
    pub(super) fn is_running(&mut self) -> bool {
        let is_running = self.task.as_ref().is_some_and(AgentTask::is_running);
        if is_running && let Some(watchdog) = &mut self.watchdog {
            watchdog.pat(&self.agent);
        }
        is_running
    }

    /// Stops: requests first, then keys, which are kept for the next start.
    pub(super) fn stop(mut self) {
        notify(&[NotifyState::Stopping]);
        self.runtime.block_on(async {
            if let Some(management) = self.management.take().and_then(Arc::into_inner) {
                management.stop().await;
            }
            if let Some(task) = self.task.take() {
                task.stop().await;
            }
        });
        self.runtime.shutdown_timeout(LAST_TASKS);
    }
}

/// Reloads whenever SIGHUP comes.
async fn reload_on_request(mut hangups: Signal, agent: Agent, management: Option<Weak<Management>>) {
    while hangups.recv().await.is_some() {
        tracing::info!("reloading, on SIGHUP");
        let begun = NotifyState::monotonic_usec_now();
        notify(&[NotifyState::Reloading]);
        if let Ok(begun) = begun {
            notify(&[begun]);
        }
        if let Some(management) = management.as_ref().and_then(Weak::upgrade) {
            management.reopen();
        }
        match agent.reload().await {
            Ok(outcome) => tracing::info!(fields = outcome.fields.join(" "), "configuration in force"),
            Err(error) => tracing::error!("the configuration stays as it is: {error}"),
        }
        notify(&[NotifyState::Ready]);
    }
}

/// Tells the service manager that the filter lives, as long as all workers do.
struct Watchdog {
    every: Duration,
    last: Instant,
}

impl Watchdog {
    /// One that is to be patted, if the service manager wants that.
    fn start() -> Option<Self> {
        let timeout = sd_notify::watchdog_enabled()?;
        Some(Self { every: timeout / 3, last: Instant::now() })
    }

    fn pat(&mut self, agent: &Agent) {
        if self.last.elapsed() >= self.every && agent.workers().iter().all(|worker| worker.polling) {
            self.last = Instant::now();
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// The program's log, as callers of the HTTP interface change it.
struct Logged(LogControl);

impl Log for Logged {
    fn level(&self) -> api::LogLevel {
        match self.0.level() {
            LogLevel::Error => api::LogLevel::Error,
            LogLevel::Warn => api::LogLevel::Warn,
            LogLevel::Info => api::LogLevel::Info,
            LogLevel::Debug => api::LogLevel::Debug,
            LogLevel::Trace => api::LogLevel::Trace,
        }
    }

    fn set_level(&self, level: api::LogLevel) {
        self.0.set_level(match level {
            api::LogLevel::Error => LogLevel::Error,
            api::LogLevel::Warn => LogLevel::Warn,
            api::LogLevel::Info => LogLevel::Info,
            api::LogLevel::Debug => LogLevel::Debug,
            api::LogLevel::Trace => LogLevel::Trace,
        });
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}

/// Spreads fetches differently on each host; its quality does not matter.
fn seed() -> u64 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (time.as_nanos() as u64) ^ (u64::from(std::process::id()) << 32)
}

/// Keys and requests take little; workers have cores of their own.
const THREADS: usize = 2;

const LAST_TASKS: Duration = Duration::from_secs(2);
