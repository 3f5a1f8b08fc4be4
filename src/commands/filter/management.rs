//! The HTTP server of a running filter.

use std::sync::Arc;

use anyhow::{Context, Result};
use photongate_agent::api::{Api, Log};
use photongate_agent::{Agent, Observer, Traces};
use photongate_net::http::{self, Audit, ManagementConfig};
use photongate_net::tls::ServerTls;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::state_directory::StateDirectory;

/// A server that runs.
pub(super) struct Management {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    audit: Audit,
    tls: Option<Arc<ServerTls>>,
    traces: Traces,
}

impl Management {
    /// Starts to serve.
    ///
    /// # Errors
    /// It cannot listen, or a file that it needs cannot be used.
    pub(super) async fn start(
        config: &ManagementConfig,
        state: &StateDirectory,
        agent: Agent,
        observer: Arc<dyn Observer>,
        log: Arc<dyn Log>,
    ) -> Result<Self> {
        let audit = Audit::open(&state.path("audit.log"))?;
        let traces = Traces::at(state.path("traces"), observer).context("there is no folder for traces")?;
        let http::Management { server, tls } = config.bind(state.folder(), &audit).await.context("[api]")?;
        let certificate = tls.clone();
        let expiry = move || Some(certificate.as_ref()?.not_after().0 / 1_000_000_000);
        let router = Api::new(agent, audit.clone(), log, traces.clone(), Arc::new(expiry)).router();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(router, async {
            let _ = stopped.await;
        }));
        Ok(Self { stop, task, audit, tls, traces })
    }

    /// Opens log and certificates anew. What cannot be opened stays as it is, and is said.
    pub(super) fn reopen(&self) {
        if let Err(error) = self.audit.reopen() {
            tracing::error!("{error}");
        }
        if let Some(Err(error)) = self.tls.as_ref().map(|tls| tls.reload()) {
            tracing::error!("the certificate stays as it is: {error}");
        }
    }

    /// Ends all traces, then all requests.
    pub(super) async fn stop(self) {
        self.traces.stop_all();
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
