//! Round trips to one other node: how long, how evenly, and how many fail. No clock of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Pings that are under way, and what came of those before.
#[derive(Clone, Debug)]
pub struct Pings {
    patience: Duration,
    next: u64,
    under_way: VecDeque<(u64, Instant)>,
    /// How the last ones ended, the latest last: whether they were answered.
    recent: VecDeque<bool>,
    figures: PingFigures,
}

/// What the pings to a node have shown. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PingFigures {
    /// The last round trip.
    pub last_us: Option<u64>,
    /// Round trips, smoothed: each new one counts an eighth (RFC 6298, section 2).
    pub rtt_us: Option<f64>,
    /// How much one round trip differs from the next, smoothed: each difference counts a sixteenth (RFC 3550, section 6.4.1).
    pub jitter_us: f64,
    /// Which part of the last hundred pings was not answered in time.
    pub loss: f64,
    /// Pings that were answered.
    pub answered: u64,
    /// Pings that were not, in time.
    pub lost: u64,
}

impl Pings {
    /// A ping that is not answered within `patience` is lost.
    pub fn new(patience: Duration) -> Self {
        let figures = PingFigures::default();
        Self { patience, next: 1, under_way: VecDeque::new(), recent: VecDeque::new(), figures }
    }

    /// The number of the ping that is sent now. What has waited too long is lost.
    pub fn send(&mut self, now: Instant) -> u64 {
        while let Some(&(_, sent)) = self.under_way.front()
            && (now.duration_since(sent) > self.patience || self.under_way.len() == MOST_UNDER_WAY)
        {
            self.under_way.pop_front();
            self.end(false);
        }
        let number = self.next;
        self.next += 1;
        self.under_way.push_back((number, now));
        number
    }

    /// The ping `number` was answered. `None` if none of that number is under way: it counts as lost already, or never was.
    pub fn answer(&mut self, number: u64, now: Instant) -> Option<Duration> {
        let index = self.under_way.iter().position(|&(other, _)| other == number)?;
        let (_, sent) = self.under_way.remove(index)?;
        let trip = now.duration_since(sent);
        let micros = trip.as_secs_f64() * 1e6;
        let figures = &mut self.figures;
        if let Some(last) = figures.last_us {
            figures.jitter_us += ((micros - last as f64).abs() - figures.jitter_us) / 16.0;
        }
        figures.rtt_us = Some(figures.rtt_us.map_or(micros, |rtt| rtt + (micros - rtt) / 8.0));
        figures.last_us = Some(micros as u64);
        self.end(true);
        Some(trip)
    }

    /// The connection is gone, and answers with it.
    pub fn give_up(&mut self) {
        while self.under_way.pop_front().is_some() {
            self.end(false);
        }
    }

    /// How long the oldest ping that is under way waits for its answer.
    pub fn waiting_for(&self, now: Instant) -> Duration {
        self.under_way.front().map_or(Duration::ZERO, |&(_, sent)| now.duration_since(sent))
    }

    /// The number that the next ping will have.
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// What they have shown so far.
    pub const fn figures(&self) -> PingFigures {
        self.figures
    }

    fn end(&mut self, answered: bool) {
        *if answered { &mut self.figures.answered } else { &mut self.figures.lost } += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(answered);
        let lost = self.recent.iter().filter(|&&answered| !answered).count();
        self.figures.loss = lost as f64 / self.recent.len() as f64;
    }
}

/// Of so many pings the loss is told.
pub(super) const RECENT: usize = 100;

/// More are not waited for: the oldest is lost.
const MOST_UNDER_WAY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_smoothed_and_their_differences_are_the_jitter() {
        let (mut pings, start) = (Pings::new(SECOND), Instant::now());
        for (at, trip) in [(0, 800), (10_000, 1_600)] {
            let number = pings.send(start + micros(at));
            assert_eq!(pings.answer(number, start + micros(at + trip)), Some(micros(trip)));
        }
        let figures = pings.figures();
        assert_eq!((figures.last_us, figures.answered, figures.lost), (Some(1_600), 2, 0));
        assert!((figures.rtt_us.unwrap() - 900.0).abs() < 0.01, "{figures:?}");
        assert!((figures.jitter_us - 50.0).abs() < 0.01, "{figures:?}");
    }

    #[test]
    fn a_ping_without_an_answer_in_time_is_lost_and_a_late_answer_is_none() {
        let (mut pings, start) = (Pings::new(SECOND), Instant::now());
        let first = pings.send(start);
        assert_eq!(pings.waiting_for(start + SECOND), SECOND);
        pings.send(start + 2 * SECOND);
        assert_eq!(pings.answer(first, start + 2 * SECOND), None);
        assert_eq!((pings.figures().lost, pings.figures().loss), (1, 1.0));
    }

    #[test]
    fn loss_is_that_of_the_recent_pings() {
        let (mut pings, now) = (Pings::new(SECOND), Instant::now());
        for answered in [vec![false; 300], vec![true; 75], vec![false; 25]].concat() {
            let number = pings.send(now);
            if answered { pings.answer(number, now).map(|_| ()).unwrap() } else { pings.give_up() }
        }
        let figures = pings.figures();
        assert_eq!((figures.answered, figures.lost, figures.loss), (75, 325, 0.25));
    }

    #[test]
    fn an_answer_that_nobody_asked_for_changes_nothing() {
        let mut pings = Pings::new(SECOND);
        assert_eq!(pings.answer(7, Instant::now()), None);
        assert_eq!(pings.figures(), PingFigures::default());
    }

    #[test]
    fn pings_under_way_are_bounded() {
        let (mut pings, now) = (Pings::new(SECOND), Instant::now());
        for _ in 0..10 * MOST_UNDER_WAY {
            pings.send(now);
        }
        assert_eq!((pings.under_way.len(), pings.recent.len()), (MOST_UNDER_WAY, RECENT));
    }

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    const SECOND: Duration = Duration::from_secs(1);
}
