//! The two ends of a hybrid: how they agree which bytes make the next block.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::super::progress::Progress;
use super::super::talk::{self, Names};
use super::super::{Block, LinkEnd, Phase};
use super::derivation::{UNIT_BYTES, derive};
use super::pool::{Held, MOST_BLOCKS, first_bytes, length};
use super::{Addressed, Hybrid, ITSELF, Inner, KIND, MOST_QUESTIONS, Question, WhenOneFails, both, distribute};
use crate::ids::StreamId;
use crate::stock::{BlockName, Piece};

/// One end of a hybrid.
pub(super) struct Ends {
    names: Names,
    inner: [Inner; 2],
    when_one_fails: WhenOneFails,
    patience: Duration,
    peer: Addressed,
    questions: mpsc::Receiver<Question>,
    blocks: mpsc::Sender<Block>,
    progress: Progress,
    /// When a block was made last, and which sources took part.
    made: Option<(Instant, [bool; 2])>,
    /// What is between the ends, if anything is.
    trouble: Option<String>,
    /// When both sources took part last.
    paired: Instant,
    /// The sources, and what serves them. They end with this.
    tasks: JoinSet<()>,
}

/// Which bytes of the two sources make a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Combination {
    stream: StreamId,
    number: u64,
    of: [Vec<Piece>; 2],
}

/// From the leading end.
#[derive(Serialize, Deserialize)]
struct Asked {
    when_one_fails: WhenOneFails,
    /// What the leading end does not have.
    gone: [Vec<BlockName>; 2],
    combination: Option<Combination>,
}

/// From the other end.
#[derive(Serialize, Deserialize)]
struct Told {
    outcome: Outcome,
    /// What waits there.
    held: [Vec<Held>; 2],
}

/// What became of a combination.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// None was asked for.
    Nothing,
    /// The other end has the block.
    Done,
    /// Nothing was used.
    NoRoom,
    /// Nothing was used: it does not have what it takes.
    Missing,
    /// Nothing was used.
    Refused(String),
}

/// What the leading end knows.
struct Leading {
    stream: StreamId,
    next: u64,
    /// What waits at the other end, as far as it is known.
    theirs: [Vec<Held>; 2],
    /// A combination that the other end may have made.
    unsure: Option<Combination>,
}

impl Ends {
    /// Starts the sources.
    pub(super) fn start(hybrid: Hybrid, mut end: LinkEnd) -> Self {
        let mut tasks = JoinSet::new();
        let [first, second] = hybrid.of;
        let (first, to_first) = Inner::start(first, 0, &end, &mut tasks);
        let (second, to_second) = Inner::start(second, 1, &end, &mut tasks);
        let (asked, questions) = mpsc::channel(MOST_QUESTIONS);
        let all_questions = std::mem::replace(&mut end.questions, questions);
        tasks.spawn(distribute(all_questions, [to_first, to_second, asked]));
        Self {
            names: Names::of(&end),
            inner: [first, second],
            when_one_fails: hybrid.when_one_fails,
            patience: hybrid.patience,
            progress: Progress::new(&end, KIND),
            peer: Addressed { to: ITSELF, peer: Arc::clone(&end.peer) },
            questions: end.questions,
            blocks: end.blocks,
            made: None,
            trouble: None,
            paired: Instant::now(),
            tasks,
        }
    }

    /// The leading end, until nobody wants blocks any more.
    pub(super) async fn lead(&mut self) {
        self.questions.close();
        let mut leading = Leading::new();
        let mut next_round = Instant::now();
        while !self.blocks.is_closed() {
            if self.receive(next_round).await.is_some() {
                continue;
            }
            let is_more = self.round(&mut leading).await;
            self.show();
            next_round = if is_more { Instant::now() } else { Instant::now() + ROUND };
        }
    }

    /// The other end, until nobody wants blocks any more.
    pub(super) async fn follow(&mut self) {
        let mut last = None;
        while !self.blocks.is_closed() {
            if let Some(question) = self.receive(Instant::now() + ROUND).await
                && let Some(asked) = talk::asked(&question)
            {
                let told = self.told(&mut last, asked);
                talk::answer(question, &told);
            }
            self.show();
        }
    }

    /// Takes in what the sources give until the other end asks something, or until `deadline`, or until nobody wants blocks any more.
    async fn receive(&mut self, deadline: Instant) -> Option<Question> {
        let [first, second] = &mut self.inner;
        loop {
            tokio::select! {
                biased;
                () = self.blocks.closed() => return None,
                Some(question) = self.questions.recv() => return Some(question),
                Some(block) = first.blocks.recv(), if first.pool.has_room() => first.pool.add(block, Instant::now()),
                Some(block) = second.blocks.recv(), if second.pool.has_room() => second.pool.add(block, Instant::now()),
                () = sleep_until(deadline) => return None,
            }
        }
    }

    /// Asks the other end once: whether there may be more to do at once.
    async fn round(&mut self, leading: &mut Leading) -> bool {
        let was_unsure = leading.unsure.is_some();
        let combination = leading.unsure.take().or_else(|| self.choose(leading));
        let gone = match &combination {
            // What it is made of must stay.
            Some(_) => [Vec::new(), Vec::new()],
            None => std::array::from_fn(|of| self.inner[of].pool.reconcile(&leading.theirs[of], Instant::now())),
        };
        let asked = Asked { when_one_fails: self.when_one_fails, gone, combination };
        let outcome = match talk::ask::<Told>(&self.peer, &asked, PATIENCE).await {
            Ok(told) => {
                leading.theirs = told.held;
                told.outcome
            }
            Err(error) => {
                self.trouble = Some(error.to_string());
                leading.unsure = asked.combination;
                return false;
            }
        };
        self.trouble = match &outcome {
            Outcome::Nothing | Outcome::Done | Outcome::Missing => None,
            Outcome::NoRoom => Some("the other end has no room for more key material".to_owned()),
            Outcome::Refused(why) => Some(format!("the other end refuses: {why}")),
        };
        match asked.combination {
            None => self.trouble.is_none() && self.choose(leading).is_some(),
            Some(combination) if matches!(outcome, Outcome::Done) => {
                leading.next += 1;
                self.make(&combination);
                true
            }
            Some(combination) if was_unsure => {
                // The other end may have made it, and have died since: neither the bytes nor the name may be used again.
                self.inner.iter_mut().zip(&combination.of).for_each(|(inner, pieces)| drop(inner.pool.take(pieces)));
                (leading.stream, leading.next) = (StreamId(Uuid::new_v4()), 0);
                false
            }
            Some(_) => false,
        }
    }

    /// The next block, if there is what it takes.
    fn choose(&mut self, leading: &Leading) -> Option<Combination> {
        if self.blocks.capacity() == 0 {
            // That no keys are made is no fault of the sources.
            self.paired = Instant::now();
            return None;
        }
        let common: [_; 2] = std::array::from_fn(|of| self.inner[of].pool.common(&leading.theirs[of]));
        let whole = |pieces: &[Piece]| length(pieces).min(MOST_BYTES) / UNIT_BYTES * UNIT_BYTES;
        let available = [whole(&common[0]), whole(&common[1])];
        let may_carry_on = self.when_one_fails == WhenOneFails::CarryOn && self.paired.elapsed() >= self.patience;
        let wanted = match available {
            [0, 0] => return None,
            [first, second] if first > 0 && second > 0 => [first.min(second); 2],
            alone if may_carry_on => alone,
            _ => return None,
        };
        let of = std::array::from_fn(|of| first_bytes(&common[of], wanted[of]));
        Some(Combination { stream: leading.stream, number: leading.next, of })
    }

    /// What the other end is told. `last` is the block that was made last.
    fn told(&mut self, last: &mut Option<(StreamId, u64)>, asked: Asked) -> Told {
        for (inner, names) in self.inner.iter_mut().zip(&asked.gone) {
            names.iter().take(MOST_BLOCKS).for_each(|name| inner.pool.drop(*name));
        }
        let outcome = match asked.combination {
            _ if asked.when_one_fails != self.when_one_fails => {
                Outcome::Refused("when_one_fails is not the same at both ends".to_owned())
            }
            None => Outcome::Nothing,
            Some(combination) => self.combined(last, &combination),
        };
        self.trouble = match &outcome {
            Outcome::Nothing | Outcome::Done | Outcome::Missing | Outcome::NoRoom => None,
            Outcome::Refused(why) => Some(format!("what the other end wants is refused: {why}")),
        };
        Told { outcome, held: self.inner.each_ref().map(|inner| inner.pool.held()) }
    }

    fn combined(&mut self, last: &mut Option<(StreamId, u64)>, combination: &Combination) -> Outcome {
        let name = (combination.stream, combination.number);
        if *last == Some(name) {
            // The answer was lost.
            return Outcome::Done;
        }
        let lengths = combination.of.each_ref().map(|pieces| length(pieces));
        let longest = lengths[0].max(lengths[1]);
        let is_alone = lengths.contains(&0);
        if !(UNIT_BYTES..=MOST_BYTES).contains(&longest) || !longest.is_multiple_of(UNIT_BYTES) {
            return Outcome::Refused("no block has such a length".to_owned());
        }
        if lengths[0] != lengths[1] && !is_alone || is_alone && self.when_one_fails == WhenOneFails::Wait {
            return Outcome::Refused("both sources must give equally much".to_owned());
        }
        if self.blocks.capacity() == 0 {
            return Outcome::NoRoom;
        }
        if !self.inner.iter().zip(&combination.of).all(|(inner, pieces)| inner.pool.has(pieces)) {
            return Outcome::Missing;
        }
        *last = Some(name);
        self.make(combination);
        Outcome::Done
    }

    /// Makes a block, for which there is room.
    fn make(&mut self, combination: &Combination) {
        let context = self.context(combination);
        let [first, second] = &mut self.inner;
        let of = [first.pool.take(&combination.of[0]), second.pool.take(&combination.of[1])];
        let takes_part = of.each_ref().map(|taken| !taken.bytes.is_empty());
        let Ok(bytes) = derive(&context, &of[0].bytes, &of[1].bytes) else { return };
        let origin = match takes_part {
            [true, false] => first.origin,
            [false, true] => second.origin,
            _ => both([first.origin, second.origin]),
        };
        let kept = self.tell_sources(of.into_iter().flat_map(|taken| taken.kept).collect());
        let Combination { stream, number, .. } = *combination;
        // If nobody wants it any more, this is the end.
        drop(self.blocks.try_send(Block { stream, number, bytes, origin, kept }));
        let now = Instant::now();
        self.made = Some((now, takes_part));
        if takes_part == [true, true] {
            self.paired = now;
        }
    }

    /// What the keys of a block are bound to: the link, who is who, the block's name, and which bytes of which source it is made of.
    fn context(&self, combination: &Combination) -> [u8; 32] {
        let encode = |piece: &Piece| {
            let numbers = [piece.block.number, piece.offset.into(), piece.length.into()].map(u64::to_be_bytes);
            [piece.block.stream.0.as_bytes().as_slice(), numbers.as_flattened()].concat()
        };
        let of = combination.of.each_ref().map(|pieces| pieces.iter().flat_map(encode).collect::<Vec<u8>>());
        let kinds = self.inner.each_ref().map(|inner| inner.kind.as_bytes());
        let number = combination.number.to_be_bytes();
        self.names.hash(&[kinds[0], kinds[1], combination.stream.0.as_bytes(), &number, &of[0], &of[1]])
    }

    /// Once a block is kept, those sources may know whose blocks are used up by it.
    fn tell_sources(&mut self, sources: Vec<oneshot::Sender<()>>) -> Option<oneshot::Sender<()>> {
        while self.tasks.try_join_next().is_some() {}
        if sources.is_empty() {
            return None;
        }
        let (kept, is_kept) = oneshot::channel();
        self.tasks.spawn(async move {
            if is_kept.await.is_ok() {
                // A source that does not wait for it any more is gone.
                for source in sources {
                    let _ = source.send(());
                }
            }
        });
        Some(kept)
    }

    /// Shows how it goes.
    fn show(&self) {
        self.progress.measured(self.inner.iter().find_map(|inner| inner.state.borrow().quality));
        let words = self.inner.each_ref().map(Inner::words);
        let alone = |of: usize| format!("{}; keys are those of {} alone", words[1 - of], self.inner[of].kind);
        let made = self.made.filter(|(at, _)| at.elapsed() < self.patience.max(ROUND * 5));
        let alarmed = self.inner.iter().position(|inner| inner.state.borrow().phase == Phase::Alarm);
        match (alarmed, &self.trouble, made) {
            (Some(of), ..) => self.progress.alarm(words[of].clone()),
            (None, Some(trouble), _) => self.progress.waiting(trouble.clone()),
            (None, None, Some((_, [true, false]))) => self.progress.producing_although(Some(&alone(0))),
            (None, None, Some((_, [false, true]))) => self.progress.producing_although(Some(&alone(1))),
            (None, None, Some(_)) => self.progress.producing(),
            (None, None, None) if self.blocks.capacity() == 0 => {}
            (None, None, None) => self.progress.waiting(words.join("; ")),
        }
    }
}

impl Leading {
    fn new() -> Self {
        Self { stream: StreamId(Uuid::new_v4()), next: 0, theirs: [Vec::new(), Vec::new()], unsure: None }
    }
}

/// Of a block, in bytes.
const MOST_BYTES: usize = 128 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);
/// The leading end asks so often what is new at the other one.
const ROUND: Duration = Duration::from_secs(1);
