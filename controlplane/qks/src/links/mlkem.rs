//! Keys without a QKD device: ML-KEM-768 (FIPS 203) between the two servers of a link, anew for each block.
//!
//! Both servers sign what they send with the keys of their TLS certificates; `exchange` has the protocol. An eavesdropper who
//! records everything must break ML-KEM to learn a block. The signatures need to hold only while the exchange goes on: what breaks
//! them later helps nobody with blocks that are made already.

mod exchange;

use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use self::exchange::{Answered, ExchangeError, Greeting, MOST_SEGMENTS, Session, greet};
use super::progress::{BackOff, Progress, rest};
use super::signature::Credentials;
use super::talk::{self, Names};
use super::{Block, Channel, ChannelError, LinkEnd, LinkSource, Origin, SourceError};
use crate::encoding::Bytes64;

/// ML-KEM between the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlKem {
    /// How it is to go.
    pub settings: MlKemSettings,
    /// What this server signs with, and whose signatures it believes. Read anew for each session.
    pub credentials: Credentials,
}

/// How ML-KEM is to go. What the leading end has is what counts, but for how long the other end is patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlKemSettings {
    /// The time from one block to the next.
    pub interval: Duration,
    /// How many exchanges make a block, 1 to [`MlKemSettings::MOST_EXCHANGES`]. Each gives 8,160 bytes.
    pub exchanges_per_block: u16,
}

impl MlKemSettings {
    /// The most that [`exchanges_per_block`](Self::exchanges_per_block) may be.
    pub const MOST_EXCHANGES: u16 = MOST_SEGMENTS;
}

impl Default for MlKemSettings {
    /// A block of 130,560 bytes each second.
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), exchanges_per_block: 16 }
    }
}

impl LinkSource for MlKem {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn origin(&self) -> Origin {
        Origin::Pqc
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        if end.leads() { Box::pin(self.lead(end)) } else { Box::pin(self.follow(end)) }
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(self.clone())
    }
}

/// Why no block was made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("what the other end says is refused: {0}")]
    Exchange(#[from] ExchangeError),
    #[error("{0}")]
    Credentials(#[from] photongate_net::tls::TlsError),
    #[error("the other end has no room for more key material")]
    NoRoom,
    #[error("the other end does not know of this session")]
    Forgotten,
    #[error("the other end refuses: {0}")]
    Refused(String),
}

/// A session of the leading end.
struct Leading {
    session: Session,
    next: u64,
    since: Instant,
}

impl MlKem {
    async fn lead(self: Box<Self>, mut end: LinkEnd) -> Result<(), SourceError> {
        // The other end has nothing to ask.
        end.questions.close();
        let progress = Progress::new(&end, KIND);
        let names = Names::of(&end);
        let mut back_off = BackOff::new();
        let mut leading = None;
        while let Ok(room) = end.blocks.reserve().await {
            let began = Instant::now();
            let pause = match self.produce(&*end.peer, &names, &mut leading).await {
                Ok(block) => {
                    room.send(block);
                    progress.producing();
                    back_off.reset();
                    self.settings.interval.saturating_sub(began.elapsed())
                }
                Err(failure) => {
                    if !matches!(failure, Failure::NoRoom | Failure::Channel(_)) {
                        leading = None;
                    }
                    progress.waiting(failure.to_string());
                    back_off.after_failure()
                }
            };
            rest(&end.blocks, pause).await;
        }
        Ok(())
    }

    /// Makes a block in the session that there is, or a new one.
    async fn produce(
        &self,
        peer: &dyn Channel,
        names: &Names,
        leading: &mut Option<Leading>,
    ) -> Result<Block, Failure> {
        leading.take_if(|leading| leading.since.elapsed() >= LONGEST_SESSION);
        let leading = match leading {
            Some(leading) => leading,
            None => leading.insert(self.begin(peer, names).await?),
        };
        let number = leading.next;
        // A number is never used twice: if the answer is lost, the other end may have its block already.
        leading.next += 1;
        let (asked, question) = leading.session.ask(number, self.settings.exchanges_per_block)?;
        let answer = ask(peer, &Question::Keys(Bytes64(question))).await?;
        let bytes = leading.session.answered(names, &asked, &answer)?;
        Ok(Block { stream: leading.session.stream, number, bytes, origin: Origin::Pqc, kept: None })
    }

    async fn begin(&self, peer: &dyn Channel, names: &Names) -> Result<Leading, Failure> {
        let (greeting, message) = Greeting::new(names, self.credentials.open(&names.follower)?)?;
        let answer = ask(peer, &Question::Greeting(Bytes64(message))).await?;
        let session = greeting.answered(names, &answer)?;
        Ok(Leading { session, next: 0, since: Instant::now() })
    }

    async fn follow(self: Box<Self>, mut end: LinkEnd) -> Result<(), SourceError> {
        let progress = Progress::new(&end, KIND);
        let names = Names::of(&end);
        let silence = LONGEST_SILENCE.max(self.settings.interval * 3);
        let mut following = Following::default();
        loop {
            let question = tokio::select! {
                question = timeout(silence, end.questions.recv()) => question,
                () = end.blocks.closed() => return Ok(()),
            };
            let question = match question {
                Ok(Some(question)) => question,
                Ok(None) => return Ok(()),
                Err(_) => {
                    progress.waiting("the other end asks for nothing: it has no room, or is not there");
                    continue;
                }
            };
            let Some(asked) = talk::asked(&question) else { continue };
            let reply = self.reply(&end, &names, &mut following, &asked);
            match &reply {
                Reply::Done(_) if matches!(asked, Question::Keys(_)) => progress.producing(),
                Reply::Done(_) | Reply::Forgotten => {}
                Reply::NoRoom => progress.waiting("there is no room for more key material"),
                Reply::Refused(why) => progress.waiting(format!("what the other end says is refused: {why}")),
            }
            talk::answer(question, &reply);
        }
    }

    fn reply(&self, end: &LinkEnd, names: &Names, following: &mut Following, asked: &Question) -> Reply {
        let replied = match asked {
            Question::Greeting(greeting) => self.greeted(names, following, &greeting.0),
            Question::Keys(keys) => match end.blocks.try_reserve() {
                Ok(room) => following.answer(names, &keys.0, room),
                Err(_) => return Reply::NoRoom,
            },
        };
        match replied {
            Ok(answer) => Reply::Done(Bytes64(answer)),
            Err(Failure::Forgotten) => Reply::Forgotten,
            Err(failure) => Reply::Refused(failure.to_string()),
        }
    }

    fn greeted(&self, names: &Names, following: &mut Following, greeting: &[u8]) -> Result<Vec<u8>, Failure> {
        let (session, answer) = greet(names, self.credentials.open(&names.leader)?, greeting)?;
        following.greeted = Some(session);
        Ok(answer)
    }
}

/// The sessions of the end that does not lead.
#[derive(Default)]
struct Following {
    /// The one that blocks come from, and the last number.
    current: Option<(Session, u64)>,
    /// One that was begun. It takes the place of the current one with its first keys, so that a greeting that somebody kept and says
    /// again ends no session.
    greeted: Option<Session>,
}

impl Following {
    fn answer(&mut self, names: &Names, keys: &[u8], room: mpsc::Permit<'_, Block>) -> Result<Vec<u8>, Failure> {
        if let Some(session) = self.greeted.take_if(|greeted| greeted.is_asked(keys)) {
            let answered = session.answer(names, None, keys)?;
            return Ok(self.keep(session, answered, room));
        }
        let (session, last) = self.current.take_if(|(current, _)| current.is_asked(keys)).ok_or(Failure::Forgotten)?;
        match session.answer(names, Some(last), keys) {
            Ok(answered) => Ok(self.keep(session, answered, room)),
            Err(error) => {
                self.current = Some((session, last));
                Err(error.into())
            }
        }
    }

    fn keep(&mut self, session: Session, answered: Answered, room: mpsc::Permit<'_, Block>) -> Vec<u8> {
        let Answered { number, bytes, message } = answered;
        room.send(Block { stream: session.stream, number, bytes, origin: Origin::Pqc, kept: None });
        self.current = Some((session, number));
        message
    }
}

/// Asks the other end, and takes only what it did.
async fn ask(peer: &dyn Channel, question: &Question) -> Result<Vec<u8>, Failure> {
    match talk::ask(peer, question, PATIENCE).await? {
        Reply::Done(answer) => Ok(answer.0),
        Reply::NoRoom => Err(Failure::NoRoom),
        Reply::Forgotten => Err(Failure::Forgotten),
        Reply::Refused(why) => Err(Failure::Refused(why)),
    }
}

/// From the leading end.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
    Greeting(Bytes64),
    Keys(Bytes64),
}

/// From the other end. Only what is done is signed: whoever forges the others can keep keys from coming, and can do so by saying nothing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(Bytes64),
    NoRoom,
    Forgotten,
    Refused(String),
}

const KIND: &str = "mlkem";
const PATIENCE: Duration = Duration::from_secs(5);
/// After so long without a question, the end that does not lead says so.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// After so long, both begin a new session.
const LONGEST_SESSION: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests;
