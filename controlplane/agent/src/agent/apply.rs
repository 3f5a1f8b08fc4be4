//! Putting another AS list in force, as one transaction.
//!
//! Everything that can fail comes first: reading, comparing generations, keeping the list for the next start. Then new peers get their
//! keys, and only when those are in the dictionary is traffic directed by the new list. Peers that go are taken out after every worker
//! has seen the new directions, so that no packet is looked up for a peer that has just gone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use photongate_pipeline::Settings;
use photongate_pipeline::limits::{Limit, LimitSettings};

use super::actor::Actor;
use super::last_good::LastGood;
use super::state::InForce;
use super::{ApplyError, ApplyRequest, ReloadError};
use crate::api::{AsListOrigin, Change, Changes, PeerName, ReloadOutcome};
use crate::as_list::{AsList, Difference, Format, SecretFiles};
use crate::keys::HeldKeys;

/// A list that is to be put in force, and all that comes with it.
pub(super) struct Proposal {
    pub(super) list: Arc<AsList>,
    pub(super) origin: AsListOrigin,
    /// Of the list's file, as it was read last.
    pub(super) source: Vec<u8>,
    /// What the pipeline is to be told, but for what follows from the list.
    pub(super) settings: Settings,
    pub(super) default_limit: LimitSettings,
    pub(super) warnings: Vec<String>,
}

impl Actor {
    /// Applies a list that came over HTTP.
    pub(super) async fn apply(&mut self, request: &ApplyRequest) -> Result<Changes, ApplyError> {
        if let Some(why) = self.not_replaceable() {
            return Err(ApplyError::NotReplaceable(why));
        }
        let in_force = self.shared.read().in_force.generation;
        if let Some(expected) = request.if_generation.filter(|expected| *expected != in_force) {
            return Err(ApplyError::Conflict { expected, in_force });
        }
        let read = self.read_list(Path::new(NAME_IN_PROBLEMS), &request.document, request.format, SecretFiles::Refuse);
        let (list, warnings) = read.map_err(|error| self.refuse(error))?;
        let proposal = self.proposal(list, AsListOrigin::Http { by: request.by.clone() }, self.seen.clone(), warnings);
        self.enact(proposal).await
    }

    /// Reads the list's file anew, and applies it if it is another than the last time.
    pub(super) async fn apply_file(&mut self, path: &Path) -> Result<Option<Changes>, ApplyError> {
        let format = Format::of_file(path);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(error) => {
                let problem = photongate_net::config::Problem::of_file(path, format!("cannot be read: {error}"));
                return Err(self.refuse(ApplyError::Invalid(problem.into())));
            }
        };
        let source = super::last_good::list_digest(text.as_bytes());
        if source == self.seen {
            return Ok(None);
        }
        // Also when it is refused: the same mistakes need not be told twice.
        let before = std::mem::replace(&mut self.seen, source.clone());
        let read = self.read_list(path, &text, format, SecretFiles::Check);
        let (list, warnings) = read.map_err(|error| self.refuse(error))?;
        let origin = AsListOrigin::File { path: path.display().to_string() };
        let proposal = self.proposal(list, origin, source, warnings);
        self.enact_from_file(proposal, before).await.map(Some)
    }

    /// Reads the whole configuration anew, and applies it with its list.
    pub(super) async fn reload(&mut self) -> Result<ReloadOutcome, ReloadError> {
        let running = self.publisher.settings();
        let reread = match self.configuration.reread(&running, self.publisher.clock()) {
            Ok(reread) => reread,
            Err(refused) => {
                self.shared.statistics.count_refused();
                return Err(refused.into());
            }
        };
        let origin = match &self.list_file {
            Some(file) => AsListOrigin::File { path: file.path.display().to_string() },
            None => self.configuration.origin(),
        };
        let fields = reread.fields;
        let proposal = Proposal {
            list: Arc::new(reread.list),
            origin,
            source: reread.list_source,
            settings: reread.settings,
            default_limit: reread.default_limit,
            warnings: reread.warnings,
        };
        let proposal = self.keep_what_was_put(proposal);
        let before = std::mem::replace(&mut self.seen, proposal.source.clone());
        let as_list = self.enact_from_file(proposal, before).await?;
        self.configuration.accept();
        Ok(ReloadOutcome { fields, as_list })
    }

    fn read_list(
        &self,
        path: &Path,
        text: &str,
        format: Format,
        secret_files: SecretFiles,
    ) -> Result<(Arc<AsList>, Vec<String>), ApplyError> {
        let in_force = Arc::clone(&self.shared.read().list);
        let (list, warnings) = self.shared.rules.read(path, text, format, secret_files, &in_force)?;
        Ok((Arc::new(list), warnings))
    }

    fn proposal(&self, list: Arc<AsList>, origin: AsListOrigin, source: Vec<u8>, warnings: Vec<String>) -> Proposal {
        let settings = Settings::clone(&self.publisher.settings());
        let default_limit = self.shared.read().default_limit;
        Proposal { list, origin, source, settings, default_limit, warnings }
    }

    /// The list in force instead, if somebody put it there over HTTP after what the file still says: a reload is also how logs are
    /// rotated and certificates renewed, and must not undo that.
    fn keep_what_was_put(&self, proposal: Proposal) -> Proposal {
        let state = self.shared.read();
        let is_put = matches!(state.in_force.origin, AsListOrigin::Http { .. });
        if !is_put || proposal.source.is_empty() || proposal.source != self.seen {
            return proposal;
        }
        let (list, origin) = (Arc::clone(&state.list), state.in_force.origin.clone());
        Proposal { list, origin, ..proposal }
    }

    /// Puts a proposal in force that was read from a file. What could not be kept is to be tried again, so the file then
    /// counts as not seen.
    async fn enact_from_file(&mut self, proposal: Proposal, before: Vec<u8>) -> Result<Changes, ApplyError> {
        let enacted = self.enact(proposal).await;
        if let Err(ApplyError::NotKept(_)) = &enacted {
            self.seen = before;
        }
        enacted
    }

    /// Puts a proposal in force. Nothing has changed if this fails.
    async fn enact(&mut self, proposal: Proposal) -> Result<Changes, ApplyError> {
        let mut changes = self.describe(&proposal);
        let Proposal { list, origin, source, mut settings, default_limit, .. } = proposal;
        let (difference, generation) = {
            let state = self.shared.read();
            (state.list.difference(&list), state.in_force.generation)
        };
        let generation = if difference.is_empty() { generation } else { generation + 1 };
        if let Some(store) = &self.store {
            let now = self.publisher.clock().unix;
            if let Err(error) = LastGood::keep(store, &list, generation, &origin, &source, now) {
                self.shared.statistics.count_store_failure();
                return Err(self.refuse(ApplyError::NotKept(error.to_string())));
            }
        }
        changes.generation = generation;
        changes.without_key = self.welcome(&list, &difference, default_limit).await;

        settings.best_effort_refusals = list.refuses_best_effort();
        settings.accept_lf2 = list.accepts_lf2();
        settings.routes = list.routes();
        self.publisher.replace_settings(settings);
        // A worker that does not poll looks nothing up either.
        let _ = self.wait_for_grace().await;
        self.dismiss(list, &difference, default_limit, (generation, origin)).await;
        self.shared.statistics.count_applied();
        tracing::info!(
            generation,
            added = changes.added.len(),
            removed = changes.removed.len(),
            changed = changes.changed.len(),
            without_key = changes.without_key.len(),
            "AS list in force"
        );
        Ok(changes)
    }

    /// What a proposal changes, in the form that callers are told.
    fn describe(&self, proposal: &Proposal) -> Changes {
        let state = self.shared.read();
        Changes {
            generation: state.in_force.generation,
            warnings: proposal.warnings.clone(),
            ..state.list.difference(&proposal.list).to_changes()
        }
    }

    /// Remembers why a list was refused, and says it in the log.
    fn refuse(&self, error: ApplyError) -> ApplyError {
        tracing::error!("the AS list stays as it is: {error}");
        self.shared.statistics.count_refused();
        self.shared.write().in_force.last_refusal = Some(error.to_string());
        error
    }

    /// Why no list can be put in force over HTTP, if none can.
    fn not_replaceable(&self) -> Option<String> {
        if self.list_file.is_none() {
            let message =
                "the peers stand in the configuration file: move them to a list of their own ([as_list] file = …)";
            return Some(format!("{message}, or change them there and reload"));
        }
        let without_state = "there is no state directory, so a restart would forget the list: add [state] directory";
        self.store.is_none().then(|| without_state.to_owned())
    }

    /// Gives new peers, and those whose secrets are others, their keys, and those whose limit is another that limit. Returns the new
    /// peers that there was no key for.
    async fn welcome(
        &mut self,
        list: &Arc<AsList>,
        difference: &Difference,
        default_limit: LimitSettings,
    ) -> Vec<PeerName> {
        let now = self.publisher.clock();
        let rekeyed = difference.changed.iter().filter(|(_, changes)| changes.contains(&Change::Keys));
        let rekeyed: Vec<_> = rekeyed.map(|(peer, _)| *peer).collect();
        {
            let mut state = self.shared.write();
            for peer in difference.added.iter().filter_map(|peer| list.get(*peer)) {
                let limit = peer.limit_or(default_limit);
                self.admit(&mut state, peer, &limit, HeldKeys::default(), now);
            }
            // Sources are found in the list. Until the new one is in force, it has both its own peers and those that go.
            state.coming = Some(Arc::clone(list));
            for peer in &rekeyed {
                state.keys.replace_source(*peer, now.unix);
            }
        }
        self.restate(list, default_limit);
        self.step();
        if !difference.added.is_empty() || !rekeyed.is_empty() {
            self.settle(PATIENCE).await;
        }
        let state = self.shared.read();
        let without = difference.added.iter().filter(|peer| !state.has_keys(**peer, now.unix));
        without.map(|peer| PeerName::from(*peer)).collect()
    }

    /// Gives peers their new limit that may send more or less than before, and their new encapsulation that have another. What is not
    /// new about them, and their counters, go on.
    fn restate(&mut self, list: &AsList, default_limit: LimitSettings) {
        let now = self.publisher.clock();
        let entries = {
            let mut state = self.shared.write();
            let changed = list.peers().iter().filter_map(|peer| {
                let before = state.list.get(peer.key)?;
                let limit = peer.limit_or(default_limit);
                let limit = (before.limit_or(state.default_limit) != limit).then_some(limit);
                let encapsulation = (before.encapsulation != peer.encapsulation).then_some(peer.encapsulation);
                (limit.is_some() || encapsulation.is_some()).then_some((peer.key, limit, encapsulation))
            });
            let changed: Vec<_> = changed.collect();
            for (peer, limit, encapsulation) in &changed {
                let Some(state) = state.peers.get_mut(peer) else { continue };
                if let Some(limit) = limit {
                    *state = Arc::new(state.with_limit(Limit::from_settings(limit, now.monotonic)));
                }
                if let Some(encapsulation) = encapsulation {
                    *state = Arc::new(state.with_encapsulation(*encapsulation));
                }
            }
            state.entries(changed.into_iter().map(|(peer, ..)| peer), now.unix)
        };
        if !entries.is_empty() {
            self.publish(entries);
        }
    }

    /// Takes those out that go, and then says which list is in force: whoever sees it sees its generation, and no worker has the others.
    async fn dismiss(
        &mut self,
        list: Arc<AsList>,
        difference: &Difference,
        default_limit: LimitSettings,
        (generation, origin): (u64, AsListOrigin),
    ) {
        if !difference.removed.is_empty() {
            {
                let mut state = self.shared.write();
                for peer in &difference.removed {
                    state.keys.remove(*peer);
                    state.peers.remove(peer);
                }
            }
            self.publisher.remove(&difference.removed);
            let _ = self.wait_for_grace().await;
        }
        let applied_at = self.publisher.clock().unix;
        let mut state = self.shared.write();
        if !difference.is_empty() || matches!(state.in_force.origin, AsListOrigin::LastGood) {
            state.in_force = InForce { generation, digest: list.digest(), origin, applied_at, last_refusal: None };
        }
        state.in_force.last_refusal = None;
        (state.coming, state.list, state.default_limit) = (None, list, default_limit);
    }
}

/// How long a change waits for the first keys of new peers. Those that have none by then get them later.
const PATIENCE: Duration = Duration::from_secs(5);

/// What mistakes in a list are said to be in that came without a file.
pub(super) const NAME_IN_PROBLEMS: &str = "as-list";
