//! Key rates, error ratios and stocks of the last hours.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Problem, Query, Read, ReadRefusals, bad_request};
use photongate_net::now;
use photongate_net::rfc3339;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::model::{HistoryPage, HistorySample, LinkSample, NeighbourSample};
use super::{Admin, openapi};
use crate::ids::LinkId;

/// The samples of the last hours. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<VecDeque<HistorySample>>>);

/// Which part of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryParameters {
    /// How many samples, the newest; 360 without it.
    #[param(minimum = 1, maximum = 2160)]
    limit: Option<usize>,
}

/// Key rates, error ratios and stocks, sample by sample. Six hours are kept, and nothing from before the start.
#[utoipa::path(
    get, path = "/api/v1/history", tag = openapi::SERVER, operation_id = "get_history", params(HistoryParameters),
    responses((status = 200, description = "The samples, the oldest first.", body = HistoryPage), ReadRefusals),
)]
pub(super) async fn history(
    State(admin): State<Admin>,
    _: Read,
    Query(HistoryParameters { limit }): Query<HistoryParameters>,
) -> Result<Json<HistoryPage>, Problem> {
    let limit = limit.unwrap_or(DEFAULT_SAMPLES);
    if !(1..=MOST_SAMPLES).contains(&limit) {
        return Err(bad_request(format!("limit {limit} is not between 1 and {MOST_SAMPLES}")));
    }
    Ok(Json(HistoryPage { period_s: PERIOD.as_secs(), samples: admin.0.history.newest(limit) }))
}

impl History {
    fn newest(&self, limit: usize) -> Vec<HistorySample> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().skip(samples.len().saturating_sub(limit)).cloned().collect()
    }

    fn add(&self, sample: HistorySample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == MOST_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }
}

impl Admin {
    /// Takes a sample now and then, for ever.
    pub async fn sample(self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = self.totals();
        // The first tick is over at once.
        ticks.tick().await;
        let mut since = tokio::time::Instant::now();
        loop {
            ticks.tick().await;
            let totals = self.totals();
            let seconds = since.elapsed().as_secs_f64().max(1.0);
            since = tokio::time::Instant::now();
            let taken_in = |totals: &Totals, link: &LinkId| totals.taken_in.get(link).copied().unwrap_or(0);
            let links = self.0.link_views().into_iter().map(|link| LinkSample {
                // A link that was registered anew counts from nothing.
                key_bits_per_second: 8.0
                    * taken_in(&totals, &link.id).saturating_sub(taken_in(&before, &link.id)) as f64
                    / seconds,
                qber: link.sources.iter().filter_map(|source| Some(source.state.quality?.qber)).reduce(f64::max),
                id: link.id,
            });
            let neighbours = self.0.neighbour_views().into_iter();
            let neighbours = neighbours.map(|neighbour| NeighbourSample {
                id: neighbour.id,
                up: neighbour.up,
                stock: neighbour.stock,
            });
            self.0.history.add(HistorySample {
                at: rfc3339(now()),
                links: links.collect(),
                neighbours: neighbours.collect(),
                keys_delivered: totals.delivered - before.delivered,
            });
            before = totals;
        }
    }

    fn totals(&self) -> Totals {
        let taken_in = self.0.links.all().into_iter().map(|link| (link.id, link.taken.value())).collect();
        Totals { taken_in, delivered: self.0.keys.delivered.value() }
    }
}

/// What only grows.
struct Totals {
    taken_in: BTreeMap<LinkId, u64>,
    delivered: u64,
}

const PERIOD: Duration = Duration::from_secs(10);

/// Six hours.
const MOST_SAMPLES: usize = 2_160;

/// One hour.
const DEFAULT_SAMPLES: usize = 360;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_samples_are_kept_and_given() {
        let history = History::default();
        for number in 0..MOST_SAMPLES as u64 + 3 {
            history.add(HistorySample { keys_delivered: number, ..HistorySample::default() });
        }
        let numbers = |limit| history.newest(limit).iter().map(|sample| sample.keys_delivered).collect::<Vec<_>>();
        assert_eq!(numbers(2), [MOST_SAMPLES as u64 + 1, MOST_SAMPLES as u64 + 2]);
        assert_eq!((numbers(usize::MAX).len(), numbers(usize::MAX)[0]), (MOST_SAMPLES, 3));
    }
}
