//! Making keys: of what is shared with a neighbour, at random for applications that are all served here, or at random and
//! brought to other servers by the relay.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use photongate_net::now;
use photongate_wire::{Nanos, UnixNanos};
use zeroize::Zeroizing;

use super::{KeyService, unknown_slave};
use crate::directory::Place;
use crate::ids::{QksId, SaeId};
use crate::key_id::AssignmentId;
use crate::peer::{ATTEMPTS, Neighbour, PeerError, Purpose, RelayError, Reservation, TakeFailure};
use crate::relay;
use crate::relay::plan::NoPlan;
use crate::relay::source::NotBegun;
use crate::sae::{ApiError, CheckedRequest, Extensions};
use crate::stock::{Piece, Wish};
use crate::store::{Assignment, KeyRows, Material, RowOfKeys};

impl KeyService {
    /// Makes the keys of a request. When it returns, the servers of all who may fetch them have them on disk.
    ///
    /// # Errors
    /// The keys must not be used.
    pub(super) async fn make(&self, master: &SaeId, request: &CheckedRequest) -> Result<KeyRows, ApiError> {
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

    fn expiry(&self) -> UnixNanos {
        now().saturating_add(self.options.key_lifetime)
    }
}

impl CheckedRequest {
    fn bytes(&self) -> u64 {
        u64::from(self.key_bytes) * u64::from(self.number)
    }

    fn material(&self, pieces: Vec<Piece>) -> Material {
        Material { key_bytes: self.key_bytes, count: self.number, pieces, sealed: None }
    }
}

fn all_of(id: AssignmentId, material: Material) -> KeyRows {
    let keys = (0..material.count).map(|index| (0, index)).collect();
    KeyRows { rows: vec![RowOfKeys { id, material }], keys }
}

fn no_randomness(error: getrandom::Error) -> ApiError {
    ApiError::unavailable(format!("no randomness: {error}"))
}

fn wants_paths(asked: &Extensions) -> bool {
    asked.paths.value().is_some_and(|paths| *paths > 1)
}

fn unmet() -> ApiError {
    ApiError::bad_request("not all extension_mandatory request options could be met")
}
