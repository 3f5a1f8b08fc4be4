//! Clients that write, remove and read all the while at nodes that may be gone, and note what they were told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use photongate_px::testing::linearizability::{self, MAX_OPERATIONS, Operation, Told, What};
use photongate_px::testing::random::Random;
use serde_json::{Value, json};

use crate::px::{PATIENCE, connect_to};

/// What all clients share.
pub(crate) struct Workload {
    sockets: Vec<PathBuf>,
    begun: Instant,
    is_over: AtomicBool,
    /// Counts what is done; the values that are written are these numbers.
    next: AtomicU64,
    history: Mutex<BTreeMap<String, Vec<Operation>>>,
}

/// How often what was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) documents: usize,
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) reads: usize,
    /// Nobody knows whether they were done.
    pub(crate) unknown: usize,
}

impl Workload {
    /// For nodes at these sockets.
    pub(crate) fn new(sockets: Vec<PathBuf>) -> Self {
        let (is_over, next, history) = (AtomicBool::new(false), AtomicU64::new(1), Mutex::default());
        Self { sockets, begun: Instant::now(), is_over, next, history }
    }

    /// Whether the clients have stopped, or are to.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Ends it with the scope in which this is held: whoever fails there, the others must not go on for ever.
    pub(crate) fn end_with_scope(&self) -> impl Drop {
        struct End<'w>(&'w AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        End(&self.is_over)
    }

    /// Does one thing after the other until it is over.
    ///
    /// # Panics
    /// Something takes far too long, or is answered as it never should be.
    pub(crate) fn work(&self, client: usize) {
        // Until it is over there is only one way out: a panic.
        let _ended = self.end_with_scope();
        let mut client = Client {
            workload: self,
            node: client % self.sockets.len(),
            dice: Random::new(1_000 + client as u64),
            id: String::new(),
            sequence: 0,
            seen: BTreeMap::new(),
        };
        client.register();
        while !self.is_over() {
            client.do_something();
            thread::sleep(Duration::from_millis(client.dice.within(1..6)));
        }
    }

    /// Notes what a node has in the end, as reads that began at `from`.
    pub(crate) fn note_all(&self, documents: &[Value], from: Duration) {
        let seen: BTreeMap<_, _> =
            documents.iter().map(|document| (document["name"].as_str().unwrap(), seen(document))).collect();
        let to = Some(nanos(self.elapsed()));
        for (name, operations) in &mut *self.history() {
            let what = What::Read { seen: seen.get(name.as_str()).copied() };
            operations.push(Operation { from: nanos(from), to, what });
        }
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Judges all that was seen.
    ///
    /// # Panics
    /// No order of things explains it.
    pub(crate) fn judge(&self) -> Totals {
        let history = self.history();
        let mut totals = Totals { documents: history.len(), ..Totals::default() };
        for (name, operations) in &*history {
            assert!(operations.len() <= MAX_OPERATIONS, "{name}");
            if !linearizability::is_linearizable(operations) {
                let mut operations = operations.clone();
                operations.sort_by_key(|operation| operation.from);
                let lines: String = operations.iter().map(|operation| format!("{operation:?}\n")).collect();
                panic!("no order explains what clients saw of {name}:\n{lines}");
            }
            for operation in operations {
                let told = match operation.what {
                    What::Read { .. } => &mut totals.reads,
                    What::Put { told: None, .. } | What::Delete { told: None, .. } => &mut totals.unknown,
                    What::Put { told: Some(Told::Done { .. }), .. }
                    | What::Delete { told: Some(Told::Done { .. }), .. } => &mut totals.acknowledged,
                    What::Put { told: Some(Told::Conflict { .. }), .. }
                    | What::Delete { told: Some(Told::Conflict { .. }), .. } => &mut totals.refused,
                };
                *told += 1;
            }
        }
        totals
    }

    fn note(&self, name: String, from: Duration, what: What, is_answered: bool) {
        let to = is_answered.then(|| nanos(self.elapsed()));
        self.history().entry(name).or_default().push(Operation { from: nanos(from), to, what });
    }

    fn history(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Operation>>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who write and read.
struct Client<'w> {
    workload: &'w Workload,
    node: usize,
    dice: Random,
    id: String,
    sequence: u64,
    /// The generations it was told last.
    seen: BTreeMap<String, u64>,
}

/// How a question ended.
enum Heard {
    /// It could not even be asked.
    Nothing,
    /// There was no answer.
    Silence,
    Answer(Value),
}

impl Client<'_> {
    fn register(&mut self) {
        let begun = Instant::now();
        while self.id.is_empty() && !self.workload.is_over() {
            assert!(begun.elapsed() < PATIENCE, "no client is registered within {PATIENCE:?}");
            if let Heard::Answer(answer) = self.ask(&json!({ "op": "register" })) {
                self.id = answer["client"].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    fn do_something(&mut self) {
        let number = self.workload.next.fetch_add(1, Ordering::Relaxed);
        // A few documents at a time, each of them only for a while: a judge has to bear all of one in mind.
        let name = format!("document-{}-{}", number / (LIVE * OPERATIONS), number % LIVE);
        let expected = self.seen.get(&name).copied().filter(|_| self.dice.within(0..4) == 0);
        let put = json!({ "op": "put", "name": name, "value": number.to_string() });
        match self.dice.within(0..20) {
            0 => self.write_counted(name.clone(), json!({ "op": "delete", "name": name }), None, expected),
            1..=6 => self.read(name),
            7 => self.write_once(name, number, &put),
            _ => self.write_counted(name, put, Some(number), expected),
        }
    }

    fn read(&mut self, name: String) {
        let from = self.workload.elapsed();
        let Heard::Answer(answer) = self.ask(&json!({ "op": "get", "name": name })) else { return };
        let seen = match answer["error"].as_str() {
            None => Some(seen(&answer)),
            Some("not_found") => None,
            Some(error) => return assert!(PASSING.contains(&error), "{answer}"),
        };
        self.seen.insert(name.clone(), seen.map_or(0, |(_, generation)| generation));
        self.workload.note(name, from, What::Read { seen }, true);
    }

    /// Writes without counting: if there is no answer nobody knows.
    fn write_once(&mut self, name: String, value: u64, put: &Value) {
        let from = self.workload.elapsed();
        let told = match self.ask(put) {
            Heard::Nothing => return,
            Heard::Silence => None,
            Heard::Answer(answer) => match answer["error"].as_str() {
                None => Some(told(&answer)),
                Some("unknown") => None,
                Some(error) => return assert!(PASSING.contains(&error), "{put} {answer}"),
            },
        };
        self.workload.note(name, from, What::Put { value, expected: None, told }, told.is_some());
    }

    /// Writes, and asks again at one node or another until it is known what came of it.
    fn write_counted(&mut self, name: String, mut question: Value, value: Option<u64>, expected: Option<u64>) {
        self.sequence += 1;
        question["client"] = json!(self.id);
        question["sequence"] = json!(self.sequence);
        if let Some(expected) = expected {
            question["expected"] = json!(expected);
        }
        let from = self.workload.elapsed();
        let told = loop {
            let waited = self.workload.elapsed() - from;
            assert!(waited < PATIENCE, "not within {PATIENCE:?}: {question}");
            let Heard::Answer(answer) = self.ask(&question) else { continue };
            match answer["error"].as_str() {
                None | Some("conflict") => break told(&answer),
                Some(error) => assert!(PASSING.contains(&error), "{question} {answer}"),
            }
        };
        let (Told::Done { generation } | Told::Conflict { generation }) = told;
        self.seen.insert(name.clone(), generation);
        let told = Some(told);
        let what = match value {
            Some(value) => What::Put { value, expected, told },
            None => What::Delete { expected, told },
        };
        self.workload.note(name, from, what, true);
    }

    /// Asks once. Whoever does not answer well is asked no more for now.
    fn ask(&mut self, question: &Value) -> Heard {
        let heard = match connect_to(&self.workload.sockets[self.node], ANSWER) {
            None => Heard::Nothing,
            Some(mut connection) => match connection.send(question).and_then(|()| connection.receive()) {
                None => Heard::Silence,
                Some(answer) => Heard::Answer(answer),
            },
        };
        let passing = |answer: &Value| answer["error"].as_str().is_some_and(|error| PASSING.contains(&error));
        if !matches!(&heard, Heard::Answer(answer) if !passing(answer)) {
            self.node = (self.node + 1) % self.workload.sockets.len();
            thread::sleep(Duration::from_millis(20));
        }
        heard
    }
}

/// The value and the generation in an answer.
fn seen(document: &Value) -> (u64, u64) {
    (document["value"].as_str().unwrap().parse().unwrap(), document["generation"].as_u64().unwrap())
}

fn told(answer: &Value) -> Told {
    let generation = answer["generation"].as_u64();
    match answer["error"].as_str() {
        // A document that was removed has none.
        None => Told::Done { generation: generation.unwrap_or(0) },
        Some(_) => Told::Conflict { generation: generation.expect("a conflict says what is there") },
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("nobody waits for centuries")
}

/// So many documents at a time, with so many operations each.
const LIVE: u64 = 4;
const OPERATIONS: u64 = 120;

/// Refusals after which one asks again.
const PASSING: [&str; 5] = ["busy", "unknown", "no_majority", "stopping", "not_a_member"];

/// How long a client waits for an answer: longer than a command may take.
const ANSWER: Duration = Duration::from_secs(3);
