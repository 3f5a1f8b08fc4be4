//! A payload has arrived: it is kept, and given up again should its source say so.

use photongate_net::now;
use photongate_wire::Nanos;
use zeroize::Zeroizing;

use super::{Keys, Letter, Shared, lock};
use crate::faults::point;
use crate::relay::Kind;
use crate::relay::destination;
use crate::relay::envelope::Journey;
use crate::relay::frame::Arrived;
use crate::relay::payload::unpack;
use crate::relay::source::{self, Answer};
use crate::store::{Assignment, Material};

impl Shared {
    /// A share has reached its destination.
    pub(super) async fn receive(&self, arrived: Arrived) -> Answer {
        let mut action = lock(&self.destination).on_share(arrived, self.now());
        loop {
            match action {
                destination::Action::Answer(answer) => return answer,
                destination::Action::Store { journey, payload } => {
                    point("relay-arrived");
                    let kept = self.keep(&journey, &payload).await;
                    point("relay-kept");
                    if let Err(why) = &kept {
                        tracing::warn!(source = %journey.source, why, "relayed keys are not kept");
                    }
                    let answered = lock(&self.destination).on_stored(&journey, kept.is_ok(), self.now());
                    action = answered.unwrap_or(destination::Action::Discard(journey));
                }
                destination::Action::Discard(journey) => {
                    self.discard(&journey).await;
                    let outcome = source::Outcome::Refused;
                    return Answer { journey, attempt: 0, share: 0, outcome };
                }
            }
        }
    }

    async fn keep(&self, journey: &Journey, payload: &[u8]) -> Result<(), String> {
        match journey.kind {
            Kind::Keys => self.keep_keys(journey, payload).await,
            Kind::Drkey => {
                let letter = Letter { from: journey.source.clone(), payload: Zeroizing::new(payload.to_vec()) };
                let letters = lock(&self.letters).clone().ok_or("nobody reads letters here")?;
                letters.try_send(letter).map_err(|_| "too many letters wait to be read".to_owned())
            }
        }
    }

    async fn keep_keys(&self, journey: &Journey, payload: &[u8]) -> Result<(), String> {
        let (keys, bytes) = unpack::<Keys>(payload).ok_or("the payload is unreadable")?;
        let id = keys.id;
        let mut material = Material { key_bytes: keys.key_bytes, count: keys.count, pieces: Vec::new(), sealed: None };
        if material.bytes() != bytes.len() as u64 || keys.takers.is_empty() {
            return Err("the payload is not as long as its keys".to_owned());
        }
        material.sealed = Some(self.materials.seal_assignment(id, bytes).await.map_err(|error| error.to_string())?);
        let lifetime = Nanos(keys.lifetime_ms.saturating_mul(1_000_000)).min(LONGEST_LIFETIME);
        let expires_at = now().saturating_add(lifetime);
        let assignment = Assignment { id, master: keys.master, takers: keys.takers, material, expires_at };
        match self.store.reserve(assignment).await {
            Ok(Ok(())) => {
                let mut kept = lock(&self.kept);
                if kept.len() < MOST_KEPT {
                    kept.insert(journey.id, id);
                }
                Ok(())
            }
            Ok(Err(refusal)) => Err(refusal.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Forgets keys that were given up by their source.
    pub(super) async fn discard(&self, journey: &Journey) {
        let id = lock(&self.kept).remove(&journey.id);
        if let Some(id) = id
            && let Err(error) = self.store.void(vec![id]).await
        {
            tracing::warn!(%error, "keys that were given up wait for their time to be over");
        }
    }
}

/// Keys whose source can still be heard; others end with their time.
const MOST_KEPT: usize = 65_536;
const LONGEST_LIFETIME: Nanos = Nanos::from_secs(24 * 3_600);
