//! Keys for applications: made, shared with the server of whoever else gets them, and handed out once.

mod making;

use std::sync::Arc;

use photongate_net::now;
use photongate_wire::Nanos;
use serde_json::json;
use uuid::Uuid;

use crate::directory::{Directory, Place};
use crate::faults::point;
use crate::ids::{QksId, SaeId};
use crate::key_id::AssignmentId;
use crate::materials::{MaterialError, Materials};
use crate::measures::Counter;
use crate::peer::{LinkState, Neighbour, Neighbours, PeerError, Relay};
use crate::preferences::Preferences;
use crate::sae::{ApiError, CheckedRequest, ContainerText, Extensions, Limits, Status};
use crate::secrets::SecretsError;
use crate::store::{Answer, KeyRows, Store, StoreError, Take, TakeRefusal};

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
    pub async fn create(&self, master: &SaeId, request: CheckedRequest) -> Result<ContainerText, ApiError> {
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
    ) -> Result<ContainerText, ApiError> {
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

    async fn container(&self, rows: &KeyRows) -> Result<ContainerText, ApiError> {
        let keys = self.materials.keys(rows).await?;
        self.delivered.add(rows.keys.len() as u64);
        Ok(ContainerText::of(keys.iter()))
    }

    async fn again(&self, answer: &Answer, digest: &str) -> Result<ContainerText, ApiError> {
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

fn unknown_slave(slave: &SaeId) -> ApiError {
    ApiError::bad_request("the application in the request is not known").with_detail("SAE_ID", json!(slave))
}
