//! Whether the error ratio lets keys be made: pure, and the same at both ends, for both see the same ratios.

/// Watches the error ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Monitor {
    threshold: f64,
    probes: u32,
    due: u32,
}

/// What becomes of a block, or of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A key is made of it.
    Use,
    /// Too much of it is wrong. It is thrown away, and probes follow.
    Alarm,
    /// It was a good probe. There may be more to come.
    Recovering,
}

impl Monitor {
    /// Raises the alarm when the ratio is above `threshold`, and ends it after so many good `probes` in a row.
    pub fn new(threshold: f64, probes: u32) -> Self {
        Self { threshold, probes, due: 0 }
    }

    /// Takes what the lead says instead: its parameters, and how many probes it wants to see.
    pub fn adopt(&mut self, threshold: f64, probes: u32, due: u32) {
        *self = Self { threshold, probes, due };
    }

    /// How many good probes have to come before the next block; 0 if there is no alarm.
    pub fn probes_due(&self) -> u32 {
        self.due
    }

    /// What is made of a block or probe with this ratio.
    pub fn judge(&mut self, qber: f64) -> Judgement {
        if qber > self.threshold {
            self.due = self.probes;
            Judgement::Alarm
        } else if self.due > 0 {
            self.due -= 1;
            Judgement::Recovering
        } else {
            Judgement::Use
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_ends_after_enough_good_probes_in_a_row() {
        let mut monitor = Monitor::new(0.08, 3);
        let judgements = [0.02, 0.08, 0.25, 0.02, 0.03, 0.09, 0.02, 0.02, 0.02, 0.02].map(|qber| monitor.judge(qber));
        use Judgement::{Alarm, Recovering, Use};
        assert_eq!(
            judgements,
            [Use, Use, Alarm, Recovering, Recovering, Alarm, Recovering, Recovering, Recovering, Use]
        );
    }
}
