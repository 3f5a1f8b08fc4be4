//! Keys fetched ahead of time, and keys revoked, because somebody says so.

use std::time::Duration;

use photongate_pipeline::PeerKey;

use super::NotRevoked;
use super::actor::Actor;
use super::views::{degraded, epoch, peer_keys};
use crate::api::{PrefetchOutcome, RevokeOutcome, RevokedKey};
use crate::keys::Direction;

impl Actor {
    /// Fetches a peer's next keys now, if they are not there; `None` if there is no such peer.
    pub(super) async fn prefetch(&mut self, peer: PeerKey) -> Option<PrefetchOutcome> {
        let now = self.publisher.clock().unix;
        if !self.shared.write().keys.prefetch(peer, now) {
            return None;
        }
        self.settle(PATIENCE).await;
        self.step();
        let now = self.publisher.clock().unix;
        let view = self.shared.read().keys.view(peer, now)?;
        Some(PrefetchOutcome { keys: peer_keys(&view), degraded: view.degraded.as_ref().map(degraded) })
    }

    /// Takes a peer's keys out of the workers' hands, then fetches others; `None` if there is no such peer.
    pub(super) async fn revoke(
        &mut self,
        peer: PeerKey,
        direction: Option<Direction>,
    ) -> Result<Option<RevokeOutcome>, NotRevoked> {
        let now = self.publisher.clock().unix;
        let (revoked, entries) = {
            let mut state = self.shared.write();
            if !state.peers.contains_key(&peer) {
                return Ok(None);
            }
            let revoked = state.keys.revoke(peer, direction, now);
            (revoked, state.entries([peer], now))
        };
        self.publish(entries);
        let grace = self.wait_for_grace().await?;
        // Before it is confirmed: a restart must not bring the key back.
        self.keep_keys().map_err(|error| NotRevoked::NotKept(error.to_string()))?;
        self.settle(PATIENCE).await;
        self.step();
        let now = self.publisher.clock().unix;
        let Some(view) = self.shared.read().keys.view(peer, now) else { return Ok(None) };
        let revoked = revoked.into_iter().map(|(direction, ended)| RevokedKey { direction, epoch: epoch(ended) });
        Ok(Some(RevokeOutcome {
            revoked: revoked.collect(),
            keys: peer_keys(&view),
            grace_period_us: u64::try_from(grace.as_micros()).unwrap_or(u64::MAX),
            degraded: view.degraded.as_ref().map(degraded),
        }))
    }
}

/// How long a caller waits for a fetch. It goes on without the caller.
const PATIENCE: Duration = Duration::from_secs(3);
