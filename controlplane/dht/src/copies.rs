//! How many other nodes have a value.
//!
//! Each node that has a value says so when it is asked who has it; what others say is not counted. It may lie. So it is asked for the value, and
//! counts when what it sends is what the key says. A small value that came along with the answer has shown that already.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::handle::{Handle, Stopped};
use crate::node::{Found, Source, Wanted, Who};
use crate::transfer::Refused;
use crate::{Contact, Id};

/// How many other nodes have a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Those that sent it when they were asked for it.
    pub verified: usize,
    /// Those that say that they have it. Some may lie.
    pub claimed: usize,
}

/// Waits until so many other nodes have shown that they have a value, but not for ever: nor for more than one, if so many have said that they
/// have it and were asked. At most [`MOST_ASKED`] are asked.
///
/// # Errors
/// [`Stopped`].
pub async fn verified(handle: &Handle, key: Id, wanted: usize, patience: Duration) -> Result<Copies, Stopped> {
    let end = Instant::now() + patience;
    let mut claims = Claims::default();
    let mut pause = SHORTEST_PAUSE;
    loop {
        claims.take(handle, &find(handle, key).await?);
        let in_time = timeout_at(end, ask(handle, key, wanted, &mut claims)).await;
        if in_time.is_err() || claims.are_enough(wanted) || Instant::now() + pause > end {
            return Ok(claims.copies());
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits until so many other nodes say that they have a value, but not for ever. Gives how many. Nobody is asked for it.
///
/// # Errors
/// [`Stopped`].
pub async fn claimed(handle: &Handle, key: Id, wanted: usize, patience: Duration) -> Result<usize, Stopped> {
    let end = Instant::now() + patience;
    let mut claims = Claims::default();
    let mut pause = SHORTEST_PAUSE;
    loop {
        claims.take(handle, &find(handle, key).await?);
        let claimed = claims.copies().claimed;
        if claimed >= wanted || Instant::now() + pause > end {
            return Ok(claimed);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks all that are near who has it, however many that are not there are named.
async fn find(handle: &Handle, key: Id) -> Result<Found, Stopped> {
    handle.find(Wanted::Holders { key, providers: usize::MAX }).await
}

/// Asks those that may still show it, as many at a time as are wanting.
async fn ask(handle: &Handle, key: Id, wanted: usize, claims: &mut Claims) {
    let size = handle.store().size_of(key);
    let mut asking = JoinSet::new();
    claims.round += 1;
    loop {
        while claims.copies().verified + asking.len() < wanted
            && let Some(source) = claims.next()
        {
            let handle = handle.clone();
            asking.spawn(async move { (source, handle.transport().ask(source, key, size).await) });
        }
        let Some(asked) = asking.join_next().await else { return };
        let (source, outcome) = asked.expect("what asks does not panic");
        if let Err(why @ Refused::Wrong(_)) = &outcome {
            tracing::warn!(from = %source.address, "a value is not what it should be: {why}");
            handle.ban(source).await;
        }
        claims.showed(source, outcome.map(drop));
    }
}

/// Who says that it has a value, and what came of asking for it.
#[derive(Debug, Default)]
struct Claims {
    all: Vec<Claim>,
    /// Each claim is asked about once in a round.
    round: u32,
    asked: usize,
}

#[derive(Debug)]
struct Claim {
    who: Who,
    source: Source,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked in this round at the earliest, so many times at most.
    Open {
        round: u32,
        attempts: u32,
    },
    Verified,
    False,
}

impl Claims {
    /// Takes in what a look-up has found.
    fn take(&mut self, handle: &Handle, found: &Found) {
        let me = handle.me();
        let is_other = |contact: &&Contact| contact.id != me.id && contact.address != me.address;
        let source = |contact: &Contact| handle.transport().source(contact);
        found.claim.iter().filter(is_other).for_each(|contact| self.add(source(contact)));
        found.gave.iter().filter(is_other).for_each(|contact| self.showed(source(contact), Ok(())));
    }

    fn add(&mut self, source: Source) {
        let who = source.who();
        if self.all.iter().all(|known| known.who != who) {
            self.all.push(Claim { who, source, state: State::Open { round: 0, attempts: ATTEMPTS } });
        }
    }

    /// Whom to ask next in this round. It counts as asked from here on.
    fn next(&mut self) -> Option<Source> {
        let round = self.round;
        if self.asked >= MOST_ASKED {
            return None;
        }
        let is_due = |claim: &&mut Claim| matches!(claim.state, State::Open { round: at, .. } if at <= round);
        let claim = self.all.iter_mut().find(is_due)?;
        if let State::Open { attempts, .. } = claim.state {
            claim.state = State::Open { round: round + 1, attempts: attempts - 1 };
        }
        self.asked += 1;
        Some(claim.source)
    }

    /// Somebody has shown the value, or not.
    fn showed(&mut self, source: Source, outcome: Result<(), Refused>) {
        let Some(claim) = self.all.iter_mut().find(|claim| claim.who == source.who()) else { return };
        claim.state = match (outcome, claim.state) {
            (Ok(()), _) | (_, State::Verified) => State::Verified,
            (Err(Refused::Miss | Refused::Wrong(_)), _) | (_, State::Open { attempts: 0, .. }) => State::False,
            // It may have had too much to do.
            (Err(Refused::Slow | Refused::Broken(_)), state) => state,
        };
    }

    /// Whether there is nothing to wait for: so many have shown it; or one has, and so many say that they have it and were asked.
    fn are_enough(&self, wanted: usize) -> bool {
        let Copies { verified, claimed } = self.copies();
        let is_open = |claim: &Claim| matches!(claim.state, State::Open { .. });
        let may_ask = self.asked < MOST_ASKED && self.all.iter().any(is_open);
        verified >= wanted || verified > 0 && claimed >= wanted && !may_ask
    }

    fn copies(&self) -> Copies {
        let verified = self.all.iter().filter(|claim| claim.state == State::Verified).count();
        Copies { verified, claimed: self.all.len() }
    }
}

/// How many are asked for one value.
pub const MOST_ASKED: usize = 16;

/// How often one is asked that is too slow or breaks off.
const ATTEMPTS: u32 = 2;

const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_shows_the_value_counts() {
        let mut claims = claims(&[1, 2, 3]);
        assert_eq!(claims.copies(), Copies { verified: 0, claimed: 3 });
        claims.showed(node(1), Ok(()));
        claims.showed(node(2), Err(Refused::Miss));
        claims.showed(node(3), Err(Refused::Wrong("the hash is another one")));
        assert_eq!(claims.copies(), Copies { verified: 1, claimed: 3 });
        assert!(claims.are_enough(3), "those that say so were asked");
        assert!(!claims.are_enough(4), "another one may still fetch it");
    }

    #[test]
    fn while_nobody_has_shown_it_false_claims_end_nothing() {
        let mut claims = claims(&[1, 2]);
        claims.showed(node(1), Err(Refused::Miss));
        claims.showed(node(2), Err(Refused::Miss));
        assert!(!claims.are_enough(2));
    }

    #[test]
    fn who_is_too_slow_is_asked_once_more_and_not_in_the_same_round() {
        let mut claims = claims(&[1]);
        for _ in 0..ATTEMPTS {
            claims.round += 1;
            assert_eq!(claims.next(), Some(node(1)));
            claims.showed(node(1), Err(Refused::Slow));
            assert_eq!(claims.next(), None);
        }
        claims.round += 1;
        assert_eq!(claims.next(), None);
    }

    #[test]
    fn a_node_counts_once_however_many_addresses_it_has() {
        let mut claims = claims(&[1]);
        claims.add(Source { address: "192.0.2.99:9".parse().unwrap(), ..node(1) });
        assert_eq!(claims.copies().claimed, 1);
    }

    #[test]
    fn however_many_say_so_only_some_are_asked() {
        let mut claims = claims(&(0..100).collect::<Vec<_>>());
        assert_eq!((0..200).filter_map(|_| claims.next()).count(), MOST_ASKED);
    }

    fn claims(nodes: &[u8]) -> Claims {
        let mut claims = Claims::default();
        nodes.iter().for_each(|&number| claims.add(node(number)));
        claims
    }

    fn node(number: u8) -> Source {
        Source { address: ([192, 0, 2, number], 8_484).into(), proven: Some(Id([number; 32])) }
    }
}
