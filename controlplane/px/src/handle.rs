//! How interfaces reach the node: they ask, and hear the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::command::{Change, ClientId, Outcome, Sequence};
use crate::config::ServerConfig;
use crate::membership::{NodeName, StoreId};
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

/// What reaches the node.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A request, and where its answer goes.
    Request { request: Request, reply: oneshot::Sender<Reply> },
    /// To connect to a node that is to join.
    Meet(ServerConfig),
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
        // A node that ends before it answers may have proposed what was to change, and others may agree on it.
        let unanswered = match request {
            Request::Write { .. } | Request::ChangeMembers(_) => Refusal::Unknown,
            Request::Read { .. } => Refusal::Stopping,
        };
        let (reply, answer) = oneshot::channel();
        match self.asking.try_send(Asked::Request { request, reply }) {
            Ok(()) => answer.await.unwrap_or(Reply::Refused(unanswered)),
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
        let mut may_be_made = false;
        loop {
            let request = Request::Write { client, sequence, author: Arc::clone(author), change: change.clone() };
            match self.ask(request).await {
                Reply::Refused(Refusal::Stopping) if may_be_made => return Reply::Refused(Refusal::Unknown),
                Reply::Refused(refusal) if is_passing(&refusal) => {
                    may_be_made |= refusal == Refusal::Unknown;
                    sleep(PAUSE).await;
                }
                reply => return reply,
            }
        }
    }

    /// Has the node connect to one that it may not know, and waits until that one has said what it is. `None` if it does not in time.
    pub async fn meet(&self, server: ServerConfig) -> Option<StoreId> {
        let name = NodeName::from(server.server_name.as_str());
        self.asking.send(Asked::Meet(server)).await.ok()?;
        let known = async {
            loop {
                match self.board.store_of(&name) {
                    Some(store) => return store,
                    None => sleep(PAUSE).await,
                }
            }
        };
        timeout(MEETING, known).await.ok()
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

/// How long a node that is to join may take to connect.
const MEETING: Duration = Duration::from_secs(10);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Revision;
    use crate::node::{Consistency, Query};

    #[tokio::test]
    async fn what_a_node_took_and_did_not_answer_before_it_ended_may_have_been_made() {
        for (request, refusal) in [(write(), Refusal::Unknown), (read(), Refusal::Stopping)] {
            let (handle, mut asked) = handle();
            let ends = async {
                drop(asked.recv().await);
                drop(asked);
            };
            let (reply, ()) = tokio::join!(handle.ask(request.clone()), ends);
            assert_eq!(reply, Reply::Refused(refusal));
            // From now on nothing is taken, and so nothing is made.
            assert_eq!(handle.ask(request).await, Reply::Refused(Refusal::Stopping));
        }
    }

    #[tokio::test]
    async fn who_asks_until_it_is_known_and_hears_that_the_node_stops_is_told_of_an_attempt_that_may_count() {
        for (attempt, told) in [(Refusal::Unknown, Refusal::Unknown), (Refusal::NoMajority, Refusal::Stopping)] {
            let (handle, mut asked) = handle();
            let ends = async {
                let Some(Asked::Request { reply, .. }) = asked.recv().await else { panic!("it is asked") };
                reply.send(Reply::Refused(attempt)).unwrap();
                drop(asked);
            };
            let (author, change) = ("ops".into(), Change::Register { nonce: 1 });
            let asking = handle.ask_at_last(ClientId::from(1), Sequence(1), &author, &change);
            assert_eq!(tokio::join!(asking, ends).0, Reply::Refused(told));
        }
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused_at_once() {
        let (handle, _asked) = handle();
        let waiting = handle.clone();
        let first = tokio::spawn(async move { waiting.ask(read()).await });
        tokio::task::yield_now().await;
        assert_eq!(handle.ask(read()).await, Reply::Refused(Refusal::Busy));
        first.abort();
    }

    fn handle() -> (Handle, mpsc::Receiver<Asked>) {
        Handle::new(1, Arc::new(Board::new("a", StoreId(1))), Watches::new(1, Revision(0)))
    }

    fn write() -> Request {
        let (client, author, change) = (ClientId::from(1), "ops".into(), Change::Register { nonce: 1 });
        Request::Write { client, sequence: Sequence(1), author, change }
    }

    fn read() -> Request {
        let query = Query::List { prefix: String::new(), after: None, limit: 0 };
        Request::Read { query, consistency: Consistency::Linearizable }
    }
}
