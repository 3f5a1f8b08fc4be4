//! The control plane as a whole: one task that owns everything that changes, and handles to ask and tell it.
//!
//! The task ([`actor`]) alone changes keys, list and settings, so changes come one after another and each is whole. Those who
//! only want to know read what it has written down ([`state`]) without going through it.

mod actor;
mod apply;
mod by_hand;
mod file_list;
mod keeper;
mod last_good;
mod reload;
mod state;
mod statistics;
mod views;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use photongate_drkey::{KeyTimes, Protocol};
use photongate_net::config::Problems;
use photongate_pipeline::PeerKey;
use photongate_pipeline::limits::LimitSettings;
use photongate_wire::IsdAs;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::api::{Changes, PrefetchOutcome, ReloadOutcome, RevokeOutcome};
use crate::as_list::{Format, SecretFiles};
use crate::keys::Direction;
use crate::keys::qks::KeyServer;
use crate::sealed::SealedStore;
use crate::{Observer, Publisher};

use actor::{Actor, Command};
use state::Shared;

pub use last_good::{ConfiguredList, InitialList, NoList, list_digest};
pub use reload::{Configuration, ReloadRefused, Reread};
pub use views::PeersQuery;

/// What a control plane is started with.
pub struct AgentOptions {
    /// The version of the program, for those who ask.
    pub version: String,
    /// The AS that the filter stands in front of.
    pub local: IsdAs,
    /// The DRKey protocol of peers that name none.
    pub default_protocol: Protocol,
    /// How long keys live.
    pub times: KeyTimes,
    /// Peers that the key dictionary has room for.
    pub max_peers: u32,
    /// What a peer may send that has no limit of its own.
    pub default_limit: LimitSettings,
    /// The list to begin with.
    pub list: InitialList,
    /// The file that the list is read from, and whether its changes are applied as they happen; `None` if the peers stand in the
    /// configuration itself.
    pub list_file: Option<ListFile>,
    /// Where the list and the keys in force outlive the process; `None` if they do not.
    pub store: Option<Arc<SealedStore>>,
    /// What reads the rest of the configuration anew.
    pub configuration: Box<dyn Configuration>,
    /// The key server, for peers whose keys come from there; `None` if there is none.
    pub key_server: Option<Arc<KeyServer>>,
    /// What the fetches of keys are spread by; any number.
    pub seed: u64,
}

/// The file of an AS list.
#[derive(Clone, Debug)]
pub struct ListFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether its changes are applied as they happen.
    pub watch: bool,
}

/// A handle to a running control plane. Clones mean the same one.
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// The task behind the handles. Ends when told to.
pub struct AgentTask {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Starts a control plane over a running packet path, and applies the first list: when this returns, each peer has its keys or has
    /// been tried once.
    pub async fn start(
        options: AgentOptions,
        publisher: Box<dyn Publisher>,
        observer: Arc<dyn Observer>,
    ) -> (Self, AgentTask) {
        let (commands, received) = mpsc::channel(COMMANDS);
        let (stop, stopped) = oneshot::channel();
        let (mut actor, shared) = Actor::new(options, publisher, observer);
        actor.begin().await;
        let task = tokio::spawn(actor.run(received, stopped));
        (Self { shared, commands }, AgentTask { stop, task })
    }

    /// Replaces the AS list by a document.
    ///
    /// # Errors
    /// [`ApplyError`]. Then nothing changed.
    pub async fn apply_list(&self, request: ApplyRequest) -> Result<Changes, ApplyError> {
        self.command(|answer| Command::Apply(Box::new(request), answer)).await.unwrap_or(Err(ApplyError::Stopping))
    }

    /// Says what a document would change if it took the place of the AS list. Keeps nobody waiting who changes something.
    ///
    /// # Errors
    /// [`ApplyError::Invalid`].
    pub async fn check_list(&self, document: Zeroizing<String>, format: Format) -> Result<Changes, ApplyError> {
        let shared = Arc::clone(&self.shared);
        let check = move || {
            let (in_force, generation) = {
                let state = shared.read();
                (Arc::clone(&state.list), state.in_force.generation)
            };
            let path = Path::new(apply::NAME_IN_PROBLEMS);
            let (list, warnings) = shared.rules.read(path, &document, format, SecretFiles::Refuse, &in_force)?;
            Ok(Changes { generation, dry_run: true, warnings, ..in_force.difference(&list).to_changes() })
        };
        tokio::task::spawn_blocking(check).await.unwrap_or(Err(ApplyError::Stopping))
    }

    /// Fetches a peer's next keys ahead of time; `None` if there is no such peer.
    pub async fn prefetch(&self, peer: PeerKey) -> Option<PrefetchOutcome> {
        self.command(|answer| Command::Prefetch(peer, answer)).await.flatten()
    }

    /// Takes a peer's keys out of use; `None` if there is no such peer. When this returns, no worker holds them.
    ///
    /// # Errors
    /// [`NotRevoked`].
    pub async fn revoke(
        &self,
        peer: PeerKey,
        direction: Option<Direction>,
    ) -> Result<Option<RevokeOutcome>, NotRevoked> {
        self.command(|answer| Command::Revoke(peer, direction, answer)).await.unwrap_or(Err(NotRevoked::Stopping))
    }

    /// Reads the configuration and the AS list anew.
    ///
    /// # Errors
    /// [`ReloadError`]. Then nothing changed.
    pub async fn reload(&self) -> Result<ReloadOutcome, ReloadError> {
        self.command(Command::Reload).await.unwrap_or(Err(ReloadError::Stopping))
    }

    /// What the control plane counts of its own doings.
    pub(crate) fn statistics(&self) -> &statistics::Statistics {
        &self.shared.statistics
    }

    /// Sends a command and waits for the answer; `None` when the control plane has stopped.
    async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}

impl AgentTask {
    /// Whether the task runs. It ends by itself only if it panics.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Stops the task: what it is doing is finished, and the keys in force are kept for the next start.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // A panic has been printed, and there is nothing to undo.
        let _ = tokio::time::timeout(LONGEST_STOP, self.task).await;
    }
}

/// A list to apply.
pub struct ApplyRequest {
    /// The document, with its secrets.
    pub document: Zeroizing<String>,
    /// What it is written in.
    pub format: Format,
    /// Who wants it.
    pub by: String,
    /// The generation that must be in force; `None` whichever it is.
    pub if_generation: Option<u64>,
}

/// Why a list was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The list has mistakes.
    #[error("{0}")]
    Invalid(#[from] Problems),
    /// Another list is in force than the one that was to be replaced.
    #[error(
        "generation {in_force} is in force, not {expected}: somebody else has changed the list; look at it and try again"
    )]
    Conflict {
        /// The generation that was to be replaced.
        expected: u64,
        /// The one in force.
        in_force: u64,
    },
    /// The list stands in the configuration file, which is not to be contradicted.
    #[error("{0}")]
    NotReplaceable(String),
    /// The list cannot be kept for the next start.
    #[error("the list cannot be kept: {0}; nothing was changed")]
    NotKept(String),
    /// The filter stops.
    #[error("the filter is stopping")]
    Stopping,
}

/// Why keys were not revoked, or not for certain.
#[derive(Debug, thiserror::Error)]
pub enum NotRevoked {
    /// A worker does not let go. It does not take new packets either, or the filter would have ended.
    #[error("a worker has not let go of the keys within {}s: they are out of the dictionary, but call again until this succeeds", .0.as_secs())]
    StillHeld(Duration),
    /// It cannot be written down that they were revoked.
    #[error("the keys are out of use, but a restart would bring them back: {0}")]
    NotKept(String),
    /// The filter stops.
    #[error("the filter is stopping")]
    Stopping,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration was refused.
    #[error(transparent)]
    Refused(#[from] ReloadRefused),
    /// The AS list was refused.
    #[error(transparent)]
    List(#[from] ApplyError),
    /// The filter stops.
    #[error("the filter is stopping")]
    Stopping,
}

/// Commands that wait. More have their senders wait.
const COMMANDS: usize = 64;

/// The last fetches and a file to write.
const LONGEST_STOP: Duration = Duration::from_secs(5);
