//! The task that changes things, one at a time, and keeps keys fresh in between.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use photongate_pipeline::limits::{Limit, LimitSettings};
use photongate_pipeline::{Clock, Entry, PeerKey, PeerLedger, PeerState};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};

use super::file_list::ListWatch;
use super::keeper::Keeper;
use super::last_good::{InitialList, LastGood};
use super::reload::Configuration;
use super::state::{InForce, Rules, Shared, State};
use super::{AgentOptions, ApplyError, ApplyRequest, ListFile, NotRevoked, ReloadError};
use crate::api::{Changes, PrefetchOutcome, ReloadOutcome, RevokeOutcome};
use crate::as_list::{ListedPeer, Source};
use crate::keys::qks::{KeyServer, KeyServerSource};
use crate::keys::shared_secret::SharedSecretSource;
use crate::keys::{
    Direction, FetchError, Fetched, Fetcher, HeldKeys, KeyCache, KeyManager, KeyRequest, KeySource, Outcome,
};
use crate::sealed::SealedStore;
use crate::{Grace, Observer, Publisher};

/// What the task is asked to do, and where the answer goes.
pub(super) enum Command {
    Apply(Box<ApplyRequest>, oneshot::Sender<Result<Changes, ApplyError>>),
    Prefetch(PeerKey, oneshot::Sender<Option<PrefetchOutcome>>),
    Revoke(PeerKey, Option<Direction>, oneshot::Sender<Result<Option<RevokeOutcome>, NotRevoked>>),
    Reload(oneshot::Sender<Result<ReloadOutcome, ReloadError>>),
}

/// The task's own things; what others may read is in [`Shared`].
pub(super) struct Actor {
    pub(super) shared: Arc<Shared>,
    pub(super) publisher: Box<dyn Publisher>,
    /// Where the peers' counters are.
    ledger: PeerLedger,
    pub(super) list_file: Option<ListFile>,
    pub(super) store: Option<Arc<SealedStore>>,
    pub(super) configuration: Box<dyn Configuration>,
    /// Of the list's source as it was last applied, or refused: what a watcher compares with.
    pub(super) seen: Vec<u8>,
    key_server: Option<Arc<KeyServer>>,
    fetcher: Fetcher,
    watch: ListWatch,
    /// Entries that found no room in the dictionary.
    unpublished: Vec<PeerKey>,
    /// Something was replaced, and may still be held by a worker.
    retired: Option<(Grace, Instant)>,
    keeper: Keeper,
}

impl Actor {
    /// A task that has not begun, and what it shares.
    pub(super) fn new(
        options: AgentOptions,
        publisher: Box<dyn Publisher>,
        observer: Arc<dyn Observer>,
    ) -> (Self, Arc<Shared>) {
        let AgentOptions { version, local, default_protocol, times, max_peers, default_limit, list, .. } = options;
        let least_mtu = publisher.settings().ports.iter().map(|port| port.mtu).min().unwrap_or(usize::MAX);
        let least_mtu = u16::try_from(least_mtu).unwrap_or(u16::MAX);
        let has_key_server = options.key_server.is_some();
        let rules = Rules { local, times, default_protocol, max_peers, least_mtu, has_key_server };
        let now = publisher.clock().unix;
        let InitialList { list, generation, origin, refusal, source } = list;
        let state = State {
            default_limit,
            coming: None,
            keys: KeyManager::new(times, options.seed),
            peers: HashMap::new(),
            in_force: InForce { generation, digest: list.digest(), origin, applied_at: now, last_refusal: refusal },
            list: Arc::new(list),
            workers: Vec::new(),
        };
        let shared = Arc::new(Shared::new(version, rules, now, observer, state));
        let actor = Self {
            shared: Arc::clone(&shared),
            ledger: PeerLedger::new(publisher.workers()),
            publisher,
            list_file: options.list_file,
            store: options.store,
            configuration: options.configuration,
            key_server: options.key_server,
            seen: source,
            fetcher: Fetcher::new(FETCHES, &times),
            watch: ListWatch::none(),
            unpublished: Vec::new(),
            retired: None,
            keeper: Keeper::default(),
        };
        (actor, shared)
    }

    /// Gives the peers of the first list their keys, from what was kept if need be, and begins to watch the list's file.
    pub(super) async fn begin(&mut self) {
        let now = self.publisher.clock();
        let mut kept = self.kept_keys();
        {
            let mut state = self.shared.write();
            state.keys.restore_revoked(kept.take_revoked());
            let list = Arc::clone(&state.list);
            for peer in list.peers() {
                let limit = peer.limit_or(state.default_limit);
                self.admit(&mut state, peer, &limit, kept.take(peer.key), now);
            }
        }
        self.settle(PATIENCE).await;
        if let Some(store) = &self.store {
            let state = self.shared.read();
            let InForce { generation, origin, .. } = &state.in_force;
            if let Err(error) = LastGood::keep(store, &state.list, *generation, origin, &self.seen, now.unix) {
                self.shared.statistics.count_store_failure();
                tracing::error!("the AS list cannot be kept for the next start: {error}");
            }
        }
        if let Some(ListFile { path, watch: true }) = &self.list_file {
            match ListWatch::start(path) {
                Ok(watch) => self.watch = watch,
                Err(error) => {
                    let file = path.display();
                    tracing::warn!("changes of {file} go unnoticed: {error}; reload by `systemctl reload` or SIGHUP");
                }
            }
        }
        self.shared.feel_pulse();
    }

    /// Does what is asked, and what is due, until told to stop.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut stop: oneshot::Receiver<()>) {
        let mut second = interval(SECOND);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.step();
            let wake = self.until_wake();
            tokio::select! {
                biased;
                _ = &mut stop => break,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                fetched = self.fetcher.next() => self.take_in(fetched),
                () = sleep(wake) => {}
                () = self.watch.changed() => self.reread_file().await,
                _ = second.tick() => self.shared.feel_pulse(),
            }
        }
        if self.keeper.is_behind() {
            let _ = self.keep_keys();
        }
    }

    async fn obey(&mut self, command: Command) {
        // Whoever has gone away does not want the answer.
        match command {
            Command::Apply(request, answer) => drop(answer.send(self.apply(&request).await)),
            Command::Prefetch(peer, answer) => drop(answer.send(self.prefetch(peer).await)),
            Command::Revoke(peer, direction, answer) => drop(answer.send(self.revoke(peer, direction).await)),
            Command::Reload(answer) => {
                reread_certificates(self.key_server.clone()).await;
                drop(answer.send(self.reload().await));
            }
        }
    }

    async fn reread_file(&mut self) {
        let Some(path) = self.list_file.as_ref().map(|file| file.path.clone()) else { return };
        // Either way it is in the log, and whoever asks is told.
        let _ = self.apply_file(&path).await;
    }

    /// Starts the fetches that are due, and publishes all that has changed in one update.
    pub(super) fn step(&mut self) {
        // However many commands wait: keys come first.
        if let Some(fetched) = self.fetcher.try_next() {
            self.take_in(fetched);
        }
        let now = self.publisher.clock().unix;
        let entries = {
            let rules = self.shared.rules;
            let mut state = self.shared.write();
            for fetch in state.keys.due_fetches(now, self.fetcher.free()) {
                let peer = state.listed(fetch.request.peer);
                match peer.and_then(|peer| source(rules, self.key_server.as_ref(), peer)) {
                    Some(source) => self.fetcher.submit(fetch, source),
                    // Every fetch is answered, or the peer would wait for ever.
                    None => {
                        let error = FetchError::Unavailable("the list has no source of keys for it".to_owned());
                        state.keys.on_fetched(fetch.id, Err(error), now);
                    }
                }
            }
            let mut changed = state.keys.changed(now);
            if !changed.is_empty() {
                self.keeper.note_change();
            }
            changed.append(&mut self.unpublished);
            state.entries(changed, now)
        };
        if !entries.is_empty() {
            self.publish(entries);
        }
        if let Some((grace, begun)) = self.retired
            && self.publisher.is_over(grace)
        {
            self.shared.statistics.count_grace(begun.elapsed());
            self.retired = None;
        }
        if self.keeper.is_due() {
            let _ = self.keep_keys();
        }
    }

    /// Publishes entries. What finds no room is tried again with the next step.
    pub(super) fn publish(&mut self, entries: Vec<Entry>) {
        self.shared.statistics.count_update(entries.len());
        tracing::debug!(peers = entries.len(), "keys published");
        if let Err(full) = self.publisher.publish(entries) {
            tracing::error!("{full}");
            self.unpublished.extend(full.peers);
        }
        if self.retired.is_none() {
            self.retired = Some((self.publisher.begin_grace(), Instant::now()));
        }
    }

    /// Takes in what was fetched, and everything else that is there already.
    fn take_in(&mut self, first: Fetched) {
        let now = self.publisher.clock().unix;
        let mut state = self.shared.write();
        let mut fetched = Some(first);
        while let Some(Fetched { id, request, answer, took }) = fetched {
            self.shared.statistics.count_fetch(&answer, took);
            if let Err(error) = &answer {
                let KeyRequest { peer, direction, .. } = request;
                tracing::warn!(%peer, direction = direction.name(), "no key: {error}");
            }
            let is_error = answer.is_err();
            let outcome = state.keys.on_fetched(id, answer, now);
            self.shared.statistics.count_outcome(outcome);
            if outcome == Outcome::Failed && !is_error {
                tracing::warn!(peer = %request.peer, direction = request.direction.name(), "the key must not be used");
            }
            fetched = self.fetcher.try_next();
        }
    }

    /// Goes on until no fetch is due or under way, or patience ends.
    pub(super) async fn settle(&mut self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            self.step();
            if self.shared.read().keys.in_flight() == 0 && !self.until_wake().is_zero() {
                return;
            }
            match timeout_at(deadline, self.fetcher.next()).await {
                Ok(fetched) => self.take_in(fetched),
                Err(_) => return,
            }
        }
    }

    /// Waits until every worker acts by what is in force now, and holds nothing that was before. Returns how long it took.
    ///
    /// # Errors
    /// [`NotRevoked::StillHeld`].
    pub(super) async fn wait_for_grace(&mut self) -> Result<Duration, NotRevoked> {
        let (grace, begun) = (self.publisher.begin_grace(), Instant::now());
        let mut pause = SHORTEST_PAUSE;
        while !self.publisher.is_over(grace) {
            if begun.elapsed() > LONGEST_GRACE {
                tracing::error!("a worker has not polled for {} s", LONGEST_GRACE.as_secs());
                return Err(NotRevoked::StillHeld(LONGEST_GRACE));
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
        let took = begun.elapsed();
        self.shared.statistics.count_grace(took);
        Ok(took)
    }

    /// Makes a new peer known, with the keys that were kept for it.
    pub(super) fn admit(
        &self,
        state: &mut State,
        peer: &ListedPeer,
        limit: &LimitSettings,
        held: HeldKeys,
        now: Clock,
    ) {
        let (key, limit) = (peer.key, Limit::from_settings(limit, now.monotonic));
        let peer = PeerState::in_ledger(key, limit, &self.ledger).with_encapsulation(peer.encapsulation);
        state.peers.insert(key, Arc::new(peer));
        state.keys.add(key, held, now.unix);
    }

    /// The keys that were held before the start. Without them, peers whose source is down stay dark.
    fn kept_keys(&self) -> KeyCache {
        let read = self.store.as_ref().map(|store| {
            let bytes = store.unseal(KEYS).map_err(|error| error.to_string())?;
            let cache = bytes.map(|bytes| KeyCache::decode(&bytes)).transpose().map_err(|error| error.to_string())?;
            Ok::<_, String>(cache.unwrap_or_default())
        });
        read.transpose()
            .unwrap_or_else(|error| {
                tracing::warn!(
                    "the keys that were held before the start cannot be used, and are fetched anew: {error}"
                );
                None
            })
            .unwrap_or_default()
    }

    /// Writes the keys held down for the next start, sealed.
    ///
    /// # Errors
    /// What the store says.
    pub(super) fn keep_keys(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        let kept = match &self.store {
            Some(store) => {
                store.seal(KEYS, |cache| KeyCache::write(&self.shared.read().keys, |bytes| cache.put(bytes)))
            }
            None => Ok(()),
        };
        if let Err(error) = &kept {
            self.keeper.note_failed(begun.elapsed());
            self.shared.statistics.count_store_failure();
            tracing::error!("the keys cannot be kept for the next start, and are tried again: {error}");
        } else {
            self.keeper.note_written(begun.elapsed());
        }
        kept
    }

    /// Until something is due by the clock.
    fn until_wake(&self) -> Duration {
        let now = self.publisher.clock().unix;
        let wake = self.shared.read().keys.next_wake();
        let until = wake.map_or(LONGEST_WAIT, |wake| Duration::from_nanos(wake.0.saturating_sub(now.0)));
        let until = if self.fetcher.free() == 0 { LONGEST_WAIT } else { until };
        let reclaim = if self.retired.is_some() { RECLAIM_AFTER } else { LONGEST_WAIT };
        until.min(reclaim).min(LONGEST_WAIT)
    }
}

/// What the key server is shown may have been renewed.
async fn reread_certificates(server: Option<Arc<KeyServer>>) {
    let Some(server) = server else { return };
    match tokio::task::spawn_blocking(move || server.reload()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the key server is asked with the certificates read before: {error}"),
        Err(stopped) => tracing::warn!("the certificates for the key server were not read: {stopped}"),
    }
}

/// Where a peer's keys come from. Every list was read with the same times, so its secrets leave room for them.
fn source(rules: Rules, key_server: Option<&Arc<KeyServer>>, peer: &ListedPeer) -> Option<Arc<dyn KeySource>> {
    let Rules { local, times, .. } = rules;
    match &peer.source {
        Source::SharedSecret(secrets) => {
            let source = SharedSecretSource::new(local, peer.key.isd_as, times, Arc::clone(secrets));
            source.ok().map(|source| Arc::new(source) as Arc<dyn KeySource>)
        }
        Source::KeyServer => {
            let PeerKey { isd_as, protocol } = peer.key;
            Some(Arc::new(KeyServerSource::new(Arc::clone(key_server?), local, isd_as, protocol)))
        }
    }
}

/// Fetches under way at the same time.
const FETCHES: usize = 64;

/// What the keys held are sealed as.
const KEYS: &str = "keys";

const SECOND: Duration = Duration::from_secs(1);

/// A clock that was set is noticed this fast.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Workers quiesce in microseconds, or at most about a millisecond when they share a processor.
const RECLAIM_AFTER: Duration = Duration::from_millis(2);
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// A worker that holds something for longer has panicked or been stopped.
const LONGEST_GRACE: Duration = Duration::from_secs(10);

/// How long a start waits for keys. Peers without one get theirs later.
const PATIENCE: Duration = Duration::from_secs(10);
