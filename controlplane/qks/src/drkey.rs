//! DRKeys for filters: the keys of level 1 between autonomous systems, in the hierarchy of SCION.
//!
//! A key has a fast side, whose key server derives it from a secret value on the spot, and a slow side, whose key server asks the
//! fast side's for it. It then travels encrypted under QKD key material that both servers share, which is used for nothing
//! else; or over trusted relays, if no link leads from one to the other. A filter asks its own key server for keys of both directions, and gets those of its own AS only.

mod ases;
mod cache;
mod config;
mod errands;
mod error;
mod exchange;
mod master;
mod relayed;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use photongate_crypto::Key;
use photongate_drkey::{AsPair, Epoch, Protocol};
use photongate_net::now;
use photongate_wire::{IsdAs, Nanos, UnixNanos};

pub use self::ases::{AsDirectory, AsPlace};
pub use self::config::{DrkeyConfig, FilterConfigured};
pub use self::error::DrkeyError;
pub use self::exchange::{Level1Answer, Level1Question};
pub use self::routes::{DrkeyRoutes, Level1Document, router};

use self::cache::Cache;
use self::errands::Errands;
use self::master::Master;
use self::relayed::Relayed;
use crate::chair::Chair;
use crate::ids::QksId;
use crate::materials::Materials;
use crate::peer::{LinkState, Neighbour, Neighbours, Relay};
use crate::secrets::Keyring;
use crate::store::Store;

/// Derives the keys whose fast side is local, and fetches and remembers all others.
#[derive(Debug)]
pub struct DrkeyService {
    epoch: Nanos,
    masters: BTreeMap<IsdAs, Master>,
    ases: AsDirectory,
    neighbours: Arc<Neighbours>,
    store: Store,
    materials: Materials,
    link_state: LinkState,
    relayed: Relayed,
    errands: Errands,
    chair: Chair,
    cache: Mutex<Cache>,
    /// Held while a server is asked: whoever wants the same key then finds it in the cache.
    asking: Mutex<BTreeMap<QksId, Arc<tokio::sync::Mutex<()>>>>,
}

/// Which key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level1Request {
    /// Whom it is between.
    pub pair: AsPair,
    /// What it is for: the generic protocol, or one that SCION lists.
    pub protocol: Protocol,
    /// An instant of its epoch.
    pub at: UnixNanos,
}

/// A key of level 1.
#[derive(Debug)]
pub struct Level1Key {
    /// The key.
    pub key: Key,
    /// When it is used to send. Contains the instant that was asked for.
    pub epoch: Epoch,
}

/// What the service uses.
#[derive(Debug)]
pub struct DrkeyParts {
    /// Where ASes are served.
    pub ases: AsDirectory,
    /// The servers that share key material with this one.
    pub neighbours: Arc<Neighbours>,
    /// What is kept.
    pub store: Store,
    /// What seals it.
    pub keyring: Arc<dyn Keyring>,
    /// What keys are encrypted with.
    pub materials: Materials,
    /// Which ways there are.
    pub link_state: LinkState,
    /// How keys get to others than neighbours.
    pub relay: Relay,
    /// Whether this process speaks for the server.
    pub chair: Chair,
}

impl DrkeyService {
    /// A service for the ASes that the configuration calls local. Their master secrets are made when they are first needed.
    pub fn new(config: &DrkeyConfig, parts: DrkeyParts) -> Self {
        let DrkeyParts { ases, neighbours, store, keyring, materials, link_state, relay, chair } = parts;
        let master = |isd_as: &IsdAs| (*isd_as, Master::new(*isd_as, store.clone(), Arc::clone(&keyring)));
        Self {
            epoch: config.epoch,
            masters: config.isd_as.iter().map(master).collect(),
            errands: Errands::new(store.clone(), Arc::clone(&keyring)),
            ases,
            neighbours,
            store,
            materials,
            link_state,
            relayed: Relayed::new(relay),
            chair,
            cache: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// A key, for a filter of one of its sides.
    ///
    /// # Errors
    /// [`DrkeyError`].
    pub async fn level1(&self, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        request.check(now())?;
        let fast = request.pair.fast;
        match self.ases.place(fast) {
            AsPlace::Here => self.derive(request).await,
            AsPlace::Unknown => Err(DrkeyError::NotFound(format!("no key server is known that serves {fast}"))),
            AsPlace::At(server) => self.fetch(&server, request).await,
        }
    }

    /// The key that a neighbour asks for, encrypted for it.
    ///
    /// # Errors
    /// [`DrkeyError`]: [`Unauthorized`](DrkeyError::Unauthorized) if the slow side is not one that the neighbour serves.
    pub async fn answer(&self, neighbour: &Neighbour, question: &Level1Question) -> Result<Level1Answer, DrkeyError> {
        let request = question.request();
        let Level1Key { key, epoch } = self.make_for(neighbour.id(), request).await?;
        let pieces = neighbour
            .take_for_message(&self.store, exchange::KEY_BYTES)
            .await
            .map_err(|error| DrkeyError::Unavailable(format!("there is no key to encrypt the DRKey with: {error}")))?;
        let one_time = self.materials.pieces(&pieces).await?;
        exchange::seal(&request, epoch, &key, pieces, &one_time)
    }

    /// Forgets fetched keys whose epochs are over, now and then.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.cache().sweep(now());
        }
    }

    /// Fetches keys for the other processes of this server, whenever this one has the chair.
    pub async fn serve_others(self: Arc<Self>) {
        let chair = self.chair.clone();
        chair.while_held(move || Arc::clone(&self).run_errands()).await;
    }

    /// The key that another server asks for, if it serves the slow side.
    async fn make_for(&self, server: &QksId, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        request.check(now())?;
        if self.ases.place(request.pair.slow) != AsPlace::At(server.clone()) {
            let AsPair { fast, slow } = request.pair;
            tracing::warn!(%server, %fast, %slow, "a key server asks for a DRKey of an AS that it does not serve");
            return Err(DrkeyError::Unauthorized);
        }
        self.derive(request).await
    }

    async fn derive(&self, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        let Level1Request { pair, protocol, at } = request;
        let master = self.masters.get(&pair.fast);
        let master = master.ok_or_else(|| DrkeyError::NotFound(format!("{} is not served here", pair.fast)))?;
        let epoch =
            Epoch::counted_from(UnixNanos(0), at, self.epoch).expect("a configuration has epochs of some length");
        Ok(Level1Key { key: master.level1(pair.slow, protocol, epoch).await?, epoch })
    }

    async fn fetch(&self, server: &QksId, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        if let Some(known) = self.cache().get(&request) {
            return Ok(known);
        }
        let asking = Arc::clone(self.asking().entry(server.clone()).or_default());
        let _alone = asking.lock().await;
        if let Some(known) = self.cache().get(&request) {
            return Ok(known);
        }
        let fetched = match self.neighbours.get(server) {
            _ if !self.chair.is_held() => self.errands.send(request).await,
            Some(neighbour) => match self.ask(&neighbour, request).await {
                // There may be another way.
                Err(direct) if self.link_state.routes().is_some_and(|routes| routes.lead_around(server)) => {
                    self.relayed.ask(server, request).await.map_err(|_| direct)
                }
                fetched => fetched,
            },
            None => self.relayed.ask(server, request).await,
        }?;
        self.cache().insert(&request, &fetched, now());
        Ok(fetched)
    }

    async fn ask(&self, neighbour: &Neighbour, request: Level1Request) -> Result<Level1Key, DrkeyError> {
        let server = neighbour.id();
        if let Some(why) = neighbour.is_down() {
            return Err(DrkeyError::Unavailable(format!("the key server {server} does not answer: {why}")));
        }
        let question = Level1Question::from(request);
        let answer = neighbour.client().post::<Level1Answer>("peer/v1/drkey/level1", &question, PATIENCE).await;
        let answer = answer.map_err(|error| DrkeyError::Unavailable(format!("{server}: {error}")))?;
        receive(neighbour, &self.materials, &request, &answer).await
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self) -> MutexGuard<'_, BTreeMap<QksId, Arc<tokio::sync::Mutex<()>>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level1Request {
    /// Whether there can be such a key.
    fn check(&self, now: UnixNanos) -> Result<(), DrkeyError> {
        let Self { pair, protocol, at } = *self;
        if pair.fast == pair.slow {
            return Err(DrkeyError::BadRequest("fast and slow are the same AS".to_owned()));
        }
        if !protocol.is_predefined() {
            let message = format!("the protocol {protocol} has no keys of level 1 of its own: ask for those of 0");
            return Err(DrkeyError::BadRequest(message));
        }
        if at < now.saturating_sub(LONGEST_EPOCH) || at > now.saturating_add(LONGEST_EPOCH) {
            let message = format!("at is more than {LONGEST_EPOCH} away from now");
            return Err(DrkeyError::BadRequest(message));
        }
        Ok(())
    }
}

/// The key that a neighbour has sent.
async fn receive(
    neighbour: &Neighbour,
    materials: &Materials,
    request: &Level1Request,
    answer: &Level1Answer,
) -> Result<Level1Key, DrkeyError> {
    let server = neighbour.id();
    let epoch = answer.epoch(request).ok_or_else(|| unfit(server, "an epoch that does not fit"))?;
    // The announcement moved the marks on disk and is good for one message: what is sent again is not accepted.
    if !neighbour.accept(&answer.pieces) {
        return Err(unfit(server, "a key that was not announced, or was used before"));
    }
    let one_time = materials.pieces(&answer.pieces).await?;
    let key = exchange::open(request, epoch, answer, &one_time);
    let key = key.ok_or_else(|| unfit(server, "a message that was changed, or is about another key"))?;
    Ok(Level1Key { key, epoch })
}

fn unfit(server: &QksId, what: &str) -> DrkeyError {
    tracing::error!(%server, what, "a key server answers for a DRKey with what cannot be used");
    DrkeyError::Unavailable(format!("the key server {server} answers with {what}"))
}

/// SCION's shortest epoch.
pub const SHORTEST_EPOCH: Nanos = Nanos::from_secs(6 * 60);

/// SCION's longest epoch.
pub const LONGEST_EPOCH: Nanos = Nanos::from_secs(3 * 24 * 3_600);

const SWEEP: Duration = Duration::from_secs(30);

/// How long a neighbour may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
