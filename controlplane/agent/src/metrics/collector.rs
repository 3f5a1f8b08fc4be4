//! Families of numbers on their way to the encoder.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Families in the order in which they were first named.
#[derive(Debug, Default)]
pub(super) struct Families(Vec<Family>);

/// How numbers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow.
    Counter,
    /// They come and go.
    Gauge,
    /// Each is a distribution.
    Histogram,
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    /// Of a histogram, the sum.
    value: f64,
    /// Upper bounds and counts of a histogram.
    buckets: Vec<(f64, u64)>,
}

impl Families {
    /// Adds a number to a family.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        labels: &[(&'static str, String)],
        value: f64,
    ) {
        self.push(name, help, kind, Sample { labels: labels.to_vec(), value, buckets: Vec::new() });
    }

    /// Adds a distribution to a family.
    pub(super) fn add_histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, String)],
        buckets: impl Iterator<Item = (f64, u64)>,
        sum: f64,
    ) {
        let buckets: Vec<_> = buckets.collect();
        if !buckets.is_empty() {
            self.push(name, help, Kind::Histogram, Sample { labels: labels.to_vec(), value: sum, buckets });
        }
    }

    fn push(&mut self, name: &'static str, help: &'static str, kind: Kind, sample: Sample) {
        match self.0.iter_mut().find(|family| family.name == name) {
            Some(family) => family.samples.push(sample),
            None => self.0.push(Family { name, help, kind, samples: vec![sample] }),
        }
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, samples } in &self.0 {
            let kind_of_metric = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            // The encoder ends the sentence itself.
            let mut family = encoder.encode_descriptor(name, help.trim_end_matches('.'), None, kind_of_metric)?;
            for Sample { labels, value, buckets } in samples {
                let mut metric = family.encode_family(labels)?;
                match kind {
                    Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(value, None)?,
                    Kind::Gauge => metric.encode_gauge(value)?,
                    Kind::Histogram => {
                        let count = buckets.iter().map(|(_, count)| count).sum();
                        metric.encode_histogram::<NoLabelSet>(*value, count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}
