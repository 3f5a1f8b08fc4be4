//! What is between the machines: connections that are made and break, and messages under way.

use super::{Event, World};
use crate::{node::Input, simulation::network::Weather};

impl World {
    pub(in crate::simulation) fn disconnect(&mut self, one: usize, other: usize) {
        if one != other && self.network.disconnect(one, other) {
            self.say(|| format!("n{one} and n{other} are disconnected"));
            let (first, second) = (self.hosts[one].name.clone(), self.hosts[other].name.clone());
            self.tell(one, Input::Disconnected { peer: second });
            self.tell(other, Input::Disconnected { peer: first });
        }
    }

    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let again = self.random.within(20_000..120_000);
        self.schedule(again, Event::Connect { one, other });
        if self.network.connection(one, other).is_some() || !self.network.may_connect(one, other) {
            return;
        }
        let (Some(first), Some(second)) = (&self.hosts[one].node, &self.hosts[other].node) else { return };
        let (first, second) = (first.hello(), second.hello());
        self.network.connect(one, other);
        self.say(|| format!("n{one} and n{other} are connected"));
        let first = Input::Connected { peer: self.hosts[one].name.clone(), hello: first };
        let second = Input::Connected { peer: self.hosts[other].name.clone(), hello: second };
        self.transmit(one, other, &first, true);
        self.transmit(other, one, &second, true);
    }

    /// A machine says that nobody runs there. Now and then one is told so of a machine that is well.
    pub(super) fn probe(&mut self, from: usize, to: usize) {
        let is_gone = self.hosts[to].node.is_none() && self.network.may_connect(from, to);
        if is_gone || self.random.millionths(self.weather.false_reports) {
            self.report.vacancies += 1;
            let after = self.random.within(self.weather.latency.clone());
            self.schedule(after, Event::Gone { host: from, life: self.hosts[from].life, peer: to });
        }
    }

    pub(super) fn transmit(&mut self, from: usize, to: usize, input: &Input, surely: bool) {
        let Some(connection) = self.network.connection(from, to) else { return };
        let calm =
            Weather { latency: self.weather.latency.clone(), lost: 0, repeated: 0, overtaking: 0, false_reports: 0 };
        let weather = if surely { &calm } else { &self.weather };
        for at in self.network.arrivals(from, to, self.now, weather, &mut self.random) {
            let input = Box::new(input.clone());
            self.schedule(at - self.now, Event::Arrives { from, to, connection, input });
        }
    }
}
