//! `photongate bench pipeline --suite`: a table of cases in one process, what they are to one another, and which goals are reached.

use photongate_filter::bench::{Direction, PipelineParams, PipelineResults, Session, Size};
use photongate_pipeline::Encapsulation;
use serde_json::{Map, Value, json};

use super::super::{print_json, refused};
use super::{Arguments, describe, figures, row};
use crate::failure::Failure;
use crate::output;

/// All cases in one process, one after the other, so that they can be compared.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    let session = Session::new(workers, LONGEST_OF_SUITE, arguments.hugepages);
    let mut session = session.map_err(|error| refused(&error))?;
    let case = |direction, size| Case { direction, size, ..Case::USUAL };
    let mut cases = Vec::new();
    for direction in [Direction::In, Direction::InBadMac, Direction::Out, Direction::Forward] {
        cases.extend([64, 512, LONGEST_OF_SUITE].map(|payload| case(direction, Size::Fixed(payload))));
    }
    for direction in [Direction::In, Direction::Out] {
        let lf2 = |payload| Case { encapsulation: Encapsulation::Lf2, ..case(direction, Size::Fixed(payload)) };
        cases.extend([64, LONGEST_OF_SUITE].map(lf2));
    }
    cases.push(Case { peers: 1_000, ..Case::USUAL });
    cases.push(Case { peers: MANY_PEERS, ..Case::USUAL });
    cases.push(Case { direction: Direction::Out, peers: MANY_PEERS, ..Case::USUAL });
    cases.push(case(Direction::In, Size::Imix));
    if workers > 1 {
        cases.push(Case { workers, ..Case::USUAL });
    }
    let mut measured = Vec::new();
    for case in cases {
        let params = case.params(arguments);
        let results = session.run(&params).map_err(|error| refused(&error))?;
        if !arguments.json {
            output::print(&row(&params, &results))?;
        }
        measured.push((case, params, results));
    }
    let ratios = ratios(&measured);
    if !arguments.json {
        let lines = ratios.iter().map(|(name, ratio)| format!("{ratio:>10.2}  {name}\n"));
        output::print(&lines.collect::<String>())?;
        return output::print(&goals(&measured).iter().map(Goal::line).collect::<String>());
    }
    let cases: Vec<Value> = measured
        .iter()
        .map(|(_, params, results)| json!({ "params": describe(params, arguments), "results": figures(params, results) }))
        .collect();
    let ratios: Map<String, Value> =
        ratios.into_iter().map(|(name, ratio)| (name.to_owned(), thousandths(ratio))).collect();
    let goals: Vec<Value> = goals(&measured).iter().map(Goal::to_json).collect();
    let Some((_, _, first)) = measured.first() else { return Ok(()) };
    let params = json!({ "suite": true, "seconds": arguments.seconds, "burst": arguments.burst });
    print_json("pipeline", &params, &first.host, &json!({ "cases": cases, "ratios": ratios, "goals": goals }))
}

/// A case of the suite.
#[derive(Clone, Copy, PartialEq)]
struct Case {
    direction: Direction,
    size: Size,
    encapsulation: Encapsulation,
    peers: u32,
    workers: usize,
}

impl Case {
    const USUAL: Self = Self {
        direction: Direction::In,
        size: Size::Fixed(64),
        encapsulation: Encapsulation::Lf,
        peers: FEW_PEERS,
        workers: 1,
    };

    fn params(self, arguments: &Arguments) -> PipelineParams {
        let Self { direction, size, encapsulation, peers, workers } = self;
        PipelineParams { size, direction, encapsulation, peers, workers, ..arguments.params() }
    }
}

type Measured = (Case, PipelineParams, PipelineResults);

fn find(measured: &[Measured], case: Case) -> Option<&PipelineResults> {
    measured.iter().find(|(other, _, _)| *other == case).map(|(_, _, results)| results)
}

/// What does not depend on how fast the machine is.
fn ratios(measured: &[Measured]) -> Vec<(&'static str, f64)> {
    let rate = |case| find(measured, case).map(|results| results.packets_per_second);
    let few = |direction, payload| rate(Case { direction, size: Size::Fixed(payload), ..Case::USUAL });
    let to_plain = |direction, payload| Some(few(direction, payload)? / few(Direction::Forward, payload)?);
    let usual = rate(Case::USUAL);
    let of_usual = |rate: Option<f64>| Some(rate? / usual?);
    let all = [
        (MANY_TO_FEW, of_usual(rate(Case { peers: MANY_PEERS, ..Case::USUAL }))),
        (TWO_TO_ONE, of_usual(rate(Case { workers: 2, ..Case::USUAL }))),
        ("rate of packets with a bad MAC, of that of valid ones", of_usual(few(Direction::InBadMac, 64))),
        ("inbound rate at 64 bytes, of plain forwarding", to_plain(Direction::In, 64)),
        ("inbound rate at 1,400 bytes, of plain forwarding", to_plain(Direction::In, LONGEST_OF_SUITE)),
    ];
    all.into_iter().filter_map(|(name, ratio)| Some((name, ratio?))).collect()
}

/// What we want of the packet path, on the class of machine that docs/performance.md names, and what was measured.
struct Goal {
    name: &'static str,
    wanted: f64,
    measured: f64,
    /// Cycles are to be few, ratios high.
    is_ratio: bool,
}

impl Goal {
    fn is_reached(&self) -> bool {
        if self.is_ratio { self.measured >= self.wanted } else { self.measured <= self.wanted }
    }

    fn line(&self) -> String {
        let Self { name, wanted, measured, is_ratio } = self;
        let reached = if self.is_reached() { "reached" } else { "missed " };
        if *is_ratio {
            format!("{reached}  {measured:>8.2}, wanted at least {wanted:>6.2}  {name}\n")
        } else {
            format!("{reached}  {measured:>8.0}, wanted at most  {wanted:>6.0}  {name}\n")
        }
    }

    fn to_json(&self) -> Value {
        let Self { name, wanted, measured, .. } = self;
        json!({ "name": name, "wanted": wanted, "measured": thousandths(*measured), "reached": self.is_reached() })
    }
}

fn goals(measured: &[Measured]) -> Vec<Goal> {
    let at = |direction, payload| Case { direction, size: Size::Fixed(payload), ..Case::USUAL };
    let lf2 = Case { encapsulation: Encapsulation::Lf2, ..at(Direction::In, LONGEST_OF_SUITE) };
    let cycles = [
        ("cycles inbound, 64 bytes", 300.0, at(Direction::In, 64)),
        ("cycles inbound, 1,400 bytes", 1050.0, at(Direction::In, LONGEST_OF_SUITE)),
        ("cycles inbound, 1,400 bytes, lf2", 700.0, lf2),
        ("cycles inbound with a bad MAC, 64 bytes", 230.0, at(Direction::InBadMac, 64)),
        ("cycles outbound, 64 bytes", 300.0, at(Direction::Out, 64)),
        ("cycles outbound, 1,400 bytes", 1050.0, at(Direction::Out, LONGEST_OF_SUITE)),
    ];
    let cycles = cycles.into_iter().filter_map(|(name, wanted, case)| {
        let measured = find(measured, case)?.cycles_per_packet;
        Some(Goal { name, wanted, measured, is_ratio: false })
    });
    let wanted = |name| [(MANY_TO_FEW, 0.8), (TWO_TO_ONE, 1.9)].into_iter().find(|(ratio, _)| *ratio == name);
    let ratios = ratios(measured).into_iter().filter_map(|(name, measured)| {
        let (name, wanted) = wanted(name)?;
        Some(Goal { name, wanted, measured, is_ratio: true })
    });
    cycles.chain(ratios).collect()
}

fn thousandths(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

const MANY_TO_FEW: &str = "rate with 100,000 peers, of that with 10";
const TWO_TO_ONE: &str = "rate with two workers, of that with one";

const FEW_PEERS: u32 = 10;
const MANY_PEERS: u32 = 100_000;
const LONGEST_OF_SUITE: usize = 1400;
