//! The network between the nodes: connections that come and go, messages that are late, lost, repeated or out of order.

use std::collections::{BTreeMap, BTreeSet};

use crate::testing::random::Random;

/// How good the network is, in a run.
pub(crate) struct Weather {
    /// Microseconds that a message takes.
    pub(crate) latency: std::ops::Range<u64>,
    /// How many of a million messages are lost, come twice, or overtake others.
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) overtaking: u64,
    /// How many of a million questions whether somebody is there are answered with no, although he is.
    pub(crate) false_reports: u64,
}

impl Weather {
    pub(crate) fn of(random: &mut Random) -> Self {
        let slowest = [200, 1_000, 5_000, 30_000][random.index(4)];
        let often = |random: &mut Random| [0, 0, 500, 5_000, 30_000][random.index(5)];
        let (lost, repeated, overtaking) = (often(random), often(random), often(random));
        Self { latency: 20..slowest, lost, repeated, overtaking, false_reports: often(random) }
    }
}

/// Connections between pairs of hosts.
#[derive(Default)]
pub(crate) struct Network {
    pairs: BTreeMap<(usize, usize), Pair>,
    cut: BTreeSet<(usize, usize)>,
    /// When the last message of one host to another arrives.
    busy_until: BTreeMap<(usize, usize), u64>,
}

#[derive(Clone, Copy, Default)]
struct Pair {
    connection: u64,
    up: bool,
}

impl Network {
    /// The number of the connection between two hosts, if there is one.
    pub(crate) fn connection(&self, one: usize, other: usize) -> Option<u64> {
        self.pairs.get(&pair(one, other)).filter(|pair| pair.up).map(|pair| pair.connection)
    }

    /// Whether a connection can be made.
    pub(crate) fn may_connect(&self, one: usize, other: usize) -> bool {
        !self.cut.contains(&pair(one, other))
    }

    pub(crate) fn connect(&mut self, one: usize, other: usize) {
        let entry = self.pairs.entry(pair(one, other)).or_default();
        entry.connection += 1;
        entry.up = true;
    }

    /// Breaks the connection; messages under way are lost. Says whether there was one.
    pub(crate) fn disconnect(&mut self, one: usize, other: usize) -> bool {
        self.pairs.get_mut(&pair(one, other)).is_some_and(|pair| std::mem::take(&mut pair.up))
    }

    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        self.cut.insert(pair(one, other));
    }

    pub(crate) fn mend(&mut self) {
        self.cut.clear();
    }

    /// When messages sent now arrive: at none, one or two times.
    pub(crate) fn arrivals(
        &mut self,
        from: usize,
        to: usize,
        now: u64,
        weather: &Weather,
        random: &mut Random,
    ) -> Vec<u64> {
        if random.millionths(weather.lost) {
            return Vec::new();
        }
        let at = now + random.within(weather.latency.clone());
        let busy_until = self.busy_until.entry((from, to)).or_default();
        let at = if random.millionths(weather.overtaking) { at } else { at.max(*busy_until + 1) };
        *busy_until = at.max(*busy_until);
        if random.millionths(weather.repeated) {
            return vec![at, at + random.within(weather.latency.clone()) * 20];
        }
        vec![at]
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
