//! How a link is: its phase and what it measures.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;
use tokio::time::Instant;

/// How a link is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// What it does.
    pub phase: Phase,
    /// What it measures.
    pub statistics: Statistics,
}

/// What a link does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has no other end: not yet, or not any more, and then for this reason.
    Connecting(Option<String>),
    /// Keys come.
    #[default]
    Producing,
    /// There is no room for more keys.
    Full,
    /// More bits are wrong than noise explains: somebody may be listening. No keys are made until enough probes were good.
    Alarm {
        /// The ratio of wrong bits in the last block or probe.
        qber: f64,
        /// The ratio above which there is an alarm.
        threshold: f64,
        /// How many good probes have to come.
        probes_due: u32,
    },
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting(None) => f.write_str("waiting for the other end"),
            Self::Connecting(Some(reason)) => write!(f, "waiting for the other end: {reason}"),
            Self::Producing => f.write_str("producing"),
            Self::Full => f.write_str("the stock is full"),
            Self::Alarm { qber, threshold, probes_due } => {
                let (wrong, allowed) = (qber * 100.0, threshold * 100.0);
                if qber > threshold {
                    write!(f, "{wrong:.1} % of the bits are wrong, more than {allowed:.1} %: somebody may be listening")
                } else {
                    let left = if *probes_due == 1 { "one more has" } else { "more have" };
                    write!(f, "the last probe was good ({wrong:.1} % wrong, {allowed:.1} % allowed); {left} to be")
                }
            }
        }
    }
}

/// What a link measures. Counts begin with the process; ratio and rates are of the last blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Ratio of wrong bits in the last sample, 0 to 1.
    pub qber: f64,
    /// Sifted bits per second.
    pub sifted_bits_per_second: f64,
    /// Secret bits per second that were delivered.
    pub secret_bits_per_second: f64,
    /// Pulses sent.
    pub pulses: u64,
    /// Pulses with which a detector clicked.
    pub clicks: u64,
    /// Bits measured in the basis they were prepared in.
    pub sifted_bits: u64,
    /// Bits that error correction and comparison told everybody.
    pub leaked_bits: u64,
    /// Bits that error correction changed.
    pub corrected_bits: u64,
    /// Secret bits that were delivered.
    pub secret_bits: u64,
    /// Secret bits that authenticate messages instead.
    pub authentication_bits: u64,
    /// Blocks delivered.
    pub blocks: u64,
    /// Blocks thrown away: too many errors, not corrected, or nothing left that is surely secret.
    pub discarded_blocks: u64,
    /// Probes taken during an alarm.
    pub probes: u64,
}

/// Turns counts into rates, over the last few blocks.
#[derive(Default)]
pub(crate) struct Meter(VecDeque<(Instant, u64, u64)>);

impl Meter {
    /// Notes the counts as they are at the end of a block, and computes the rates.
    pub(crate) fn update(&mut self, now: Instant, statistics: &mut Statistics) {
        if let Some(&(since, sifted, secret)) = self.0.front() {
            let seconds = (now - since).as_secs_f64();
            if seconds > 0.0 {
                statistics.sifted_bits_per_second = (statistics.sifted_bits - sifted) as f64 / seconds;
                statistics.secret_bits_per_second = (statistics.secret_bits - secret) as f64 / seconds;
            }
        }
        self.0.push_back((now, statistics.sifted_bits, statistics.secret_bits));
        if self.0.len() > BLOCKS_OF_A_RATE {
            self.0.pop_front();
        }
    }

    /// Forgets what was: nothing is produced for a time that is not to count.
    pub(crate) fn restart(&mut self, now: Instant, statistics: &mut Statistics) {
        self.0.clear();
        (statistics.sifted_bits_per_second, statistics.secret_bits_per_second) = (0.0, 0.0);
        self.update(now, statistics);
    }
}

const BLOCKS_OF_A_RATE: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_says_what_was_measured_and_what_is_awaited() {
        let alarm = |qber, probes_due| Phase::Alarm { qber, threshold: 0.08, probes_due }.to_string();
        assert_eq!(alarm(0.251, 3), "25.1 % of the bits are wrong, more than 8.0 %: somebody may be listening");
        assert_eq!(alarm(0.011, 2), "the last probe was good (1.1 % wrong, 8.0 % allowed); more have to be");
        assert_eq!(alarm(0.011, 1), "the last probe was good (1.1 % wrong, 8.0 % allowed); one more has to be");
    }

    #[tokio::test(start_paused = true)]
    async fn rates_are_those_of_the_last_blocks() {
        let (mut meter, mut statistics) = (Meter::default(), Statistics::default());
        for _ in 0..20 {
            statistics.sifted_bits += 1000;
            statistics.secret_bits += 500;
            meter.update(Instant::now(), &mut statistics);
            tokio::time::advance(std::time::Duration::from_secs(2)).await;
        }
        assert_eq!((statistics.sifted_bits_per_second, statistics.secret_bits_per_second), (500.0, 250.0));
        meter.restart(Instant::now(), &mut statistics);
        assert_eq!((statistics.sifted_bits_per_second, statistics.secret_bits_per_second), (0.0, 0.0));
    }
}
