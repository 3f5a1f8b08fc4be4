//! One end of a link, for as long as it is wanted: finds its other end again and again, and makes keys with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::control::Control;
use crate::parameters::Parameters;
use crate::session::{self, Greeted, KeyBlock, Memory, Secret, SessionError};
use crate::status::{Phase, Status};
use pairing::Pairing;

mod pairing;

/// One end of a link.
pub struct Link {
    /// Whether this end leads. Exactly one of the two does.
    pub lead: bool,
    /// What the two ends share.
    pub secret: Secret,
    /// How blocks are made, if this end leads.
    pub parameters: Parameters,
    /// How long to wait for a sign of life from the other end.
    pub patience: Duration,
    /// The channel.
    pub control: Control,
    /// Where blocks go. It is full when the stock is: then no more are made.
    pub blocks: mpsc::Sender<KeyBlock>,
    /// How the link is.
    pub status: watch::Sender<Status>,
}

impl Link {
    /// Makes keys with whoever connects and has the secret, until the other side of `blocks` is gone. The newest connection
    /// counts: an end that has started again need not wait until this one finds its old connection dead.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub async fn listen(self, listener: TcpListener) -> Result<(), SessionError> {
        let wanted = self.blocks.clone();
        tokio::select! {
            error = self.accept(listener) => Err(error),
            () = wanted.closed() => Ok(()),
        }
    }

    /// Makes keys with the end at `address` (a host and a port), until the other side of `blocks` is gone.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub async fn connect(self, address: &str) -> Result<(), SessionError> {
        let wanted = self.blocks.clone();
        tokio::select! {
            error = self.reconnect(address) => Err(error),
            () = wanted.closed() => Ok(()),
        }
    }

    async fn accept(self, listener: TcpListener) -> SessionError {
        let memory = match self.memory() {
            Ok(memory) => Arc::new(Mutex::new(memory)),
            Err(error) => return error,
        };
        let mut pairing = Pairing::new(listener, self.patience.min(GREETING_PATIENCE));
        let mut greetings = JoinSet::new();
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                (classical, quantum) = pairing.next(), if greetings.len() < MOST_GREETINGS => {
                    let (lead, secret, control) = (self.lead, self.secret.clone(), self.control.clone());
                    let patience = self.patience.min(GREETING_PATIENCE);
                    greetings.spawn(async move {
                        session::greet(classical, quantum, lead, &secret, control, patience).await
                    });
                }
                Some(Ok(greeted)) = greetings.join_next() => match greeted {
                    Ok(greeted) => {
                        sessions.shutdown().await;
                        let (memory, blocks) = (Arc::clone(&memory), self.blocks.clone());
                        sessions.spawn(async move { run(greeted, &mut *memory.lock().await, &blocks).await });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection for the link was refused");
                        if sessions.is_empty() {
                            self.lost(&mut *memory.lock().await, &error);
                        }
                    }
                },
                Some(Ok(error)) = sessions.join_next() => self.lost(&mut *memory.lock().await, &error),
            }
        }
    }

    async fn reconnect(self, address: &str) -> SessionError {
        let mut memory = match self.memory() {
            Ok(memory) => memory,
            Err(error) => return error,
        };
        let mut pause = SHORTEST_PAUSE;
        loop {
            let error = match self.dial(address).await {
                Ok(greeted) => {
                    pause = SHORTEST_PAUSE;
                    run(greeted, &mut memory, &self.blocks).await
                }
                Err(error) => error,
            };
            self.lost(&mut memory, &error);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn dial(&self, address: &str) -> Result<Greeted<TcpStream>, SessionError> {
        let mut token = [0; pairing::TOKEN_LEN];
        getrandom::fill(&mut token)?;
        let open = async |kind| {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&pairing::preamble(kind, &token)).await?;
            Ok::<_, SessionError>(stream)
        };
        let both = async {
            Ok::<_, SessionError>((open(pairing::Kind::Classical).await?, open(pairing::Kind::Quantum).await?))
        };
        let (classical, quantum) =
            timeout(self.patience, both).await.map_err(|_| SessionError::Silent(self.patience))??;
        session::greet(classical, quantum, self.lead, &self.secret, self.control.clone(), self.patience).await
    }

    fn memory(&self) -> Result<Memory, SessionError> {
        self.status.send_modify(|status| status.phase = Phase::Connecting(None));
        Memory::new(self.lead, self.parameters, self.status.clone())
    }

    fn lost(&self, memory: &mut Memory, error: &SessionError) {
        tracing::warn!(%error, "the link has lost its other end");
        memory.status.pause(Phase::Connecting(Some(error.to_string())));
    }
}

async fn run(greeted: Greeted<TcpStream>, memory: &mut Memory, blocks: &mpsc::Sender<KeyBlock>) -> SessionError {
    tracing::info!("the link has found its other end");
    session::run(greeted, memory, blocks).await
}

/// How long somebody who connects may take to say who he is.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);
/// How many may be about to say it.
const MOST_GREETINGS: usize = 16;
/// Between two attempts to connect, at first.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// Between two attempts to connect, in the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
