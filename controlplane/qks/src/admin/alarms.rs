//! What an operator should look at, since when, and what to do about it.
//!
//! The book is pure: it is told the time and what is the matter, and says which alarms there are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Read, ReadRefusals};
use photongate_net::{now, rfc3339};
use photongate_wire::{Nanos, UnixNanos};
use tokio::time::{MissedTickBehavior, interval};

use super::model::{Alarm, AlarmKind};
use super::{Admin, Parts, openapi};
use crate::links::Phase;

/// The alarms that stand, and what may become one.
#[derive(Debug, Default)]
pub struct AlarmBook {
    matters: Mutex<BTreeMap<(AlarmKind, String), Standing>>,
    /// What was the matter outside of this process when it was last asked.
    outside: Mutex<Vec<Matter>>,
}

/// Something that is the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Matter {
    kind: AlarmKind,
    /// What is concerned.
    of: String,
    /// What is wrong with it, a sentence.
    message: String,
}

#[derive(Debug)]
struct Standing {
    since: UnixNanos,
    message: String,
    is_raised: bool,
}

/// What an operator should look at, the gravest first.
#[utoipa::path(
    get, path = "/api/v1/alarms", tag = openapi::SERVER, operation_id = "list_alarms",
    responses((status = 200, description = "The alarms of this moment. None is best.", body = Vec<Alarm>), ReadRefusals),
)]
pub(super) async fn list(State(admin): State<Admin>, _: Read) -> Json<Vec<Alarm>> {
    Json(admin.0.alarms.standing())
}

impl AlarmBook {
    /// Notes what is the matter at `now`.
    fn note(&self, now: UnixNanos, matters: Vec<Matter>) {
        let mut standing = self.matters.lock().unwrap_or_else(PoisonError::into_inner);
        standing.retain(|(kind, of), old| {
            let remains = matters.iter().any(|matter| matter.kind == *kind && matter.of == *of);
            if !remains && old.is_raised {
                tracing::info!(alarm = %kind, of, "an alarm is over");
            }
            remains
        });
        for Matter { kind, of, message } in matters {
            let entry = standing.entry((kind, of.clone()));
            let standing = entry.or_insert_with(|| Standing { since: now, message: String::new(), is_raised: false });
            if !standing.is_raised && now.0.saturating_sub(standing.since.0) >= patience(kind).0 {
                standing.is_raised = true;
                tracing::warn!(alarm = %kind, of, message, "an alarm");
            }
            standing.message = message;
        }
    }

    /// The alarms, the gravest first.
    pub(super) fn standing(&self) -> Vec<Alarm> {
        let standing = self.matters.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = standing.iter().filter(|(_, standing)| standing.is_raised);
        let alarms = raised.map(|((kind, of), standing)| Alarm {
            kind: *kind,
            of: of.clone(),
            since: rfc3339(standing.since),
            message: standing.message.clone(),
            advice: advice(*kind).to_owned(),
        });
        alarms.collect()
    }

    fn set_outside(&self, matters: Vec<Matter>) {
        *self.outside.lock().unwrap_or_else(PoisonError::into_inner) = matters;
    }

    fn outside(&self) -> Vec<Matter> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Admin {
    /// Looks around for ever.
    pub async fn watch(self) {
        let look = async {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let matters = self.0.matters().into_iter().chain(self.0.alarms.outside());
                self.0.alarms.note(now(), matters.collect());
            }
        };
        let ask = async {
            let mut ticks = interval(ASK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let matters = self.0.ask_outside().await;
                self.0.alarms.set_outside(matters);
            }
        };
        tokio::join!(look, ask);
    }
}

impl Parts {
    /// What is the matter with links and neighbours, as far as is known without asking.
    fn matters(&self) -> Vec<Matter> {
        let mut matters = Vec::new();
        let neighbours = self.neighbour_views();
        for link in self.link_views() {
            let is_full = self.neighbours.get(&link.neighbour).is_some_and(|neighbour| {
                let free = neighbour.stock().free();
                free.ready + free.unconfirmed + free.neighbours >= neighbour.capacity()
            });
            for (index, source) in link.sources.into_iter().enumerate() {
                let reason = source.state.reason;
                let (kind, otherwise) = match source.state.phase {
                    Phase::Alarm => (AlarmKind::Qber, "somebody may be listening"),
                    // A source that waits for room is as it should be.
                    Phase::Waiting | Phase::Starting if !is_full => (AlarmKind::SourceFailed, "no keys come"),
                    Phase::Waiting | Phase::Starting | Phase::Producing => continue,
                };
                let of = format!("link {}, source {index} ({})", link.id, source.kind);
                matters.push(Matter { kind, of, message: reason.unwrap_or_else(|| otherwise.to_owned()) });
            }
        }
        let limits = &self.keys.options.limits;
        let largest_bytes = u64::from(limits.max_keys_per_request) * u64::from(limits.max_key_size_bits) / 8;
        for neighbour in neighbours {
            let of = format!("neighbour {}", neighbour.id);
            let ready = neighbour.stock.ready_bytes;
            if ready < largest_bytes {
                let message = format!("{ready} bytes are ready, and one request may take {largest_bytes}");
                matters.push(Matter { kind: AlarmKind::StockLow, of: of.clone(), message });
            }
            if let Some(message) = neighbour.down_because {
                matters.push(Matter { kind: AlarmKind::NeighbourUnreachable, of, message });
            }
        }
        matters
    }

    /// What is the matter with what this server leans on.
    async fn ask_outside(&self) -> Vec<Matter> {
        let mut matters = Vec::new();
        if let Err(error) = self.store.entry("admin", "ready").await {
            let of = "database".to_owned();
            matters.push(Matter { kind: AlarmKind::DatabaseUnavailable, of, message: error.to_string() });
        }
        if let Some(vault) = &self.vault
            && let Err(error) = vault.ready().await
        {
            matters.push(Matter {
                kind: AlarmKind::VaultUnavailable,
                of: "vault".to_owned(),
                message: error.to_string(),
            });
        }
        matters
    }
}

/// How long something has to be the matter until it is an alarm.
fn patience(kind: AlarmKind) -> Nanos {
    match kind {
        AlarmKind::Qber | AlarmKind::VaultUnavailable | AlarmKind::DatabaseUnavailable => Nanos(0),
        AlarmKind::NeighbourUnreachable => Nanos::from_secs(5),
        // Sources take a while to begin, and come back by themselves after a short break.
        AlarmKind::SourceFailed | AlarmKind::StockLow => Nanos::from_secs(30),
    }
}

fn advice(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::Qber => {
            "Look at the fibre and the QKD devices. No keys are made of tainted blocks; the alarm ends by itself when the error ratio is good again."
        }
        AlarmKind::VaultUnavailable => {
            "Is the Vault running and unsealed, and may this server log in? Keys that were opened already go on; others fail with 503 until it is back."
        }
        AlarmKind::DatabaseUnavailable => {
            "Is the disk full, or the database server down? No keys are given out until it is back."
        }
        AlarmKind::NeighbourUnreachable => {
            "Is the other key server running, and its certificate good? Keys shared with it cannot be given out meanwhile."
        }
        AlarmKind::SourceFailed => {
            "See what the message says, here and at the other end of the link. The source tries again by itself, but for a mistake in the configuration."
        }
        AlarmKind::StockLow => {
            "Keys are used faster than they come, or do not come at all: compare the history of the link with what applications ask."
        }
    }
}

const LOOK: Duration = Duration::from_secs(1);
const ASK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stands_from_when_it_began_until_what_it_is_about_is_over() {
        let book = AlarmBook::default();
        book.note(at(10), vec![qber("25 % are wrong")]);
        book.note(at(20), vec![qber("11 % are wrong")]);
        let [alarm] = book.standing().try_into().unwrap();
        assert_eq!((alarm.kind, alarm.of.as_str()), (AlarmKind::Qber, "link ab, source 0 (bb84)"));
        assert_eq!((alarm.since.as_str(), alarm.message.as_str()), ("1970-01-01T00:00:10Z", "11 % are wrong"));
        assert!(alarm.advice.contains("fibre"));
        book.note(at(21), Vec::new());
        assert_eq!(book.standing(), []);
        book.note(at(30), vec![qber("9 % are wrong")]);
        assert_eq!(book.standing()[0].since, "1970-01-01T00:00:30Z", "it is another one");
    }

    #[test]
    fn what_is_over_soon_is_no_alarm() {
        let book = AlarmBook::default();
        let low = || Matter { kind: AlarmKind::StockLow, of: "neighbour b".to_owned(), message: "low".to_owned() };
        book.note(at(0), vec![low()]);
        book.note(at(29), vec![low()]);
        assert_eq!(book.standing(), []);
        book.note(at(30), vec![low()]);
        assert_eq!(book.standing()[0].since, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_gravest_alarm_comes_first() {
        let book = AlarmBook::default();
        let away = Matter { kind: AlarmKind::VaultUnavailable, of: "vault".to_owned(), message: "sealed".to_owned() };
        book.note(at(0), vec![away, qber("25 % are wrong")]);
        let kinds: Vec<_> = book.standing().iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds, [AlarmKind::Qber, AlarmKind::VaultUnavailable]);
    }

    fn qber(message: &str) -> Matter {
        Matter { kind: AlarmKind::Qber, of: "link ab, source 0 (bb84)".to_owned(), message: message.to_owned() }
    }

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos(seconds * 1_000_000_000)
    }
}
