//! What a server advertises of itself, and when.

use std::collections::BTreeSet;

use photongate_wire::{IsdAs, Nanos};

use super::advertisement::{Attached, Kind, MOST_PAGES, MOST_PER_PAGE, Stamp};
use crate::ids::SaeId;

/// The state of a server's own advertisements.
#[derive(Debug)]
pub(super) struct Own {
    /// The last stamp that was used.
    pub(super) stamp: Stamp,
    pub(super) saes: BTreeSet<SaeId>,
    pub(super) ases: BTreeSet<IsdAs>,
    pub(super) url: Option<String>,
    attached: Timer,
    adjacent: Timer,
    seed: u64,
}

/// When something is to be advertised.
#[derive(Debug, Default)]
struct Timer {
    last: Option<Nanos>,
    changed: bool,
    refresh_at: Nanos,
}

impl Own {
    pub(super) fn new(boot: u64, seed: u64) -> Self {
        Self {
            stamp: Stamp::first(boot),
            saes: BTreeSet::new(),
            ases: BTreeSet::new(),
            url: None,
            attached: Timer { changed: true, ..Timer::default() },
            adjacent: Timer { changed: true, ..Timer::default() },
            seed,
        }
    }

    /// What is advertised of this kind is no longer right.
    pub(super) const fn changed(&mut self, kind: Kind) {
        self.timer(kind).changed = true;
    }

    /// Whether it is time to advertise: at once after a change, but not twice within `pause`; and now and then in any case.
    pub(super) fn is_due(&mut self, kind: Kind, pause: Nanos, now: Nanos) -> bool {
        let timer = self.timer(kind);
        let rested = timer.last.is_none_or(|last| last.saturating_add(pause) <= now);
        rested && (timer.changed || timer.refresh_at <= now)
    }

    /// Everything was advertised. The next time comes after nine to eleven tenths of `refresh`, so that servers that started
    /// together do not go on together.
    pub(super) fn advertised(&mut self, kind: Kind, refresh: Nanos, now: Nanos) {
        self.seed = scramble(self.seed);
        let jitter = (refresh.0 / 5).checked_mul(self.seed >> 48).map_or(0, |product| product >> 16);
        let timer = self.timer(kind);
        timer.last = Some(now);
        timer.changed = false;
        timer.refresh_at = now.saturating_add(Nanos(refresh.0 / 10 * 9 + jitter));
    }

    /// It did not work out: the next try comes after the pause.
    pub(super) const fn rest(&mut self, kind: Kind, now: Nanos) {
        self.timer(kind).last = Some(now);
    }

    /// What is attached, cut into pages. What does not fit is left out.
    pub(super) fn pages(&self) -> Vec<Attached> {
        let saes: Vec<SaeId> = self.saes.iter().take(MOST_ATTACHED).cloned().collect();
        let ases: Vec<IsdAs> = self.ases.iter().take(MOST_ATTACHED).copied().collect();
        let pages = saes.len().max(ases.len()).div_ceil(MOST_PER_PAGE).max(1);
        let part =
            |page: usize, length: usize| (page * MOST_PER_PAGE).min(length)..((page + 1) * MOST_PER_PAGE).min(length);
        let page = |page: usize| Attached {
            page: u16::try_from(page).expect("there are few pages"),
            pages: u16::try_from(pages).expect("there are few pages"),
            saes: saes[part(page, saes.len())].to_vec(),
            ases: ases[part(page, ases.len())].to_vec(),
        };
        (0..pages).map(page).collect()
    }

    const fn timer(&mut self, kind: Kind) -> &mut Timer {
        match kind {
            Kind::Attached => &mut self.attached,
            Kind::Adjacent => &mut self.adjacent,
        }
    }
}

/// One step of the generator SplitMix64.
pub(super) const fn scramble(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Applications, or autonomous systems, that one server can advertise.
pub const MOST_ATTACHED: usize = MOST_PAGES as usize * MOST_PER_PAGE;
