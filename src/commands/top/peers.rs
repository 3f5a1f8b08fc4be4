//! The peers that are shown: one page of them, sorted, with the one that is looked at.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use photongate_agent::api::{Peer, PeerName, PeersPage, Traffic};
use photongate_agent::client::PeersAsked;
use photongate_wire::IsdAs;

use super::rates::{self, Rate};

/// One page of peers. Of a long list, no more than that is asked for, kept or drawn.
#[derive(Debug, Default)]
pub(super) struct Peers {
    rows: Vec<Row>,
    selected: Option<PeerName>,
    order: Order,
    search: String,
    /// What the pages before this one, and this one, were asked for by.
    pages: Vec<Option<String>>,
    next: Option<String>,
    total: usize,
    counters: BTreeMap<PeerName, (Duration, Traffic)>,
}

/// A peer, and its traffic of the last second.
#[derive(Debug)]
pub(super) struct Row {
    pub peer: Peer,
    pub inbound: Rate,
    pub outbound: Rate,
    pub dropped: Rate,
}

/// What comes first, behind degraded peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Traffic,
    Dropped,
    IsdAs,
}

impl Peers {
    /// What is to be asked for.
    pub(super) fn wanted(&self) -> PeersAsked {
        PeersAsked {
            after: self.pages.last().cloned().flatten(),
            limit: Some(PAGE),
            degraded: false,
            search: (!self.search.is_empty()).then(|| self.search.clone()),
        }
    }

    /// Takes what was asked for, if it is still wanted. Of degraded peers outside of the page, those stand on the first one.
    pub(super) fn update(&mut self, at: Duration, asked: &PeersAsked, page: PeersPage, degraded: PeersPage) {
        if *asked != self.wanted() {
            return;
        }
        (self.total, self.next) = (page.total, page.next);
        let is_first = asked.after.is_none();
        let mut peers: BTreeMap<PeerName, Peer> = BTreeMap::new();
        let degraded = degraded.peers.into_iter().filter(|_| is_first);
        for peer in page.peers.into_iter().chain(degraded) {
            peers.insert(name(&peer), peer);
        }
        let before = std::mem::take(&mut self.counters);
        self.rows = Vec::with_capacity(peers.len());
        for (name, peer) in peers {
            self.rows.push(Row::new(peer.clone(), at, before.get(&name)));
            self.counters.insert(name, (at, peer.traffic));
        }
        self.sort();
    }

    /// All rows of the page, in order.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Which row is looked at.
    pub(super) fn selected(&self) -> usize {
        let is_selected = |row: &Row| Some(name(&row.peer)) == self.selected;
        self.rows.iter().position(is_selected).unwrap_or(0)
    }

    /// Moves by so many rows; beyond either end, to the next page or the one before.
    pub(super) fn move_by(&mut self, rows: isize) {
        let (from, last) = (self.selected(), self.rows.len().saturating_sub(1));
        let to = from.saturating_add_signed(rows);
        if rows > 0 && from == last && self.next.is_some() {
            self.leave_page();
            if self.pages.is_empty() {
                self.pages.push(None);
            }
            self.pages.push(self.next.take());
        } else if rows < 0 && from == 0 && self.pages.len() > 1 {
            self.leave_page();
            self.pages.pop();
        } else {
            self.selected = self.rows.get(to.min(last)).map(|row| name(&row.peer));
        }
    }

    /// Sorts by the next order.
    pub(super) fn sort_otherwise(&mut self) {
        self.order = match self.order {
            Order::Traffic => Order::Dropped,
            Order::Dropped => Order::IsdAs,
            Order::IsdAs => Order::Traffic,
        };
        self.sort();
    }

    /// Shows only peers with `text` in their ISD-AS, name or prefixes; all if it is empty.
    pub(super) fn search(&mut self, text: &str) {
        if self.search != text {
            text.clone_into(&mut self.search);
            self.pages.clear();
            self.leave_page();
        }
    }

    /// What is searched for.
    pub(super) fn searched(&self) -> &str {
        &self.search
    }

    /// Which peers these are and how they are sorted, in a few words.
    pub(super) fn caption(&self) -> String {
        let order = match self.order {
            Order::Traffic => "by traffic",
            Order::Dropped => "by drops",
            Order::IsdAs => "by ISD-AS",
        };
        let page = self.pages.len().max(1);
        let pages = self.total.div_ceil(PAGE).max(1);
        if pages == 1 {
            format!("{}, {order}", self.total)
        } else {
            format!("{}, page {page} of {pages}, {order}", self.total)
        }
    }

    fn leave_page(&mut self) {
        (self.rows, self.selected) = (Vec::new(), None);
        self.counters.clear();
    }

    fn sort(&mut self) {
        let order = self.order;
        self.rows.sort_by(|a, b| {
            let by_order = match order {
                Order::Traffic => b.traffic().total_cmp(&a.traffic()),
                Order::Dropped => b.dropped.packets.total_cmp(&a.dropped.packets),
                Order::IsdAs => Ordering::Equal,
            };
            b.trouble().cmp(&a.trouble()).then(by_order).then_with(|| a.number().cmp(&b.number()))
        });
    }
}

impl Row {
    fn new(peer: Peer, at: Duration, before: Option<&(Duration, Traffic)>) -> Self {
        let rate = |series: &str| match before {
            Some((earlier, traffic)) if at > *earlier => {
                let seconds = (at - *earlier).as_secs_f64();
                rates::rate(rates::of(&peer.traffic, series), rates::of(traffic, series), seconds)
            }
            _ => Rate::default(),
        };
        let (inbound, outbound, dropped) = (rate("accepted"), rate("outbound"), rate("dropped"));
        Self { peer, inbound, outbound, dropped }
    }

    fn traffic(&self) -> f64 {
        self.inbound.packets + self.outbound.packets
    }

    /// Its ISD-AS and DRKey protocol as numbers: as text, 10 would stand before 2.
    fn number(&self) -> (Option<IsdAs>, u16) {
        (self.peer.isd_as.parse().ok(), self.peer.drkey_protocol)
    }

    /// How bad it is: dark, degraded, or neither.
    fn trouble(&self) -> u8 {
        self.peer.degraded.as_ref().map_or(0, |degraded| 1 + u8::from(degraded.is_dark))
    }
}

fn name(peer: &Peer) -> PeerName {
    PeerName { isd_as: peer.isd_as.clone(), drkey_protocol: peer.drkey_protocol }
}

/// Peers on a page.
pub(super) const PAGE: usize = 500;
