//! Keys for applications: made, shared with the server of whoever else gets them, and handed out once.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use photongate_net::now;
use photongate_wire::{Nanos, UnixNanos};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::directory::{Directory, Place};
use crate::faults::point;
use crate::ids::{QksId, SaeId};
use crate::key_id::AssignmentId;
use crate::materials::{MaterialError, Materials};
use crate::measures::Counter;
use crate::peer::{
    ATTEMPTS, LinkState, Neighbour, Neighbours, PeerError, Purpose, Relay, RelayError, Reservation, TakeFailure,
};
use crate::preferences::Preferences;
use crate::relay;
use crate::relay::plan::NoPlan;
use crate::relay::source::NotBegun;
use crate::sae::{ApiError, CheckedRequest, Extensions, KeyContainer, Limits, NamedKey, Status};
use crate::secrets::SecretsError;
use crate::stock::Wish;
use crate::store::{Answer, Assignment, KeyRows, Material, RowOfKeys, Store, StoreError, Take, TakeRefusal};

/// Makes keys and finds them again.
#[derive(Debug)]
pub struct KeyService {
    /// This server.
    pub local: QksId,
    /// How keys are given out.
    pub options: KeyOptions,
    /// Which applications there are.
    pub directory: Arc<Directory>,
    /// With whom key material is shared.
    pub neighbours: Arc<Neighbours>,
    /// What is kept.
    pub store: Store,
    /// What keys are made of.
    pub materials: Materials,
    /// What applications prefer.
    pub preferences: Arc<Preferences>,
    /// How keys get to others than neighbours.
    pub relay: Relay,
    /// Which ways there are.
    pub link_state: LinkState,
    /// How many keys applications have got.
    pub delivered: Counter,
}

/// How keys are given out.
#[derive(Clone, Debug)]
pub struct KeyOptions {
    /// What a request may ask for.
    pub limits: Limits,
    /// How long keys wait for those who may fetch them.
    pub key_lifetime: Nanos,
    /// How long an answer may be asked for again.
    pub answer_lifetime: Nanos,
}

impl Default for KeyOptions {
    fn default() -> Self {
        let [key_lifetime, answer_lifetime] = [3_600, 300].map(Nanos::from_secs);
        Self { limits: Limits::default(), key_lifetime, answer_lifetime }
    }
}

impl KeyService {
    /// What a request may ask for.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Which applications there are.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What `master` could get to share with `slave`.
    ///
    /// # Errors
    /// `slave` is not known.
    pub fn status(&self, master: &SaeId, slave: &SaeId) -> Result<Status, ApiError> {
        let limits = self.limits();
        let (target, stored) = match self.directory.place(slave) {
            Place::Here => (self.local.clone(), limits.max_key_count),
            Place::At(server) => {
                let stored = self.reachable(&server);
                (server, stored)
            }
            Place::Unknown => return Err(unknown_slave(slave)),
        };
        Ok(Status {
            source_KME_ID: self.local.clone(),
            target_KME_ID: target,
            master_SAE_ID: master.clone(),
            slave_SAE_ID: slave.clone(),
            key_size: limits.key_size_bits,
            stored_key_count: stored.min(limits.max_key_count),
            max_key_count: limits.max_key_count,
            max_key_per_request: limits.max_keys_per_request,
            max_key_size: limits.max_key_size_bits,
            min_key_size: limits.min_key_size_bits,
            max_SAE_ID_count: limits.max_sae_ids,
            status_extension: None,
        })
    }

    /// Makes the keys of a request, and hands them to `master` once the servers of all others have them.
    ///
    /// # Errors
    /// Nobody gets keys then.
    pub async fn create(&self, master: &SaeId, request: CheckedRequest) -> Result<KeyContainer, ApiError> {
        let Some(name) = request.extensions.idempotency_key.value().cloned() else {
            let rows = self.make(master, &request).await?;
            let container = self.container(&rows).await;
            point("keys-opened");
            return container;
        };
        let digest = format!("enc {request:?}");
        if let Some(answer) = self.store.recall(master.as_str(), &name).await? {
            return self.again(&answer, &digest).await;
        }
        let rows = self.make(master, &request).await?;
        let answer = self.answer(master, name, digest.clone(), rows.clone());
        match self.store.remember(answer).await? {
            // A request of the same name was faster; the keys of this one are burnt.
            Some(earlier) => self.again(&earlier, &digest).await,
            None => self.container(&rows).await,
        }
    }

    /// Hands out keys that `master` asked for before, all of them or none.
    ///
    /// # Errors
    /// [`ApiError`]; no key counts as fetched then, unless the database died over it.
    pub async fn fetch(
        &self,
        taker: &SaeId,
        master: SaeId,
        ids: &[Uuid],
        extensions: &Extensions,
    ) -> Result<KeyContainer, ApiError> {
        let mut remember = None;
        if let Some(name) = extensions.idempotency_key.value() {
            let digest = format!("dec {master} {ids:?}");
            if let Some(answer) = self.store.recall(taker.as_str(), name).await? {
                return self.again(&answer, &digest).await;
            }
            remember = Some(self.answer(taker, name.clone(), digest, KeyRows::default()));
        }
        let keys = ids.iter().map(|id| AssignmentId::of_key(*id)).collect();
        let take = Take { taker: taker.clone(), master, keys, now: now(), remember };
        match self.store.take(take).await? {
            Ok(rows) => {
                point("fetch-judged");
                let container = self.container(&rows).await;
                point("fetch-opened");
                container
            }
            Err(refusal @ TakeRefusal::NotFound) => Err(ApiError::bad_request(refusal.to_string())),
            Err(TakeRefusal::NotEntitled) => Err(ApiError::Unauthorized),
        }
    }

    async fn make(&self, master: &SaeId, request: &CheckedRequest) -> Result<KeyRows, ApiError> {
        let request = &self.preferences.apply(master, request);
        let mut servers: BTreeMap<Option<QksId>, Vec<SaeId>> = BTreeMap::new();
        for slave in &request.slaves {
            let server = match self.directory.place(slave) {
                Place::Here => None,
                Place::At(server) => Some(server),
                Place::Unknown => return Err(unknown_slave(slave)),
            };
            servers.entry(server).or_default().push(slave.clone());
        }
        let only = if servers.len() == 1 { servers.first_key_value() } else { None };
        match only {
            Some((None, takers)) => self.make_here(master, takers.clone(), request).await,
            Some((Some(server), takers)) => match self.neighbours.get(server) {
                Some(neighbour) if !wants_paths(&request.extensions) => {
                    let direct = self.make_with(&neighbour, master, takers.clone(), request).await;
                    let is_exhausted = matches!(direct, Err(ApiError::Unavailable(_)));
                    // There may be another way.
                    if is_exhausted && self.can_relay(server, &request.extensions) {
                        self.make_relayed(master, servers, request).await.or(direct)
                    } else {
                        direct
                    }
                }
                _ => self.make_relayed(master, servers, request).await,
            },
            None => self.make_relayed(master, servers, request).await,
        }
    }

    /// Whether there is a way to a server over others, and the request does not forbid it.
    fn can_relay(&self, server: &QksId, asked: &Extensions) -> bool {
        let routes = self.link_state.routes();
        let firm = asked.clone().mandatory_only();
        firm.require_direct.value() != Some(&true)
            && firm.source.value().is_none()
            && firm.max_age.value().is_none()
            && routes.is_some_and(|routes| routes.lead_around(server))
    }

    /// Keys for applications of servers without a common link, or of several servers, are random, and travel hop by hop.
    async fn make_relayed(
        &self,
        master: &SaeId,
        servers: BTreeMap<Option<QksId>, Vec<SaeId>>,
        request: &CheckedRequest,
    ) -> Result<KeyRows, ApiError> {
        let asked = &request.extensions;
        let firm = asked.clone().mandatory_only();
        if firm.require_direct.value() == Some(&true) || firm.source.value().is_some() || firm.max_age.value().is_some()
        {
            return Err(unmet());
        }
        let id = AssignmentId::draw(now()).map_err(no_randomness)?;
        let mut bytes = Zeroizing::new(vec![0; request.bytes() as usize]);
        getrandom::fill(&mut bytes).map_err(no_randomness)?;
        let sealed = Some(self.materials.seal_assignment(id, &bytes).await?);
        let material = Material { sealed, ..request.material(Vec::new()) };
        let assignment = |takers| Assignment {
            id,
            master: master.clone(),
            takers,
            material: material.clone(),
            expires_at: self.expiry(),
        };
        let wish = |asked: &Extensions| relay::plan::Wish {
            shares: asked.paths.value().map_or(1, |paths| *paths as usize),
            most_hops: asked.max_hops.value().map_or(relay::LONGEST_PATH - 1, |hops| *hops as usize),
            ..relay::plan::Wish::default()
        };
        let sent =
            servers.iter().filter_map(|(server, takers)| Some((server.as_ref()?, takers))).map(|(server, takers)| {
                let assignment = assignment(takers.clone());
                let bytes = &bytes;
                let (wish, fallback) = (wish(asked), wish(&firm));
                async move {
                    let lifetime = self.options.key_lifetime;
                    let sent = self.relay.send_keys(server, &assignment, bytes, lifetime, wish.clone()).await;
                    match sent {
                        Err(RelayError::NotBegun(_)) if wish != fallback => {
                            self.relay.send_keys(server, &assignment, bytes, lifetime, fallback).await
                        }
                        sent => sent,
                    }
                }
            });
        for sent in join_all(sent).await {
            sent.map_err(|error| match error {
                RelayError::NotBegun(NotBegun::NoPlan(NoPlan::TooFew { .. } | NoPlan::TooLong { .. })) => unmet(),
                error => ApiError::unavailable(error.to_string()),
            })?;
        }
        if let Some(takers) = servers.get(&None) {
            let kept = self.store.reserve(assignment(takers.clone())).await?;
            kept.map_err(|refusal| ApiError::unavailable(refusal.to_string()))?;
        }
        Ok(all_of(id, material))
    }

    /// Keys for applications that are all served here are random, and go nowhere.
    async fn make_here(
        &self,
        master: &SaeId,
        takers: Vec<SaeId>,
        request: &CheckedRequest,
    ) -> Result<KeyRows, ApiError> {
        let id = AssignmentId::draw(now()).map_err(no_randomness)?;
        let mut bytes = Zeroizing::new(vec![0; request.bytes() as usize]);
        getrandom::fill(&mut bytes).map_err(no_randomness)?;
        let sealed = Some(self.materials.seal_assignment(id, &bytes).await?);
        let material = Material { sealed, ..request.material(Vec::new()) };
        let (master, expires_at) = (master.clone(), self.expiry());
        let assignment = Assignment { id, master, takers, material: material.clone(), expires_at };
        self.store.reserve(assignment).await?.map_err(|refusal| ApiError::unavailable(refusal.to_string()))?;
        Ok(all_of(id, material))
    }

    /// Keys that are shared with a neighbour are made of what both hold.
    async fn make_with(
        &self,
        neighbour: &Neighbour,
        master: &SaeId,
        takers: Vec<SaeId>,
        request: &CheckedRequest,
    ) -> Result<KeyRows, ApiError> {
        let asked = &request.extensions;
        let strict = self.assign(neighbour, master, &takers, request, asked).await;
        match strict {
            Err(TakeFailure::NoMaterial) if *asked != asked.clone().mandatory_only() => {
                let mandatory = asked.clone().mandatory_only();
                self.assign(neighbour, master, &takers, request, &mandatory).await
            }
            outcome => outcome,
        }
        .map_err(|failure| match failure {
            TakeFailure::NoMaterial => {
                let stored = self.stored(neighbour);
                let could = stored * u64::from(self.limits().key_size_bits / 8) >= request.bytes();
                if could && asked.clone().mandatory_only().is_demanding() {
                    unmet()
                } else {
                    ApiError::exhausted(stored)
                }
            }
            TakeFailure::Differing => ApiError::unavailable(failure.to_string()),
            TakeFailure::Peer(error) => error.into(),
            TakeFailure::Store(error) => error.into(),
        })
    }

    async fn assign(
        &self,
        neighbour: &Neighbour,
        master: &SaeId,
        takers: &[SaeId],
        request: &CheckedRequest,
        extensions: &Extensions,
    ) -> Result<KeyRows, TakeFailure> {
        let made_since = extensions.max_age.value().map(|age| now().saturating_sub(Nanos::from_secs(*age)));
        let wish = Wish { origin: extensions.source.value().copied(), made_since };
        let is_relaxed = extensions.relaxed.value() == Some(&true);
        let (mut number, mut attempts) = (request.number, ATTEMPTS);
        loop {
            let id = AssignmentId::draw(now()).map_err(|error| PeerError::Unreachable(error.to_string()))?;
            let bytes = u64::from(request.key_bytes) * u64::from(number);
            let reservation = |pieces| Reservation {
                id,
                material: Material { count: number, ..request.material(pieces) },
                purpose: Purpose::Keys {
                    master: master.clone(),
                    takers: takers.to_vec(),
                    lifetime_ms: self.options.key_lifetime.0 / 1_000_000,
                },
            };
            match neighbour.take(&self.store, bytes, wish, reservation).await {
                Ok(material) => return Ok(all_of(id, material)),
                Err(TakeFailure::NoMaterial) if is_relaxed && number > 1 => number /= 2,
                Err(TakeFailure::Differing) if attempts > 1 => attempts -= 1,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Keys of the default size that can be shared with a server now.
    fn reachable(&self, server: &QksId) -> u64 {
        if let Some(neighbour) = self.neighbours.get(server) {
            return self.stored(&neighbour);
        }
        let route = self.link_state.routes().and_then(|routes| routes.route(server));
        route.map_or(0, |route| route.free_bits / u64::from(self.limits().key_size_bits))
    }

    /// Keys of the default size that can be shared with a neighbour now.
    fn stored(&self, neighbour: &Neighbour) -> u64 {
        neighbour.stock().free().ready / u64::from(self.limits().key_size_bits / 8)
    }

    async fn container(&self, rows: &KeyRows) -> Result<KeyContainer, ApiError> {
        let keys = self.materials.keys(rows).await?;
        self.delivered.add(keys.len() as u64);
        let named = rows.keys.iter().zip(keys).map(|((place, index), key)| NamedKey {
            key_ID: rows.rows[*place].id.key(*index),
            key: Zeroizing::new(BASE64_STANDARD.encode(&*key)),
        });
        Ok(KeyContainer { keys: named.collect(), key_container_extension: None })
    }

    async fn again(&self, answer: &Answer, digest: &str) -> Result<KeyContainer, ApiError> {
        if answer.digest != digest {
            let message = "photongate_idempotency_key names an earlier request that was another one";
            return Err(ApiError::bad_request(message));
        }
        self.container(&answer.rows).await
    }

    fn answer(&self, caller: &SaeId, name: String, digest: String, rows: KeyRows) -> Answer {
        let expires_at = now().saturating_add(self.options.answer_lifetime);
        Answer { caller: caller.to_string(), name, digest, rows, expires_at }
    }

    fn expiry(&self) -> UnixNanos {
        now().saturating_add(self.options.key_lifetime)
    }
}

impl CheckedRequest {
    fn bytes(&self) -> u64 {
        u64::from(self.key_bytes) * u64::from(self.number)
    }

    fn material(&self, pieces: Vec<crate::stock::Piece>) -> Material {
        Material { key_bytes: self.key_bytes, count: self.number, pieces, sealed: None }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request fails");
        Self::unavailable("the key store is not available")
    }
}

impl From<SecretsError> for ApiError {
    fn from(error: SecretsError) -> Self {
        tracing::error!(%error, "a request fails");
        Self::unavailable("the secret store is not available")
    }
}

impl From<MaterialError> for ApiError {
    fn from(error: MaterialError) -> Self {
        match error {
            MaterialError::Store(error) => error.into(),
            MaterialError::Secrets(error) => error.into(),
            MaterialError::Gone => Self::bad_request(TakeRefusal::NotFound.to_string()),
        }
    }
}

impl From<PeerError> for ApiError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Refused(reason) => Self::bad_request(reason),
            PeerError::Unreachable(_) | PeerError::Busy => Self::unavailable(error.to_string()),
        }
    }
}

fn all_of(id: AssignmentId, material: Material) -> KeyRows {
    let keys = (0..material.count).map(|index| (0, index)).collect();
    KeyRows { rows: vec![RowOfKeys { id, material }], keys }
}

fn no_randomness(error: getrandom::Error) -> ApiError {
    ApiError::unavailable(format!("no randomness: {error}"))
}

fn unknown_slave(slave: &SaeId) -> ApiError {
    ApiError::bad_request("the application in the request is not known").with_detail("SAE_ID", json!(slave))
}

fn wants_paths(asked: &Extensions) -> bool {
    asked.paths.value().is_some_and(|paths| *paths > 1)
}

fn unmet() -> ApiError {
    ApiError::bad_request("not all extension_mandatory request options could be met")
}
