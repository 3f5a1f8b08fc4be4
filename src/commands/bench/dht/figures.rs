//! What was measured: for people, for programs, and beside the goals.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::network::Plan;
use super::task::{Phase, Report, Sent};
use crate::numbers::scaled_in;

/// All that was measured in one run.
pub(super) struct Measured {
    pub(super) plan: Plan,
    pub(super) processes: usize,
    /// How long it took until all nodes were in the network.
    pub(super) joined: Duration,
    /// How many others a node knew then, on average.
    pub(super) contacts: f64,
    /// Operations that were under way when there were many.
    pub(super) at_once: usize,
    pub(super) look_up: Figures,
    pub(super) store: Figures,
    pub(super) get: Figures,
    pub(super) file: FileFigures,
    /// Processor time of all processes.
    pub(super) cpu: Duration,
    pub(super) resident_mib: u64,
}

/// Operations of one kind, one after the other and many at once; each with how long all of them took.
pub(super) struct Figures {
    pub(super) alone: (Phase, Duration),
    pub(super) together: (Phase, Duration),
}

/// A file that one node put, and all others got.
pub(super) struct FileFigures {
    pub(super) bytes: u64,
    pub(super) pieces: usize,
    /// How long it took to put it.
    pub(super) put: Duration,
    /// How long until all had it, from the beginning.
    pub(super) took: Duration,
    /// Nodes that got it.
    pub(super) got: usize,
    /// What each node sent meanwhile, the first one put the file.
    pub(super) sent: Vec<Sent>,
}

/// What we want of a network of a hundred nodes, and what was measured.
struct Goal {
    name: &'static str,
    wanted: f64,
    measured: f64,
    /// Times are to be short, a ratio high.
    is_ratio: bool,
}

impl Measured {
    pub(super) fn to_json(&self) -> Value {
        let kinds = |figures: &Figures| json!({ "alone": phase(&figures.alone), "together": phase(&figures.together) });
        json!({
            "processes": self.processes,
            "join_seconds": thousandths(self.joined.as_secs_f64()),
            "contacts_mean": thousandths(self.contacts),
            "look_up": kinds(&self.look_up),
            "store": kinds(&self.store),
            "get": kinds(&self.get),
            "file": self.file.to_json(),
            "cpu_seconds": thousandths(self.cpu.as_secs_f64()),
            "resident_mib": self.resident_mib,
            "goals": self.goals().iter().map(Goal::to_json).collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let Self { plan, processes, joined, contacts, at_once, resident_mib, .. } = self;
        let how = if plan.plain { "in the clear" } else { "within QUIC, with mutual TLS" };
        let mut text = format!(
            "{} nodes in {processes} processes, {how}. All were in the network after {:.1} s, and knew {contacts:.0} others each.\n\n\
             {:>10} {:>23} {:>33}\n{:>10} {:>11} {:>11} {:>11} {:>11} {:>9}\n",
            plan.nodes,
            joined.as_secs_f64(),
            "",
            "one at a time",
            format!("{at_once} at a time"),
            "",
            "p50",
            "p99",
            "p50",
            "p99",
            "a second",
        );
        for (name, Figures { alone, together }) in
            [("look-up", &self.look_up), ("store", &self.store), ("get", &self.get)]
        {
            let [alone, many] = [&alone.0, &together.0]
                .map(|phase| format!("{:>8.2} ms {:>8.2} ms", phase.percentile(0.5), phase.percentile(0.99)));
            let _ = writeln!(text, "{name:>10} {alone} {many} {:>9.0}", rate(together));
        }
        let file = &self.file;
        let [bytes, first, all, datagrams] =
            [file.bytes, file.first(), file.values(), file.datagrams()].map(|bytes| scaled_in(bytes as f64, "B"));
        let [to_all, from_first] =
            [file.per_second(file.received()), file.per_second(file.first())].map(|rate| scaled_in(rate, "B/s"));
        let _ = write!(
            text,
            "\nA file of {bytes} in {} pieces was on all nodes {:.2} s after one began to put it, which took {:.2} s of that.\n\
             The first node sent {first} of it, all nodes {all}, and {datagrams} of queries and answers.\n\
             All got {to_all}, the first one sent {from_first}: {:.1} times as much.\n\
             The processes used {:.1} s of processor time in all, and have {resident_mib} MiB of memory.\n\n",
            file.pieces,
            file.took.as_secs_f64(),
            file.put.as_secs_f64(),
            file.ratio(),
            self.cpu.as_secs_f64(),
        );
        text.extend(self.goals().iter().map(Goal::line));
        text
    }

    fn goals(&self) -> Vec<Goal> {
        let at_most = |name, wanted, measured| Goal { name, wanted, measured, is_ratio: false };
        let all = [&self.look_up, &self.store, &self.get];
        let failed = all.iter().map(|kind| kind.alone.0.failed + kind.together.0.failed).sum::<usize>();
        vec![
            at_most("ms, store: p50", 10.0, self.store.alone.0.percentile(0.5)),
            at_most("ms, store: p99", 30.0, self.store.alone.0.percentile(0.99)),
            at_most("ms, get: p50", 10.0, self.get.alone.0.percentile(0.5)),
            at_most("ms, get: p99", 30.0, self.get.alone.0.percentile(0.99)),
            at_most("operations that failed", 0.0, failed as f64),
            Goal {
                name: "rate of the file to all nodes, of what the first one sends",
                wanted: WELL_ABOVE,
                measured: self.file.ratio(),
                is_ratio: true,
            },
        ]
    }
}

impl FileFigures {
    /// Bytes of values that the first node sent.
    fn first(&self) -> u64 {
        self.sent.first().map_or(0, |sent| sent.value_bytes)
    }

    /// Bytes of values that all nodes sent.
    fn values(&self) -> u64 {
        self.sent.iter().map(|sent| sent.value_bytes).sum()
    }

    fn datagrams(&self) -> u64 {
        self.sent.iter().map(|sent| sent.datagram_bytes).sum()
    }

    /// Bytes of the file that all nodes have got together.
    fn received(&self) -> u64 {
        self.bytes * self.got as u64
    }

    fn per_second(&self, bytes: u64) -> f64 {
        bytes as f64 / self.took.as_secs_f64()
    }

    fn ratio(&self) -> f64 {
        self.received() as f64 / self.first().max(1) as f64
    }

    fn to_json(&self) -> Value {
        json!({
            "bytes": self.bytes,
            "pieces": self.pieces,
            "put_seconds": thousandths(self.put.as_secs_f64()),
            "seconds": thousandths(self.took.as_secs_f64()),
            "nodes": self.got + 1,
            "first_node_bytes": self.first(),
            "value_bytes": self.values(),
            "datagram_bytes": self.datagrams(),
            "most_bytes_of_a_node": self.sent.iter().map(|sent| sent.value_bytes).max(),
            "bytes_per_second": self.per_second(self.received()).round(),
            "first_node_bytes_per_second": self.per_second(self.first()).round(),
            "ratio": thousandths(self.ratio()),
        })
    }
}

impl Goal {
    fn is_reached(&self) -> bool {
        if self.is_ratio { self.measured >= self.wanted } else { self.measured <= self.wanted }
    }

    fn line(&self) -> String {
        let Self { name, wanted, measured, is_ratio } = self;
        let reached = if self.is_reached() { "reached" } else { "missed " };
        let most = if *is_ratio { "least" } else { "most " };
        format!("{reached}  {measured:>8.2}, wanted at {most} {wanted:>6.2}  {name}\n")
    }

    fn to_json(&self) -> Value {
        let Self { name, wanted, measured, .. } = self;
        json!({ "name": name, "wanted": wanted, "measured": thousandths(*measured), "reached": self.is_reached() })
    }
}

impl Phase {
    /// Counts what a process reports of the same work.
    ///
    /// # Errors
    /// It reports something else.
    pub(super) fn add(&mut self, report: Report) -> Result<()> {
        let Report::Done(other) = report else { bail!("{report:?} is no result") };
        self.micros.extend(other.micros);
        self.keys.extend(other.keys);
        self.failed += other.failed;
        self.hops += other.hops;
        Ok(())
    }

    /// What this part of the operations took at most, in milliseconds. Not a number if none succeeded.
    fn percentile(&self, share: f64) -> f64 {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let place = ((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1));
        micros.get(place).map_or(f64::NAN, |&micros| micros as f64 / 1e3)
    }
}

impl Sent {
    /// What was sent since then.
    pub(super) const fn since(&self, before: &Self) -> Self {
        Self {
            value_bytes: self.value_bytes - before.value_bytes,
            datagram_bytes: self.datagram_bytes - before.datagram_bytes,
        }
    }
}

fn phase(measured: &(Phase, Duration)) -> Value {
    let (phase, _) = measured;
    let succeeded = phase.micros.len();
    json!({
        "succeeded": succeeded,
        "failed": phase.failed,
        "p50_ms": thousandths(phase.percentile(0.5)),
        "p99_ms": thousandths(phase.percentile(0.99)),
        "per_second": thousandths(rate(measured)),
        "hops_mean": (phase.hops > 0).then(|| thousandths(phase.hops as f64 / succeeded as f64)),
    })
}

fn rate((phase, took): &(Phase, Duration)) -> f64 {
    phase.micros.len() as f64 / took.as_secs_f64()
}

fn thousandths(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}

/// So many times as much as the first node sends.
const WELL_ABOVE: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_nothing_took_reaches_no_goal() {
        let goal = Goal { name: "", wanted: 10.0, measured: Phase::default().percentile(0.5), is_ratio: false };
        assert!(!goal.is_reached());
        assert_eq!(goal.to_json()["measured"], Value::Null);
    }

    #[test]
    fn percentiles_are_of_those_that_succeeded() {
        let mut phase = Phase::default();
        for micros in [vec![4_000, 1_000], vec![3_000, 2_000]] {
            phase.add(Report::Done(Phase { micros, failed: 1, ..Phase::default() })).unwrap();
        }
        assert_eq!((phase.percentile(0.5), phase.percentile(0.99), phase.failed), (3.0, 4.0, 2));
        assert!(phase.add(Report::Got(3)).is_err());
    }

    #[test]
    fn the_file_is_counted_at_those_that_got_it() {
        let sent = |value_bytes| Sent { value_bytes, datagram_bytes: 10 };
        let file = FileFigures {
            bytes: 1_000,
            pieces: 1,
            put: Duration::from_secs(1),
            took: Duration::from_secs(2),
            got: 4,
            sent: vec![sent(500), sent(3_500), sent(0)],
        };
        assert_eq!((file.received(), file.values(), file.datagrams()), (4_000, 4_000, 30));
        assert_eq!((file.ratio(), file.per_second(file.received())), (8.0, 2_000.0));
    }
}
