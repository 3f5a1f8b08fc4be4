//! What is shown, and how it changes: by keys, and by what the filter says.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use photongate_agent::api::{Count, Sample, Status, Worker};
use photongate_agent::client::PeersAsked;

use super::feed::{News, Polled};
use super::peers::Peers;
use super::rates::{self, Rate, Rates};

/// All that is shown.
#[derive(Debug)]
pub(super) struct App {
    /// Where the filter is.
    pub server: String,
    pub status: Option<Status>,
    pub sample: Option<Sample>,
    pub rates: Rates,
    pub workers: Vec<WorkerRow>,
    pub peers: Peers,
    /// Why nothing is heard, while nothing is.
    pub lost: Option<String>,
    pub pane: Pane,
    /// The first worker and the first drop reason that are shown.
    pub first_worker: usize,
    pub first_reason: usize,
    pub shows_help: bool,
    /// Whether the keys are those of a search.
    pub is_searching: bool,
    /// How many peers fit; the drawing says so.
    pub visible_peers: usize,
    has_ended: bool,
    workers_before: Option<(Duration, Vec<Count>)>,
}

/// A worker, and its packets of the last second.
#[derive(Debug)]
pub(super) struct WorkerRow {
    pub worker: Worker,
    pub rate: Rate,
}

/// What arrows move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Peers,
    Workers,
    Reasons,
}

impl App {
    /// Knows nothing yet of the filter at `server`.
    pub(super) fn new(server: String) -> Self {
        Self {
            server,
            status: None,
            sample: None,
            rates: Rates::default(),
            workers: Vec::new(),
            peers: Peers::default(),
            lost: None,
            pane: Pane::Peers,
            first_worker: 0,
            first_reason: 0,
            shows_help: false,
            is_searching: false,
            visible_peers: 10,
            has_ended: false,
            workers_before: None,
        }
    }

    /// Whether the operator wants to end.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Which peers should be asked for.
    pub(super) fn wanted(&self) -> PeersAsked {
        self.peers.wanted()
    }

    /// What time it is at the filter, in milliseconds since 1970: its clock, not ours, is the one its keys go by.
    pub(super) fn now_ms(&self) -> u64 {
        self.sample.as_ref().map_or(0, |sample| sample.at_unix_ms)
    }

    /// Takes up what the filter says.
    pub(super) fn on_news(&mut self, news: News) {
        match news {
            News::Sample(sample) => {
                self.lost = None;
                self.rates.update(sample.at_unix_ms, &sample.traffic);
                self.sample = Some(*sample);
            }
            News::Polled(polled) => self.on_polled(*polled),
            News::Lost(why) => self.lost = Some(why),
        }
    }

    fn on_polled(&mut self, polled: Polled) {
        let Polled { at, status, workers, asked, peers, degraded } = polled;
        let counters = workers.iter().map(|worker| worker.traffic.received).collect();
        let before = self.workers_before.replace((at, counters));
        let rate = |index: usize, worker: &Worker| {
            let (earlier, counters) = before.as_ref()?;
            let seconds = at.checked_sub(*earlier).filter(|time| !time.is_zero())?.as_secs_f64();
            Some(rates::rate(worker.traffic.received, *counters.get(index)?, seconds))
        };
        let row =
            |(index, worker): (usize, Worker)| WorkerRow { rate: rate(index, &worker).unwrap_or_default(), worker };
        self.workers = workers.into_iter().enumerate().map(row).collect();
        self.peers.update(at, &asked, peers, degraded);
        self.status = Some(status);
    }

    /// Does what a key asks for.
    pub(super) fn on_key(&mut self, key: KeyEvent) {
        // In raw mode it is no signal.
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            self.has_ended = true;
        } else if self.is_searching {
            self.on_search_key(key.code);
        } else if self.shows_help {
            self.shows_help = false;
        } else {
            self.on_plain_key(key.code);
        }
    }

    fn on_plain_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char('q') => self.has_ended = true,
            KeyCode::Char('?') => self.shows_help = true,
            KeyCode::Char('s') => self.peers.sort_otherwise(),
            KeyCode::Char('/') => {
                self.pane = Pane::Peers;
                self.is_searching = true;
            }
            KeyCode::Esc => self.peers.search(""),
            KeyCode::Tab => {
                self.pane = match self.pane {
                    Pane::Peers => Pane::Workers,
                    Pane::Workers => Pane::Reasons,
                    Pane::Reasons => Pane::Peers,
                }
            }
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::PageDown => self.move_by(self.visible_peers.cast_signed().max(1)),
            KeyCode::PageUp => self.move_by(-self.visible_peers.cast_signed().max(1)),
            KeyCode::Home => self.move_by(-FAR),
            KeyCode::End => self.move_by(FAR),
            _ => {}
        }
    }

    fn on_search_key(&mut self, code: KeyCode) {
        let mut text = self.peers.searched().to_owned();
        match code {
            KeyCode::Enter => self.is_searching = false,
            KeyCode::Esc => {
                self.is_searching = false;
                text.clear();
            }
            KeyCode::Backspace => drop(text.pop()),
            // The filter takes no longer ones.
            KeyCode::Char(letter) if text.chars().count() < 64 => text.push(letter),
            _ => {}
        }
        self.peers.search(&text);
    }

    fn move_by(&mut self, rows: isize) {
        let moved = |first: usize, count: usize| first.saturating_add_signed(rows).min(count.saturating_sub(1));
        match self.pane {
            Pane::Peers => self.peers.move_by(rows),
            Pane::Workers => self.first_worker = moved(self.first_worker, self.workers.len()),
            Pane::Reasons => self.first_reason = moved(self.first_reason, self.rates.reasons().len()),
        }
    }
}

/// More rows than any page has.
const FAR: isize = 1 << 20;
