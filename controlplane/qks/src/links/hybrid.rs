//! Two sources of a link in one, whose keys are secret as long as what either source gives is: for instance QKD and ML-KEM.
//!
//! Both ends must make the same blocks of the same bytes. So the leading end asks what waits at the other end, says which bytes of
//! which blocks make the next block, and makes it once the other end has. `derivation` is how.
//!
//! If one of the sources stalls, the link waits or goes on with the other one, as its operators wish; blocks then say of which source
//! they are.

mod derivation;
mod ends;
mod pool;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::ends::Ends;
use self::pool::Pool;
use super::{Block, Channel, ChannelError, LinkEnd, LinkSource, Origin, Phase, Question, SourceError, SourceState};

/// Two sources in one.
pub struct Hybrid {
    /// The sources, in the same order at both ends.
    pub of: [Box<dyn LinkSource>; 2],
    /// What then. The same at both ends.
    pub when_one_fails: WhenOneFails,
    /// When it counts as a failure that a source gives nothing while the other does.
    pub patience: Duration,
}

/// What a hybrid does while one of its sources gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenOneFails {
    /// It makes keys of the other source alone.
    CarryOn,
    /// It makes none.
    Wait,
}

impl LinkSource for Hybrid {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn origin(&self) -> Origin {
        both(self.of.each_ref().map(|source| source.origin()))
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let leads = end.leads();
            let mut ends = Ends::start(*self, end);
            if leads {
                ends.lead().await;
            } else {
                ends.follow().await;
            }
            Ok(())
        })
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(Self { of: self.of.each_ref().map(|source| source.again()), ..*self })
    }
}

impl fmt::Debug for Hybrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.of.each_ref().map(|source| source.kind());
        write!(f, "Hybrid({kinds:?}, {:?}, {:?})", self.when_one_fails, self.patience)
    }
}

/// One of the sources, while it runs.
struct Inner {
    kind: &'static str,
    origin: Origin,
    blocks: mpsc::Receiver<Block>,
    state: watch::Receiver<SourceState>,
    pool: Pool,
}

impl Inner {
    /// Runs a source as one of `tasks`: what it has, and where the other end's questions to it go.
    fn start(
        source: Box<dyn LinkSource>,
        index: u8,
        outer: &LinkEnd,
        tasks: &mut JoinSet<()>,
    ) -> (Self, mpsc::Sender<Question>) {
        let (blocks, produced) = mpsc::channel(1);
        let (state, shown) = watch::channel(SourceState::default());
        let (asked, questions) = mpsc::channel(MOST_QUESTIONS);
        let end = LinkEnd {
            link: outer.link.clone(),
            local: outer.local.clone(),
            remote: outer.remote.clone(),
            peer: Arc::new(Addressed { to: index, peer: Arc::clone(&outer.peer) }),
            questions,
            blocks,
            state: state.clone(),
        };
        let inner = Self {
            kind: source.kind(),
            origin: source.origin(),
            blocks: produced,
            state: shown,
            pool: Pool::default(),
        };
        tasks.spawn(async move {
            let (kind, link) = (source.kind(), end.link.clone());
            if let Err(error) = source.run(end).await {
                tracing::error!(%link, source = kind, %error, "a source of keys has ended");
                let reason = Some(error.to_string());
                state.send_modify(|state| (state.phase, state.reason) = (Phase::Waiting, reason));
            }
        });
        (inner, asked)
    }

    /// How the source is, in words.
    fn words(&self) -> String {
        let state = self.state.borrow();
        let phase = match state.phase {
            Phase::Starting => "is starting",
            Phase::Producing => "gives nothing that the other end has, too",
            Phase::Waiting => "waits",
            Phase::Alarm => "has an alarm",
        };
        match &state.reason {
            Some(reason) => format!("{} {phase}: {reason}", self.kind),
            None => format!("{} {phase}", self.kind),
        }
    }
}

/// A way to the other end of one of the sources: what it asks has the source's index before it.
#[derive(Debug)]
struct Addressed {
    to: u8,
    peer: Arc<dyn Channel>,
}

impl Channel for Addressed {
    fn ask(
        &self,
        question: Bytes,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, ChannelError>> + Send + '_>> {
        self.peer.ask([&[self.to], question.as_ref()].concat().into(), patience)
    }
}

/// Gives each question to whom it is for. What nobody can take is not answered.
async fn distribute(mut questions: mpsc::Receiver<Question>, to: [mpsc::Sender<Question>; 3]) {
    while let Some(Question { mut body, answer }) = questions.recv().await {
        if body.is_empty() {
            continue;
        }
        let address = body.split_to(1);
        if let Some(to) = to.get(usize::from(address[0])) {
            drop(to.try_send(Question { body, answer }));
        }
    }
}

/// What is made of material of both origins may be called.
fn both(origins: [Origin; 2]) -> Origin {
    if origins[0] == origins[1] { origins[0] } else { Origin::Hybrid }
}

const KIND: &str = "hybrid";
/// The address of the hybrid itself, behind its two sources.
const ITSELF: u8 = 2;
const MOST_QUESTIONS: usize = 64;

#[cfg(test)]
mod tests;
