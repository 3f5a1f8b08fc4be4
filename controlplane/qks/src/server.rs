//! The key server: everything joined.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use photongate_net::http::{
    Audit, AuditError, BindError, Bounds, MachineOptions, MachineServer, Management, ManagementError,
};
use photongate_net::now;
use photongate_net::state_folder::{StateFolder, StateFolderError};
use photongate_net::tls::{
    ClientCertificates, ClientTls, ClientTlsFiles, Identity, ServerTls, SubjectPattern, TlsError, TlsFiles,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admin::{Admin, AlarmBook, History, Parts};
use crate::config::{NeighbourConfig, QksConfig};
use crate::directory::{Directory, Sae};
use crate::drkey::{self, AsDirectory, DrkeyParts, DrkeyRoutes, DrkeyService};
use crate::keys::KeyService;
use crate::link_registry::{LinkError, LinkRegistry, RegistryParts};
use crate::materials::Materials;
use crate::measures::{Counter, Requests};
use crate::members::Member;
use crate::peer::{
    self, LinkState, LinkStateOptions, Neighbour, Neighbours, PeerClient, PeerError, PeerRoutes, Relay, keep_up,
};
use crate::preferences::Preferences;
use crate::routing::{Settings, TlsSignatures};
use crate::sae::{self, SaeRoutes};
use crate::secrets::{Envelope, Keyring, OpenError, SecretRefError};
use crate::sources::Opener;
use crate::store::{Database, Store, StoreError};

/// A key server that listens already, and answers once it is [run](Self::run).
#[derive(Debug)]
pub struct Qks {
    saes: MachineServer,
    sae_routes: SaeRoutes,
    drkey_routes: DrkeyRoutes,
    peers: MachineServer,
    peer_routes: PeerRoutes,
    admin: Admin,
    management: Option<Management>,
    store: Store,
    links: Arc<LinkRegistry>,
    tasks: JoinSet<()>,
    _folder: StateFolder,
}

/// Why a key server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateFolderError),
    /// A secret that the configuration names is not there.
    #[error("state.database_url: {0}")]
    DatabaseUrl(SecretRefError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What guards secrets at rest.
    #[error("secrets: {0}")]
    Secrets(#[from] OpenError),
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Administration.
    #[error("[admin]: {0}")]
    Management(#[from] ManagementError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A neighbour's URL or TLS side.
    #[error("neighbour {0}: {1}")]
    Neighbour(String, PeerError),
}

impl Qks {
    /// Opens the database, starts the sources, and begins to listen.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: QksConfig) -> Result<Self, StartError> {
        let folder = StateFolder::open(&config.state)?;
        let store = open_store(&config).await?;
        let secrets = config.secrets.open(Arc::new(store.clone())).await?;
        if config.secrets.names_previous() {
            rewrap(&secrets.keyring, &store).await;
        }
        let keyring: Arc<dyn Keyring> = Arc::new(secrets.keyring);
        let materials = Materials::new(store.clone(), Arc::clone(&keyring));
        let directory = Arc::new(Directory::open(store.clone(), config.sae.identity).await?);
        for sae in &config.saes {
            directory.register(Sae { id: sae.id.clone(), certificates: sae.certificates.clone() }).await?;
        }
        let served = |neighbour: &NeighbourConfig| {
            let id = neighbour.id.clone();
            neighbour.saes.clone().into_iter().map(move |sae| (sae, id.clone()))
        };
        let fixed: HashMap<_, _> = config.neighbours.iter().flat_map(served).collect();
        directory.set_elsewhere(fixed.clone());

        let neighbours = Arc::new(Neighbours::default());
        for neighbour in &config.neighbours {
            neighbours.add(connect(&config, neighbour)?);
        }
        let saes = listen(&config, &config.sae.listen, &config.sae.client_ca, sae::refusal).await?;
        let peers = listen(&config, &config.peers.listen, &config.peers.ca, peer::refusal).await?;

        let mut tasks = JoinSet::new();
        let (member, chair) = Member::start(store.clone(), Arc::clone(&neighbours)).await?;
        tasks.spawn(member.run());
        for neighbour in neighbours.all() {
            tasks.spawn(keep_up(Arc::downgrade(&neighbour), store.clone(), chair.clone()));
        }
        let parts = RegistryParts {
            local: config.id.clone(),
            neighbours: Arc::clone(&neighbours),
            store: store.clone(),
            materials: materials.clone(),
            chair: chair.clone(),
            opener: Opener::new(&config, secrets.vault.clone()),
            folder: config.folder.clone(),
        };
        let links = Arc::new(LinkRegistry::open(parts, config.links).await?);
        let swept = store.clone();
        tasks.spawn(chair.clone().while_held(move || sweep(swept.clone())));
        let identity = Identity::load(&config.tls.certificate, &config.tls.key)?;
        let signatures = Arc::new(TlsSignatures::new(identity, &config.peers.ca)?);
        let routing = LinkStateOptions {
            local: config.id.clone(),
            ases: config.drkey.isd_as.clone(),
            fixed,
            settings: Settings::default(),
        };
        let (known, registered) = (Arc::clone(&neighbours), Arc::clone(&directory));
        let link_state = LinkState::start(&mut tasks, routing, signatures, known, registered, store.clone(), &chair);

        let relay = Relay::start(
            &mut tasks,
            config.id.clone(),
            Arc::clone(&neighbours),
            link_state.clone(),
            store.clone(),
            materials.clone(),
        );
        let served = config
            .neighbours
            .iter()
            .flat_map(|neighbour| neighbour.isd_as.iter().map(|isd_as| (*isd_as, neighbour.id.clone())));
        let parts = DrkeyParts {
            ases: AsDirectory::new(config.drkey.isd_as.clone(), served.collect(), link_state.clone()),
            neighbours: Arc::clone(&neighbours),
            store: store.clone(),
            keyring,
            materials: materials.clone(),
            link_state: link_state.clone(),
            relay: relay.clone(),
            chair: chair.clone(),
        };
        let drkeys = Arc::new(DrkeyService::new(&config.drkey, parts));
        tasks.spawn(Arc::clone(&drkeys).read(relay.letters()));
        tasks.spawn(Arc::clone(&drkeys).sweep());
        if store.is_shared() {
            tasks.spawn(Arc::clone(&drkeys).serve_others());
        }
        let preferences = Arc::new(Preferences::open(store.clone()).await?);
        if store.is_shared() {
            tasks.spawn(refresh(Arc::clone(&directory), Arc::clone(&preferences), Arc::clone(&links)));
        }
        let keys = KeyService {
            local: config.id.clone(),
            options: config.keys.clone(),
            directory: Arc::clone(&directory),
            neighbours: Arc::clone(&neighbours),
            store: store.clone(),
            materials,
            preferences,
            relay: relay.clone(),
            link_state: link_state.clone(),
            delivered: Counter::default(),
        };
        let keys = Arc::new(keys);
        let requests = Arc::new(Requests::default());
        let audit = Audit::open(&config.state.join("audit.log"))?;
        let admin = Admin::new(Parts {
            local: config.id.clone(),
            started_at: now(),
            directory: Arc::clone(&directory),
            neighbours: Arc::clone(&neighbours),
            links: Arc::clone(&links),
            keys: Arc::clone(&keys),
            requests: Arc::clone(&requests),
            link_state: link_state.clone(),
            store: store.clone(),
            vault: secrets.vault.clone(),
            alarms: AlarmBook::default(),
            history: History::default(),
            audit: audit.clone(),
        });
        tasks.spawn(admin.clone().sample());
        tasks.spawn(admin.clone().watch());
        let management = match &config.admin {
            Some(management) => Some(management.bind(&config.state, &audit).await?),
            None => None,
        };
        let accept_plain_key_ids = config.sae.accept_plain_key_ids;
        let (limits, key_lifetime) = (config.keys.limits, config.keys.key_lifetime);
        Ok(Self {
            saes,
            sae_routes: SaeRoutes { keys, accept_plain_key_ids, requests },
            drkey_routes: DrkeyRoutes { drkeys: Arc::clone(&drkeys), filters: Arc::new(config.drkey.filters) },
            peers,
            peer_routes: PeerRoutes {
                neighbours,
                directory,
                relay,
                drkeys,
                link_state,
                store: store.clone(),
                limits,
                key_lifetime,
                chair,
            },
            admin,
            management,
            store,
            links,
            tasks,
            _folder: folder,
        })
    }

    /// Where applications find it.
    pub fn sae_addresses(&self) -> Vec<SocketAddr> {
        self.saes.addresses()
    }

    /// Where other key servers find it.
    pub fn peer_addresses(&self) -> Vec<SocketAddr> {
        self.peers.addresses()
    }

    /// Where administrators find it over TCP.
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.management.as_ref().map(|management| management.server.addresses()).unwrap_or_default()
    }

    /// Answers until `shutdown` is over; then finishes what is under way.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let stopped = || {
            let mut stopping = stopping.clone();
            async move {
                // An error means that this function is over.
                let _ = stopping.wait_for(|stop| *stop).await;
            }
        };
        let saes = self.saes.run(sae::router(self.sae_routes).merge(drkey::router(self.drkey_routes)), stopped());
        let peers = self.peers.run(peer::router(self.peer_routes), stopped());
        let admin = self.management.map(|management| management.server.run(self.admin.router(), stopped()));
        let admin = async {
            if let Some(admin) = admin {
                admin.await;
            }
        };
        let until = async {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(saes, peers, admin, until);
        drop(self.tasks);
        self.links.stop();
        if let Err(error) = self.store.leave().await {
            tracing::warn!(%error, "other processes learn only after a while that this one has ended");
        }
    }
}

fn connect(config: &QksConfig, neighbour: &NeighbourConfig) -> Result<Arc<Neighbour>, StartError> {
    let tls = ClientTls::load(ClientTlsFiles {
        ca: config.peers.ca.clone(),
        identity: Some((config.tls.certificate.clone(), config.tls.key.clone())),
        expected: Some(SubjectPattern::CommonName(neighbour.id.to_string())),
    })?;
    let urls = [&neighbour.url].into_iter().chain(&neighbour.other_urls).cloned().collect();
    let client = PeerClient::new(urls, &tls);
    let client = client.map_err(|error| StartError::Neighbour(neighbour.id.to_string(), error))?;
    Ok(Neighbour::new(neighbour.id.clone(), client))
}

async fn open_store(config: &QksConfig) -> Result<Store, StartError> {
    let database = match &config.database_url {
        Some(url) => Database::Postgres(url.resolve(None).await.map_err(StartError::DatabaseUrl)?),
        None => Database::Sqlite(config.state.join("qks.db")),
    };
    Ok(Store::open(&database).await?)
}

/// Brings all data keys under the guard in force, so that those before it can be let go.
async fn rewrap(keyring: &Envelope, store: &Store) {
    match keyring.rewrap(store).await {
        Ok(count) => {
            tracing::info!(count, "all data keys have the guard in force: let the previous ones go from [secrets]");
        }
        Err(error) => tracing::warn!(%error, "some data keys have a former guard: keep the previous ones in [secrets]"),
    }
}

async fn listen(
    config: &QksConfig,
    addresses: &[SocketAddr],
    clients: &std::path::Path,
    refusal: photongate_net::http::Refusal,
) -> Result<MachineServer, StartError> {
    let tls = Arc::new(ServerTls::load(TlsFiles {
        certificate: config.tls.certificate.clone(),
        key: config.tls.key.clone(),
        clients: ClientCertificates::Required(clients.to_owned()),
    })?);
    let listeners = addresses.iter().map(|address| (*address, Arc::clone(&tls))).collect();
    let bounds = Bounds { connections: CONNECTIONS, body_bytes: LONGEST_BODY, ..Bounds::default() };
    Ok(MachineServer::bind(MachineOptions { listeners, bounds, refusal }).await?)
}

async fn sweep(store: Store) {
    loop {
        sleep(SWEEP).await;
        if let Err(error) = store.sweep(now()).await {
            tracing::warn!(%error, "what is over is not swept away yet");
        }
    }
}

/// Another process of this server may register applications and links, and change what is preferred.
async fn refresh(directory: Arc<Directory>, preferences: Arc<Preferences>, links: Arc<LinkRegistry>) {
    loop {
        sleep(REFRESH).await;
        if let Err(error) = directory.refresh().await {
            tracing::debug!(%error, "the applications are not read anew");
        }
        if let Err(error) = preferences.refresh().await {
            tracing::debug!(%error, "the preferences are not read anew");
        }
        if let Err(error) = links.refresh().await {
            tracing::debug!(%error, "the links are not read anew");
        }
    }
}

const CONNECTIONS: usize = 4_096;
const LONGEST_BODY: u64 = 2 * 1024 * 1024;
const SWEEP: Duration = Duration::from_secs(30);
const REFRESH: Duration = Duration::from_secs(2);
