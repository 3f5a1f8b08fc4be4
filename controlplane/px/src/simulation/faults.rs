//! What goes wrong in a run, and what operators do: how much of it depends on the seed.

use super::world::{FAULTS_END, World};
use crate::{membership::MemberChange, testing::random::Random};

/// How often what goes wrong.
pub(crate) struct Faults {
    weights: [u64; KINDS.len()],
    /// Microseconds between two faults, about.
    pause: u64,
    disks_to_replace: u32,
    /// The next acknowledged write ends in a power cut.
    pub(super) power_cut_is_due: bool,
    /// Until when a member may still be removed because somebody asked for it.
    removal_until: u64,
    over: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Crash,
    Partition,
    Mend,
    Break,
    StandStill,
    ReplaceDisk,
    ChangeMembers,
    HandOver,
    /// Just when somebody is told that a write was done.
    PowerCut,
}

const KINDS: [Kind; 9] = [
    Kind::Crash,
    Kind::Partition,
    Kind::Mend,
    Kind::Break,
    Kind::StandStill,
    Kind::ReplaceDisk,
    Kind::ChangeMembers,
    Kind::HandOver,
    Kind::PowerCut,
];

impl Faults {
    pub(crate) fn of(random: &mut Random) -> Self {
        // In most runs some kinds are missing: each alone has time to do its worst.
        let weights = KINDS.map(|_| [0, 1, 2, 5][random.index(4)]);
        Self {
            weights,
            pause: [60_000, 200_000, 500_000][random.index(3)],
            disks_to_replace: 1,
            power_cut_is_due: false,
            removal_until: 0,
            over: false,
        }
    }

    pub(crate) fn end(&mut self) {
        self.over = true;
        self.power_cut_is_due = false;
    }

    fn choose(&self, random: &mut Random) -> Option<Kind> {
        let total: u64 = self.weights.iter().sum();
        let mut drawn = random.next() % total.max(1);
        KINDS.into_iter().zip(self.weights).find_map(|(kind, weight)| {
            if drawn < weight {
                return Some(kind);
            }
            drawn -= weight;
            None
        })
    }
}

impl World {
    pub(super) fn fault(&mut self) {
        if self.faults.over {
            self.admit_replaced_disks();
            if self.now < FAULTS_END + 500_000 {
                self.count_answers_from_now();
            }
            return self.schedule_fault(200_000);
        }
        let pause = self.faults.pause;
        let after = self.random.within(pause / 4..pause * 2);
        self.schedule_fault(after);
        let Some(kind) = self.faults.choose(&mut self.random) else { return };
        let host = self.random.index(self.hosts.len());
        match kind {
            Kind::Crash => {
                self.crash(host);
                let after = self.random.within(1_000..600_000);
                self.restart_in(host, after);
            }
            Kind::Partition => self.partition(),
            Kind::Mend => self.network.mend(),
            Kind::Break => {
                let other = self.random.index(self.hosts.len());
                self.disconnect(host, other);
            }
            Kind::StandStill => {
                let until = self.now + self.random.within(10_000..500_000);
                self.say(|| format!("n{host} stands still until {until}"));
                self.hosts[host].stands_still_until = until;
            }
            Kind::ReplaceDisk => self.lose_disk(host),
            Kind::ChangeMembers => self.operate(host),
            Kind::HandOver => self.hand_over(host),
            Kind::PowerCut => self.faults.power_cut_is_due = true,
        }
    }

    /// Most machines die at once, and come back one after the other.
    pub(super) fn power_cut(&mut self) {
        for host in 0..self.hosts.len() {
            if self.random.index(4) > 0 {
                self.crash(host);
                let after = self.random.within(1_000..600_000);
                self.restart_in(host, after);
            }
        }
    }

    fn partition(&mut self) {
        let side: Vec<bool> = self.hosts.iter().map(|_| self.random.coin()).collect();
        self.say(|| format!("partition: {side:?}"));
        for one in 0..side.len() {
            for other in 0..one {
                if side[one] != side[other] {
                    self.network.cut(one, other);
                    self.disconnect(one, other);
                }
            }
        }
    }

    /// A disk is lost only while all others are as they should be, and nobody is about to leave: agreement survives the loss of a
    /// minority.
    fn lose_disk(&mut self, host: usize) {
        let founded = self.members().is_some_and(|members| members.len() > 2 && members.contains(&host));
        let leaving = self.now < self.faults.removal_until;
        if self.faults.disks_to_replace == 0 || !founded || leaving || !self.all_members_agree() {
            return;
        }
        self.faults.disks_to_replace -= 1;
        self.crash(host);
        self.replace_disk(host);
        let after = self.random.within(1_000..300_000);
        self.restart_in(host, after);
    }

    /// An operator replaces who lost its disk, adds the spare machine, or removes somebody.
    fn operate(&mut self, host: usize) {
        if self.admit_replaced_disks() {
            return;
        }
        let change = self.random.index(self.hosts.len());
        let name = self.hosts[change].name.clone();
        let members = self.members().unwrap_or_default();
        if members.contains(&change) {
            if members.len() > 2 {
                self.faults.removal_until = self.now + 2_000_000;
                self.change_members(host, MemberChange::Remove { name });
            }
        } else {
            let store = self.hosts[change].disk.store();
            self.change_members(host, MemberChange::Add { name, store, address: None });
        }
    }

    /// Has whoever lost its disk made a member again. Says whether there was somebody.
    fn admit_replaced_disks(&mut self) -> bool {
        let memberships = self.hosts.iter().filter_map(|machine| machine.node.as_ref()?.status().membership);
        let Some(newest) = memberships.max_by_key(|membership| membership.configuration) else { return false };
        let replaced = self
            .hosts
            .iter()
            .find(|machine| newest.member(&machine.name).is_some_and(|member| member.store != machine.disk.store()));
        let Some(machine) = replaced else { return false };
        let change = MemberChange::Replace { name: machine.name.clone(), store: machine.disk.store(), address: None };
        for host in 0..self.hosts.len() {
            self.change_members(host, change.clone());
        }
        true
    }
}
