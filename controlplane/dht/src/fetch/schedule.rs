//! Which piece is asked of which node next. Pure: what happened goes in with the time, what to do comes out.
//!
//! Pieces come in any order, from several nodes at once. Nodes that are known to have the whole file, or to be fetching it as well, are
//! its *swarm*: each may have any piece. Others are known to *hold* certain pieces, found by looking these up. A node that answers
//! falsely is never asked again; one that is slow or dead rests, and is left in the end; a piece that takes too long is asked of a second
//! node beside the first, of those that are known to be there if possible: who lies can name many that are not. A piece that nobody has after
//! several look-ups ends the fetch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How pieces are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Pieces that may be under way.
    pub at_once: usize,
    /// Pieces that may be under way from one node.
    pub at_once_per_peer: usize,
    /// Pieces that may be looked up at a time.
    pub look_ups_at_once: usize,
    /// How often a piece that nobody has is looked up before the fetch is given up.
    pub look_ups: u32,
    /// How long a piece may take before a second node is asked; longer where all take long, or the same would be sent twice where there
    /// is least room for it.
    pub late: Duration,
    /// How long a node rests that failed; twice as long after each further failure.
    pub rest: Duration,
    /// How often in a row a node may fail before it is left.
    pub strikes: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<P> {
    /// Ask this node for this piece.
    Ask {
        /// The piece, by its place in the file.
        piece: usize,
        /// The node.
        peer: P,
    },
    /// Find out who holds this piece.
    LookUp {
        /// The piece.
        piece: usize,
    },
}

/// Why a node did not send a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not have it.
    Miss,
    /// It sent something else.
    Wrong,
    /// It is too slow, or not there.
    Unreachable,
}

/// A file that is being fetched from nodes that are called `P`. Times count from when the fetch began.
#[derive(Clone, Debug)]
pub struct Schedule<P> {
    settings: Settings,
    /// What makes the choices of this node differ from those of others that fetch the same.
    seed: u64,
    pieces: Vec<Piece<P>>,
    /// Pieces that are wanted, in the order in which they are tried: not that of the file, or all nodes would ask for the same ones.
    wanted: Vec<usize>,
    peers: BTreeMap<P, Peer>,
    swarm: BTreeSet<P>,
    under_way: usize,
    look_ups_under_way: usize,
    /// How long a piece takes, as of late.
    usual: Duration,
}

#[derive(Clone, Debug)]
struct Piece<P> {
    /// Who was asked, and when.
    asked: Vec<(P, Duration)>,
    /// Who holds it, as far as is known.
    holders: BTreeSet<P>,
    /// Who of the swarm had it not, and when to ask again.
    missed: BTreeMap<P, Duration>,
    /// Whether somebody did not send it who was asked.
    has_failed: bool,
    look_up: LookUp,
    look_ups: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookUp {
    /// May be done from then on.
    Due(Duration),
    UnderWay,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    under_way: usize,
    strikes: u32,
    rests_until: Duration,
    is_left: bool,
    /// Whether it has answered or sent something, and did not fail since.
    is_there: bool,
}

impl<P: Copy + Ord> Schedule<P> {
    /// Fetches those of `pieces` pieces that are `wanted`, from the `swarm`. `seed` decides in which order, and whom first.
    ///
    /// # Panics
    /// If one is wanted that is not there.
    pub fn new(
        settings: Settings,
        pieces: usize,
        wanted: impl IntoIterator<Item = usize>,
        swarm: impl IntoIterator<Item = P>,
        seed: u64,
    ) -> Self {
        let mut wanted: Vec<_> = wanted.into_iter().collect();
        assert!(wanted.iter().all(|&piece| piece < pieces), "only pieces of the file can be wanted");
        wanted.sort_by_key(|&piece| mixed(seed ^ piece as u64));
        wanted.dedup();
        let piece = Piece {
            asked: Vec::new(),
            holders: BTreeSet::new(),
            missed: BTreeMap::new(),
            has_failed: false,
            look_up: LookUp::Due(Duration::ZERO),
            look_ups: 0,
        };
        Self {
            settings,
            seed,
            pieces: vec![piece; pieces],
            wanted,
            peers: BTreeMap::new(),
            swarm: swarm.into_iter().collect(),
            under_way: 0,
            look_ups_under_way: 0,
            usual: Duration::ZERO,
        }
    }

    /// These nodes may have any piece.
    pub fn join_swarm(&mut self, peers: impl IntoIterator<Item = P>) {
        self.swarm.extend(peers);
    }

    /// These nodes have answered, whatever they were asked: they are there.
    pub fn met(&mut self, peers: impl IntoIterator<Item = P>) {
        peers.into_iter().for_each(|peer| self.peer(peer).is_there = true);
    }

    /// A look-up of this piece is over, and found these.
    pub fn looked_up(&mut self, piece: usize, holders: impl IntoIterator<Item = P>, now: Duration) {
        let pause = self.settings.rest * (1 << self.pieces[piece].look_ups.min(MOST_DOUBLINGS));
        let piece = &mut self.pieces[piece];
        self.look_ups_under_way -= usize::from(piece.look_up == LookUp::UnderWay);
        piece.look_ups += 1;
        piece.look_up = LookUp::Due(now + pause);
        piece.holders.extend(holders);
    }

    /// This node has sent this piece. `false` if another one was faster.
    pub fn got(&mut self, piece: usize, peer: P, now: Duration) -> bool {
        if let Some((_, since)) = self.pieces[piece].asked.iter().find(|(asked, _)| *asked == peer) {
            self.usual = (7 * self.usual + now.saturating_sub(*since)) / 8;
        }
        self.no_more_under_way(piece, peer);
        self.peer(peer).strikes = 0;
        self.met([peer]);
        self.has(piece)
    }

    /// This piece is there, wherever it came from. `false` if it was before.
    pub fn has(&mut self, piece: usize) -> bool {
        let before = self.wanted.len();
        self.wanted.retain(|&wanted| wanted != piece);
        self.wanted.len() < before
    }

    /// This node did not send this piece.
    pub fn failed(&mut self, piece: usize, peer: P, why: Failure, now: Duration) {
        self.no_more_under_way(piece, peer);
        let Settings { rest, strikes, .. } = self.settings;
        // Who says that it does not have it is there.
        self.pieces[piece].has_failed |= why != Failure::Miss;
        match why {
            Failure::Miss => {
                let piece = &mut self.pieces[piece];
                piece.holders.remove(&peer);
                piece.missed.insert(peer, now + rest);
            }
            Failure::Wrong => self.peer(peer).is_left = true,
            Failure::Unreachable => {
                let peer = self.peer(peer);
                peer.rests_until = now + rest * (1 << peer.strikes.min(MOST_DOUBLINGS));
                peer.strikes += 1;
                peer.is_there = false;
                peer.is_left |= peer.strikes >= strikes;
            }
        }
    }

    /// Nodes that are never to be asked again, of those that are known.
    pub fn leave(&mut self, is_meant: impl Fn(&P) -> bool) {
        let holders = self.pieces.iter().flat_map(|piece| &piece.holders);
        let meant: BTreeSet<P> = holders.chain(&self.swarm).copied().filter(is_meant).collect();
        meant.into_iter().for_each(|peer| self.peer(peer).is_left = true);
    }

    /// What is to be done now. It counts as done from here on.
    pub fn decide(&mut self, now: Duration) -> Vec<Action<P>> {
        let mut actions = Vec::new();
        let next: Vec<_> = self.next().collect();
        for &piece in &next {
            if self.may_look_up(piece, now) {
                self.pieces[piece].look_up = LookUp::UnderWay;
                self.look_ups_under_way += 1;
                actions.push(Action::LookUp { piece });
            }
        }
        // Those that nobody was asked for come before those that are late.
        for late in [false, true] {
            for &piece in &next {
                if self.under_way >= self.settings.at_once {
                    return actions;
                }
                let is_its_turn = match self.pieces[piece].asked.as_slice() {
                    [] => !late,
                    [(_, since)] => late && now >= *since + self.late(),
                    _ => false,
                };
                if let Some(peer) = is_its_turn.then(|| self.best_of(piece, now)).flatten() {
                    self.pieces[piece].asked.push((peer, now));
                    self.peer(peer).under_way += 1;
                    self.under_way += 1;
                    actions.push(Action::Ask { piece, peer });
                }
            }
        }
        actions
    }

    /// When to [decide](Self::decide) again if nothing happens before. `None`: only what happens can change anything.
    pub fn next_time(&self, now: Duration) -> Option<Duration> {
        let pieces = self.next().map(|piece| &self.pieces[piece]);
        let times = pieces.flat_map(|piece| {
            let late = piece.asked.iter().map(|(_, since)| *since + self.late());
            let look_up = match piece.look_up {
                LookUp::Due(due) if piece.look_ups < self.settings.look_ups => Some(due),
                LookUp::Due(_) | LookUp::UnderWay => None,
            };
            late.chain(piece.missed.values().copied()).chain(look_up)
        });
        let rests = self.peers.values().filter(|peer| !peer.is_left).map(|peer| peer.rests_until);
        times.chain(rests).filter(|time| *time > now).min()
    }

    /// Whether all that was wanted is there.
    pub fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// How many pieces are missing still.
    pub fn missing(&self) -> usize {
        self.wanted.len()
    }

    /// Pieces that nobody is known to have, though they were looked up often enough: waiting for them is in vain.
    pub fn hopeless(&self) -> Vec<usize> {
        let is_hopeless = |piece: &&usize| {
            let piece = &self.pieces[**piece];
            let looked_up = piece.look_ups >= self.settings.look_ups && piece.look_up != LookUp::UnderWay;
            let has_source = piece.holders.iter().chain(&self.swarm).any(|peer| {
                let is_left = self.peers.get(peer).is_some_and(|peer| peer.is_left);
                !is_left && !piece.missed.contains_key(peer)
            });
            looked_up && piece.asked.is_empty() && !has_source
        };
        self.wanted.iter().filter(is_hopeless).copied().collect()
    }

    /// How long a piece may take.
    fn late(&self) -> Duration {
        let Settings { late, .. } = self.settings;
        (MANY * self.usual).clamp(late, LATEST * late)
    }

    /// The node to ask for this piece now: of those that may have it, the one that is asked for the least. If somebody was asked in vain, of
    /// those that are there.
    fn best_of(&self, piece: usize, now: Duration) -> Option<P> {
        let wanted = &self.pieces[piece];
        let may = |peer: &&P| {
            let state = self.peers.get(peer).copied().unwrap_or_default();
            let has_missed = wanted.missed.get(peer).is_some_and(|again| now < *again);
            let is_asked = wanted.asked.iter().any(|(asked, _)| asked == *peer);
            let is_free = state.under_way < self.settings.at_once_per_peer && now >= state.rests_until;
            !state.is_left && is_free && !has_missed && !is_asked
        };
        let under_way = |peer: &P| self.peers.get(peer).map_or(0, |peer| peer.under_way);
        let sources = wanted.holders.iter().chain(self.swarm.difference(&wanted.holders)).filter(may);
        let mut candidates: Vec<_> = sources.copied().collect();
        let is_there = |peer: &P| self.peers.get(peer).is_some_and(|peer| peer.is_there);
        if (wanted.has_failed || !wanted.asked.is_empty()) && candidates.iter().any(is_there) {
            candidates.retain(is_there);
        }
        // Equal ones take turns, each piece beginning with another, and each node as well: or all would ask the same one.
        let least = candidates.iter().map(&under_way).min()?;
        let equal: Vec<_> = candidates.into_iter().filter(|peer| under_way(peer) == least).collect();
        equal.get(mixed(self.seed ^ mixed(piece as u64)) as usize % equal.len()).copied()
    }

    fn may_look_up(&self, piece: usize, now: Duration) -> bool {
        let piece = &self.pieces[piece];
        let is_due = matches!(piece.look_up, LookUp::Due(due) if due <= now);
        // The first one finds more to choose from; later ones are for pieces that nobody else has.
        let is_needed = piece.look_ups == 0 || piece.asked.is_empty();
        let may_more = self.look_ups_under_way < self.settings.look_ups_at_once;
        is_due && is_needed && piece.look_ups < self.settings.look_ups && may_more
    }

    /// The pieces that are looked at: of a long file, not all, as each step looks at them.
    fn next(&self) -> impl Iterator<Item = usize> {
        self.wanted.iter().copied().take(LOOKED_AT)
    }

    fn no_more_under_way(&mut self, piece: usize, peer: P) {
        let asked = &mut self.pieces[piece].asked;
        if let Some(index) = asked.iter().position(|(asked, _)| *asked == peer) {
            asked.swap_remove(index);
            self.peer(peer).under_way -= 1;
            self.under_way -= 1;
        }
    }

    fn peer(&mut self, peer: P) -> &mut Peer {
        self.peers.entry(peer).or_default()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 16,
            at_once_per_peer: 3,
            look_ups_at_once: 8,
            look_ups: 4,
            late: Duration::from_secs(2),
            rest: Duration::from_millis(500),
            strikes: 3,
        }
    }
}

/// A number that looks like chance (SplitMix64).
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

const MOST_DOUBLINGS: u32 = 5;

/// A piece is late that takes so many times as long as usual, or so many times as long as it may at first.
const MANY: u32 = 4;
const LATEST: u32 = 8;

/// Many times as many as may be under way.
const LOOKED_AT: usize = 256;

#[cfg(test)]
mod tests;
