//! A simulated cluster: what happens, in the order of its time, and who is told.

mod hosts;
mod people;
mod trace;
mod verdict;
mod wires;

use std::collections::BTreeMap;

use super::{
    clients::{Client, History},
    faults::Faults,
    network::{Network, Weather},
    oracle::Oracle,
};
use crate::{
    membership::NodeName,
    node::{BatchId, Input, Limits, Mutation, RequestId},
    testing::random::Random,
};
use hosts::Host;
pub(crate) use verdict::{Failure, Report};

/// A simulated cluster.
pub(crate) struct World {
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    pub(super) faults: Faults,
    weather: Weather,
    clients: Vec<Client>,
    history: History,
    oracle: Oracle,
    /// What is to happen, and when. The second number keeps the order of what happens at once.
    agenda: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// The client behind each request, and the request each client waits for.
    requests: BTreeMap<RequestId, usize>,
    next_request: u64,
    limits: Limits,
    mutation: Option<Mutation>,
    trace: bool,
    failure: Option<String>,
    report: Report,
}

#[derive(Debug)]
enum Event {
    Tick { host: usize, life: u64 },
    Step { host: usize, life: u64 },
    Arrives { from: usize, to: usize, connection: u64, input: Box<Input> },
    Synced { host: usize, life: u64, batch: BatchId },
    Gone { host: usize, life: u64, peer: usize },
    Connect { one: usize, other: usize },
    Asks { client: usize },
    GivesUp { client: usize, request: RequestId },
    Fault,
    Start { host: usize },
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let founders = [2, 3, 3, 3, 3, 4, 5][random.index(7)];
        let weather = Weather::of(&mut random);
        let names: Vec<_> = (0..=founders).map(|host| NodeName::from(format!("n{host}").as_str())).collect();
        let slowest_disk = [300, 2_000, 10_000, 60_000][random.index(4)];
        let hosts = (0..names.len()).map(|host| Host::new(host, &names, slowest_disk, &mut random)).collect();
        let limits = Limits {
            pending: 64,
            unwritten_entries: [3, 10, 40][random.index(3)],
            kept_entries: random.index(8),
            part_bytes: [200, 2_000][random.index(2)],
            clients: [3, 6, 100][random.index(3)],
            ..Limits::default()
        };
        let faults = Faults::of(&mut random);
        let clients = (0..random.within(2..6)).map(|_| Client::new()).collect();
        Self {
            now: 0,
            random,
            hosts,
            network: Network::default(),
            faults,
            weather,
            clients,
            history: History::default(),
            oracle: Oracle::default(),
            agenda: BTreeMap::new(),
            scheduled: 0,
            requests: BTreeMap::new(),
            next_request: 0,
            limits,
            mutation,
            trace,
            failure: None,
            report: Report::default(),
        }
    }

    /// Lets it run: with faults for some seconds, then without until all nodes agree; then judges what was seen.
    pub(crate) fn run(mut self) -> Result<Report, Failure> {
        for host in 0..self.hosts.len() {
            self.schedule(0, Event::Start { host });
            for other in 0..host {
                self.schedule(1_000, Event::Connect { one: host, other });
            }
        }
        for client in 0..self.clients.len() {
            self.schedule(300_000, Event::Asks { client });
        }
        self.schedule(400_000, Event::Fault);
        self.run_until(FAULTS_END)?;
        self.heal();
        self.run_until(FAULTS_END + QUIET)?;
        for client in &mut self.clients {
            client.give_up(&mut self.history);
        }
        self.judge()
    }

    fn run_until(&mut self, end: u64) -> Result<(), Failure> {
        while let Some(next) = self.agenda.first_entry().filter(|next| next.key().0 < end) {
            let ((at, _), event) = next.remove_entry();
            self.now = at;
            self.happens(event);
            if let Some(failure) = self.failure.take() {
                return Err(Failure(format!("at {} µs: {failure}", self.now)));
            }
            if at > FAULTS_END && self.is_settled() {
                break;
            }
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Tick { host, life } if self.hosts[host].life == life => {
                self.tell(host, Input::Tick);
                let tick = self.hosts[host].tick;
                // A machine that stood still has slept through its ticks.
                let after = self.hosts[host].stands_still_until.max(self.now) - self.now + tick;
                self.schedule(after, Event::Tick { host, life });
            }
            Event::Step { host, life } if self.hosts[host].life == life => {
                let still = self.hosts[host].stands_still_until;
                if still > self.now {
                    self.schedule(still - self.now, Event::Step { host, life });
                } else {
                    self.step(host);
                }
            }
            Event::Arrives { from, to, connection, input } => {
                if self.network.connection(from, to) == Some(connection) {
                    self.tell(to, *input);
                }
            }
            Event::Synced { host, life, batch } if self.hosts[host].life == life => {
                self.hosts[host].disk.synced(batch);
                self.tell(host, Input::Persisted { batch });
            }
            Event::Gone { host, life, peer } if self.hosts[host].life == life => {
                let peer = self.hosts[peer].name.clone();
                self.tell(host, Input::Gone { peer });
            }
            Event::Connect { one, other } => self.connect(one, other),
            Event::Asks { client } => self.ask(client),
            Event::GivesUp { client, request } => {
                if self.requests.remove(&request).is_some() {
                    self.client_is_told(client, None);
                }
            }
            Event::Fault => self.fault(),
            Event::Start { host } => self.start(host),
            Event::Tick { .. } | Event::Step { .. } | Event::Synced { .. } | Event::Gone { .. } => {}
        }
    }

    /// The network is well again, all machines run, replaced disks are made members.
    fn heal(&mut self) {
        self.say(|| "all faults end".to_owned());
        self.network.mend();
        self.weather = Weather { latency: 20..300, lost: 0, repeated: 0, overtaking: 0, false_reports: 0 };
        self.faults.end();
        for host in 0..self.hosts.len() {
            let machine = &mut self.hosts[host];
            machine.stands_still_until = self.now;
            machine.disk_latency = 50..300;
            self.start(host);
        }
        self.schedule(300_000, Event::Fault);
    }

    pub(super) fn schedule_fault(&mut self, after: u64) {
        self.schedule(after, Event::Fault);
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((self.now + after, self.scheduled), event);
    }
}

/// When the faults end, in microseconds.
pub(super) const FAULTS_END: u64 = 2_500_000;
/// How long the nodes have then to agree.
const QUIET: u64 = 12_000_000;
