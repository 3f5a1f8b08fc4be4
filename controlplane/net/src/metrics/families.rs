//! Families of numbers on their way to the encoder.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Families in the order in which they were first named. The encoder adds `_total` to the names of counters, and a
/// full stop to what is said about each family, as a [registry](prometheus_client::registry::Registry) does.
#[derive(Debug, Default)]
pub struct Families(Vec<Family>);

/// What tells the numbers of a family apart.
pub type Label = (&'static str, String);

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Vec<Label>, Number)>,
}

#[derive(Debug)]
enum Number {
    Counter(u64),
    Gauge(f64),
    Histogram { buckets: Vec<(f64, u64)>, sum: f64 },
}

impl Families {
    /// Adds a number that only grows.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: &[Label], value: u64) {
        self.add(name, help, MetricType::Counter, labels, Number::Counter(value));
    }

    /// Adds a number that comes and goes.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[Label], value: f64) {
        self.add(name, help, MetricType::Gauge, labels, Number::Gauge(value));
    }

    /// Adds 1 for what is so, and 0 for what is not.
    pub fn flag(&mut self, name: &'static str, help: &'static str, labels: &[Label], is_so: bool) {
        self.gauge(name, help, labels, f64::from(u8::from(is_so)));
    }

    /// Adds a distribution: upper bounds, ascending, and how many lie in each bucket alone. The last bound is infinite.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[Label],
        buckets: Vec<(f64, u64)>,
        sum: f64,
    ) {
        self.add(name, help, MetricType::Histogram, labels, Number::Histogram { buckets, sum });
    }

    fn add(&mut self, name: &'static str, help: &'static str, kind: MetricType, labels: &[Label], number: Number) {
        let sample = (labels.to_vec(), number);
        match self.0.iter_mut().find(|family| family.name == name) {
            Some(family) => family.samples.push(sample),
            None => self.0.push(Family { name, help, kind, samples: vec![sample] }),
        }
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, samples } in &self.0 {
            let mut family = encoder.encode_descriptor(name, &format!("{help}."), None, *kind)?;
            for (labels, number) in samples {
                if labels.is_empty() {
                    number.encode(&mut family)?;
                } else {
                    number.encode(&mut family.encode_family(labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Number {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(value) => encoder.encode_counter::<NoLabelSet, _, u64>(value, None),
            Self::Gauge(value) => encoder.encode_gauge(value),
            Self::Histogram { buckets, sum } => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}
