//! What the control plane knows, for everyone to read. Only the task writes, and never holds the lock while it waits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use photongate_drkey::{KeyTimes, Protocol};
use photongate_net::config::Problems;
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{Entry, PeerKey, PeerState};
use photongate_wire::{IsdAs, UnixNanos};

use super::statistics::Statistics;
use crate::Observer;
use crate::api::AsListOrigin;
use crate::as_list::{AsList, Context, Format, Held, ListedPeer, SecretFiles};
use crate::keys::KeyManager;

/// What the task and the handles share.
pub(super) struct Shared {
    pub(super) version: String,
    /// What every list is checked against.
    pub(super) rules: Rules,
    pub(super) started: (UnixNanos, Instant),
    pub(super) observer: Arc<dyn Observer>,
    pub(super) statistics: Statistics,
    state: RwLock<State>,
}

/// What a list must keep to, beside being whole. Only a restart changes any of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) local: IsdAs,
    pub(super) times: KeyTimes,
    pub(super) default_protocol: Protocol,
    pub(super) max_peers: u32,
    pub(super) least_mtu: u16,
    pub(super) has_key_server: bool,
}

impl Rules {
    /// Reads a list whose secrets may be held by the one `in_force`. Also what works, yet is hardly meant so.
    pub(super) fn read(
        self,
        path: &Path,
        text: &str,
        format: Format,
        secret_files: SecretFiles,
        in_force: &AsList,
    ) -> Result<(AsList, Vec<String>), Problems> {
        let context = Context {
            local: Some(self.local),
            default_protocol: self.default_protocol,
            times: Some(self.times),
            max_peers: self.max_peers,
            least_mtu: self.least_mtu,
            has_key_server: Some(self.has_key_server),
            held: Held::By(in_force),
            secret_files,
        };
        let read = AsList::read(path, text, format, &context)?;
        Ok((read.list, read.warnings.iter().map(ToString::to_string).collect()))
    }
}

/// Everything that changes.
pub(super) struct State {
    pub(super) list: Arc<AsList>,
    /// The list that is about to be in force, while it is being applied.
    pub(super) coming: Option<Arc<AsList>>,
    /// What a peer may send that has no limit of its own.
    pub(super) default_limit: LimitSettings,
    pub(super) keys: KeyManager,
    /// Limits and counters of each peer. During a change of lists, those of both.
    pub(super) peers: HashMap<PeerKey, Arc<PeerState>>,
    pub(super) in_force: InForce,
    /// How the workers have been lately, in their order.
    pub(super) workers: Vec<Pulse>,
}

/// Which list is in force.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) generation: u64,
    /// Of the list without its secrets.
    pub(super) digest: String,
    pub(super) origin: AsListOrigin,
    pub(super) applied_at: UnixNanos,
    pub(super) last_refusal: Option<String>,
}

/// How a worker has been between the last two looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pulse {
    pub(super) polling: bool,
    pub(super) busy: f64,
    pub(super) busy_cycles: u64,
    pub(super) all_cycles: u64,
}

impl Shared {
    pub(super) fn new(
        version: String,
        rules: Rules,
        now: UnixNanos,
        observer: Arc<dyn Observer>,
        state: State,
    ) -> Self {
        let (started, statistics) = ((now, Instant::now()), Statistics::default());
        Self { version, rules, started, observer, statistics, state: RwLock::new(state) }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the workers, to be called once a second.
    pub(super) fn feel_pulse(&self) {
        let workers = self.observer.workers();
        let mut state = self.write();
        state.workers.resize(workers.len(), Pulse::default());
        for (pulse, worker) in state.workers.iter_mut().zip(&workers) {
            let all = worker.all_cycles.saturating_sub(pulse.all_cycles);
            let busy = worker.busy_cycles.saturating_sub(pulse.busy_cycles);
            *pulse = Pulse {
                polling: all > 0,
                busy: if all == 0 { 0.0 } else { busy as f64 / all as f64 },
                busy_cycles: worker.busy_cycles,
                all_cycles: worker.all_cycles,
            };
        }
    }
}

impl State {
    /// A peer of the list in force, or of the one that is about to be.
    pub(super) fn listed(&self, peer: PeerKey) -> Option<&ListedPeer> {
        self.coming.as_ref().and_then(|list| list.get(peer)).or_else(|| self.list.get(peer))
    }

    /// Whether there is a key to send with, and one to receive with.
    pub(super) fn has_keys(&self, peer: PeerKey, now: UnixNanos) -> bool {
        self.keys.view(peer, now).is_some_and(|view| view.inbound.is_some() && view.outbound.is_some())
    }

    /// What the key dictionary is to have for these peers.
    pub(super) fn entries(&self, peers: impl IntoIterator<Item = PeerKey>, now: UnixNanos) -> Vec<Entry> {
        let entry = |key| Some(Entry::new(Arc::clone(self.peers.get(&key)?), self.keys.key_set(key, now)));
        peers.into_iter().filter_map(entry).collect()
    }
}
