//! `[[links.sources]]`: where the keys of a link come from.

use std::time::Duration;

use photongate_net::config::{FromValue, Reported, Section, Value};
use photongate_wire::Nanos;

use crate::links::keyfile::KeyFiles;
use crate::links::mlkem::MlKemSettings;

/// One of `[[links.sources]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// `kind = "keyfile"`.
    KeyFile(KeyFiles),
    /// `kind = "mlkem"`.
    MlKem(MlKemSettings),
}

#[derive(Clone, Copy)]
enum Kind {
    KeyFile,
    MlKem,
}

impl SourceConfig {
    /// Reads and checks a source.
    ///
    /// # Errors
    /// It has a mistake, which was reported.
    pub(super) fn read(source: &mut Section<'_>) -> Result<Self, Reported> {
        match source.required_with("kind", "\"mlkem\"", |kind| kind.choice(KINDS))? {
            Kind::KeyFile => key_files(source).map(Self::KeyFile),
            Kind::MlKem => mlkem(source).map(Self::MlKem),
        }
    }
}

fn key_files(source: &mut Section<'_>) -> Result<KeyFiles, Reported> {
    let directory = source.required_with("directory", "\"keys/from-device\"", Value::path);
    let period =
        source.or_with("period", Duration::from_secs(1), span(Nanos::from_millis(10), Nanos::from_secs(3_600)));
    Ok(KeyFiles { directory: directory?, period: period? })
}

fn mlkem(source: &mut Section<'_>) -> Result<MlKemSettings, Reported> {
    let defaults = MlKemSettings::default();
    let interval = source.or_with("interval", defaults.interval, span(Nanos::from_millis(1), Nanos::from_secs(3_600)));
    let exchanges_per_block = source.or_with("exchanges_per_block", defaults.exchanges_per_block, |count| {
        count.number(1..=MlKemSettings::MOST_EXCHANGES, "exchanges")
    });
    Ok(MlKemSettings { interval: interval?, exchanges_per_block: exchanges_per_block? })
}

/// Reads a duration within bounds.
fn span(least: Nanos, most: Nanos) -> impl FnOnce(&Value<'_>) -> Result<Duration, Reported> {
    move |value| {
        let span = Nanos::from_value(value)?;
        if (least..=most).contains(&span) {
            return Ok(span.into());
        }
        Err(value.refuse(format!("is out of bounds: {least} to {most}")))
    }
}

const KINDS: &[(&str, Kind)] = &[("keyfile", Kind::KeyFile), ("mlkem", Kind::MlKem)];

#[cfg(test)]
mod tests;
