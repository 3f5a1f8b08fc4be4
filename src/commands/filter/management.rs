//! The HTTP server of a running filter.

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context, Result};
use photongate_agent::api::{Api, Log};
use photongate_agent::{Agent, Observer, Traces};
use photongate_net::http::{Audit, Bounds, Callers, Listen, Role, Server, ServerOptions, TokenFile};
use photongate_net::tls::{ClientCertificates, ServerTls, SubjectPattern, TlsFiles};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::state_directory::StateDirectory;
use crate::config::{ApiConfig, ApiTlsConfig};

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
        config: &ApiConfig,
        state: &StateDirectory,
        agent: Agent,
        observer: Arc<dyn Observer>,
        log: Arc<dyn Log>,
    ) -> Result<Self> {
        let audit = Audit::open(&state.path("audit.log"))?;
        let traces = Traces::at(state.path("traces"), observer).context("there is no folder for traces")?;
        let tls = config.tls.as_ref().map(load_tls).transpose()?;
        let server = bind(config, state, tls.as_ref()).await?;
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

fn load_tls(config: &ApiTlsConfig) -> Result<Arc<ServerTls>> {
    let clients = config.client_ca.clone().map_or(ClientCertificates::None, ClientCertificates::Optional);
    let files = TlsFiles { certificate: config.certificate.clone(), key: config.key.clone(), clients };
    Ok(Arc::new(ServerTls::load(files).context("[api.tls]")?))
}

/// Listens wherever the configuration says. What it says by default only is done without, if it cannot be had.
async fn bind(config: &ApiConfig, state: &StateDirectory, tls: Option<&Arc<ServerTls>>) -> Result<Server> {
    let socket = Listen::Unix(config.socket().to_owned());
    let mut wanted = vec![(socket, config.socket.is_some())];
    for address in &config.listen {
        let listen = tls.map_or(Listen::Plain(*address), |tls| Listen::Tls(*address, Arc::clone(tls)));
        wanted.push((listen, !config.listens_by_default()));
    }
    let mut listeners = Vec::new();
    for (listen, is_required) in wanted {
        // A probe, which lets go at once: whether one of several can be had is otherwise only known when all are.
        match Server::bind(options(vec![listen.clone()], config, Callers::default())).await {
            Err(error) if !is_required => tracing::warn!("{error}; the filter cannot be managed there"),
            _ => listeners.push(listen),
        }
    }
    let mut callers = Callers::default()
        .with_token("admin", Role::Admin, TokenFile::create_or_read(&state.path("admin.token"))?)
        .with_token("read", Role::Read, TokenFile::create_or_read(&state.path("read.token"))?);
    if let Some(tls) = &config.tls {
        callers = callers.with_subjects(Role::Admin, subjects(&tls.admins)?);
        callers = callers.with_subjects(Role::Read, subjects(&tls.readers)?);
    }
    for listen in &listeners {
        match listen {
            Listen::Unix(path) => tracing::info!("management at {}", path.display()),
            Listen::Plain(address) => tracing::info!("management at http://{address}, from this machine, with a token"),
            Listen::Tls(address, _) => tracing::info!("management at https://{address}"),
        }
    }
    Server::bind(options(listeners, config, callers)).await.context("[api]")
}

fn options(listeners: Vec<Listen>, config: &ApiConfig, callers: Callers) -> ServerOptions {
    ServerOptions {
        listeners,
        callers,
        requests_per_second: NonZeroU32::new(config.requests_per_second).unwrap_or(NonZeroU32::MIN),
        content_security_policy: PAGE_POLICY,
        bounds: Bounds::default(),
    }
}

fn subjects(patterns: &[String]) -> Result<Vec<SubjectPattern>> {
    patterns.iter().map(|pattern| Ok(pattern.parse()?)).collect()
}

/// What pages may load that do not say so themselves: their own style.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
