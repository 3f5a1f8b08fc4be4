//! How interfaces reach the node: they ask, and hear the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::command::{Change, ClientId, Outcome, Sequence};
use crate::node::{Refusal, Reply, Request};
use crate::server::Board;
use crate::watch::Watches;

/// Asks a running node. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    asking: mpsc::Sender<Asked>,
    clients: Arc<Mutex<Vec<Session>>>,
    board: Arc<Board>,
    watches: Watches,
}

/// A request, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// A client that the node has registered for itself, and the number of its last command.
#[derive(Clone, Copy, Debug)]
struct Session {
    client: ClientId,
    sequence: u64,
}

impl Handle {
    /// A handle, and the requests that are asked by it. So many may wait.
    pub(crate) fn new(waiting: usize, board: Arc<Board>, watches: Watches) -> (Self, mpsc::Receiver<Asked>) {
        let (asking, asked) = mpsc::channel(waiting);
        (Self { asking, clients: Arc::default(), board, watches }, asked)
    }

    /// Asks, and waits for the answer. Refused at once if too many wait already.
    pub async fn ask(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        match self.asking.try_send(Asked { request, reply }) {
            Ok(()) => answer.await.unwrap_or(Reply::Refused(Refusal::Stopping)),
            Err(mpsc::error::TrySendError::Full(_)) => Reply::Refused(Refusal::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Reply::Refused(Refusal::Stopping),
        }
    }

    /// Makes a change for somebody who keeps no count of commands. It is made once, or not at all; if nobody can know in time,
    /// [`Refusal::Unknown`] says so.
    pub async fn write(&self, author: Arc<str>, change: Change) -> Reply {
        // A client that was forgotten is replaced. That happens twice in a row only if ten thousand others came in between.
        for _ in 0..ATTEMPTS {
            let mut session = match self.session(&author).await {
                Ok(session) => session,
                Err(refusal) => return refusal,
            };
            session.sequence += 1;
            let (client, sequence) = (session.client, Sequence(session.sequence));
            let request = Request::Write { client, sequence, author: Arc::clone(&author), change: change.clone() };
            let reply = self.ask(request).await;
            if reply != Reply::Done(Outcome::UnknownClient) {
                self.sessions().push(session);
                return reply;
            }
        }
        Reply::Refused(Refusal::Busy)
    }

    /// As [`write`](Self::write), however long it takes until it is known what came of it: for callers that cannot ask again. Ends
    /// early when the node stops.
    pub async fn write_at_last(&self, author: Arc<str>, change: Change) -> Reply {
        loop {
            let session = match self.session(&author).await {
                Ok(session) => session,
                Err(Reply::Refused(refusal)) if is_passing(&refusal) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(reply) => return reply,
            };
            let sequence = Sequence(session.sequence + 1);
            let reply = self.ask_at_last(session.client, sequence, &author, &change).await;
            if reply != Reply::Done(Outcome::UnknownClient) {
                self.sessions().push(Session { client: session.client, sequence: sequence.0 });
                return reply;
            }
        }
    }

    /// Asks for a command of a client until it is known what came of it, or the node stops.
    pub async fn ask_at_last(&self, client: ClientId, sequence: Sequence, author: &Arc<str>, change: &Change) -> Reply {
        loop {
            let request = Request::Write { client, sequence, author: Arc::clone(author), change: change.clone() };
            match self.ask(request).await {
                Reply::Refused(refusal) if is_passing(&refusal) => sleep(PAUSE).await,
                reply => return reply,
            }
        }
    }

    /// What is known of the node at this moment.
    pub fn board(&self) -> &Board {
        &self.board
    }

    pub(crate) fn share_board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Changes as they happen.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// A client whose commands before are all answered. Each client has one command under way: so none can overtake another.
    async fn session(&self, author: &Arc<str>) -> Result<Session, Reply> {
        if let Some(session) = self.sessions().pop() {
            return Ok(session);
        }
        let change = Change::Register { nonce: getrandom::u64().unwrap_or_default() };
        let (client, sequence) = (ClientId::from(0), Sequence(0));
        match self.ask(Request::Write { client, sequence, author: Arc::clone(author), change }).await {
            Reply::Done(Outcome::Registered { client }) => Ok(Session { client, sequence: 0 }),
            // That a client may have been registered matters to nobody: what was to be done was not.
            Reply::Refused(Refusal::Unknown) => Err(Reply::Refused(Refusal::NoMajority)),
            other => Err(other),
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether asking again may help.
fn is_passing(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Busy | Refusal::NotAMember | Refusal::Unknown | Refusal::NoMajority => true,
        Refusal::Stopping | Refusal::Members(_) => false,
    }
}

const ATTEMPTS: usize = 3;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
