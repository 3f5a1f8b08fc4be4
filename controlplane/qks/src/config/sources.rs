//! `[[links.sources]]`: where the keys of a link come from.

mod bb84;

use std::time::Duration;

use photongate_net::config::{Reported, Section, Value};
use photongate_net::tls::{NotASubject, SubjectPattern};
use photongate_wire::Nanos;
use url::Url;

pub use self::bb84::Bb84Config;
use crate::links::etsi004::Etsi004;
use crate::links::etsi014::Etsi014;
use crate::links::hybrid::WhenOneFails;
use crate::links::keyfile::KeyFiles;
use crate::links::mlkem::MlKemSettings;
use crate::links::{Credentials, DeviceAddress};

/// One of `[[links.sources]]`.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConfig {
    /// `kind = "bb84"`.
    Bb84(Bb84Config),
    /// `kind = "keyfile"`.
    KeyFile(KeyFiles),
    /// `kind = "mlkem"`.
    MlKem(MlKemSettings),
    /// `kind = "etsi004"`.
    Etsi004(Etsi004),
    /// `kind = "etsi014"`.
    Etsi014(Etsi014),
    /// `kind = "hybrid"`.
    Hybrid(HybridConfig),
}

/// Two sources in one.
#[derive(Clone, Debug, PartialEq)]
pub struct HybridConfig {
    /// The sources. Neither is a hybrid.
    pub of: Box<[SourceConfig; 2]>,
    /// What then.
    pub when_one_fails: WhenOneFails,
    /// When it counts as a failure that a source gives nothing while the other does.
    pub patience: Duration,
}

#[derive(Clone, Copy)]
enum Kind {
    Bb84,
    KeyFile,
    MlKem,
    Etsi004,
    Etsi014,
    Hybrid,
}

impl SourceConfig {
    /// Reads and checks a source.
    ///
    /// # Errors
    /// It has a mistake, which was reported.
    pub(super) fn read(source: &mut Section<'_>) -> Result<Self, Reported> {
        Self::read_one_of(source, KINDS)
    }

    fn read_one_of(source: &mut Section<'_>, kinds: &[(&str, Kind)]) -> Result<Self, Reported> {
        match source.required_with("kind", "\"mlkem\"", |kind| kind.choice(kinds))? {
            Kind::Bb84 => bb84::read(source).map(Self::Bb84),
            Kind::KeyFile => key_files(source).map(Self::KeyFile),
            Kind::MlKem => mlkem(source).map(Self::MlKem),
            Kind::Etsi004 => etsi004(source).map(Self::Etsi004),
            Kind::Etsi014 => etsi014(source).map(Self::Etsi014),
            Kind::Hybrid => hybrid(source).map(Self::Hybrid),
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

fn etsi014(source: &mut Section<'_>) -> Result<Etsi014, Reported> {
    let device = device(source);
    let peer_sae = source.required("peer_sae");
    let key_size_bits = source.or_with("key_size_bits", 256, |bits| {
        let size = bits.number(8..=Etsi014::MOST_KEY_BITS, "bits")?;
        if size.is_multiple_of(8) { Ok(size) } else { Err(bits.refuse("is no multiple of 8 bits")) }
    });
    let keys_per_block = source.or_with("keys_per_block", 64, |count| count.number(1..=Etsi014::MOST_KEYS, "keys"));
    Ok(Etsi014 { device: device?, peer_sae: peer_sae?, key_size_bits: key_size_bits?, keys_per_block: keys_per_block? })
}

fn hybrid(source: &mut Section<'_>) -> Result<HybridConfig, Reported> {
    let of = source.sections("of", |inner| SourceConfig::read_one_of(inner, INNER_KINDS));
    let when_one_fails = source.or_with("when_one_fails", WhenOneFails::Wait, |choice| choice.choice(FAILURES));
    let patience =
        source.or_with("patience", Duration::from_secs(30), span(Nanos::from_secs(1), Nanos::from_secs(86_400)));
    let of = <[SourceConfig; 2]>::try_from(of?)
        .map_err(|of| source.refuse("of", format!("there are {}: write [[links.sources.of]] twice", of.len())))?;
    Ok(HybridConfig { of: Box::new(of), when_one_fails: when_one_fails?, patience: patience? })
}

fn etsi004(source: &mut Section<'_>) -> Result<Etsi004, Reported> {
    let module = device(source);
    let application = |uri: &Value<'_>| {
        let text = uri.text()?;
        let is_uri = Url::parse(text).is_ok();
        if is_uri { Ok(text.to_owned()) } else { Err(uri.refuse("is no URI, like \"qkd://qks-a\"")) }
    };
    let name = source.required_with("source", "\"qkd://qks-a\"", application);
    let destination = source.required_with("destination", "\"qkd://qks-b\"", application);
    let chunk_bytes = source.or_with("chunk_bytes", 32, |bytes| bytes.number(1..=Etsi004::MOST_CHUNK_BYTES, "bytes"));
    let chunks_per_block =
        source.or_with("chunks_per_block", 64, |chunks| chunks.number(1..=Etsi004::MOST_CHUNKS, "chunks"));
    let ttl = source.or_with("ttl", Duration::from_secs(600), span(Nanos::from_secs(60), Nanos::from_secs(86_400)));
    let ttl_seconds = ttl?.as_secs().try_into().unwrap_or(u32::MAX);
    Ok(Etsi004 {
        module: module?,
        source: name?,
        destination: destination?,
        chunk_bytes: chunk_bytes?,
        chunks_per_block: chunks_per_block?,
        ttl_seconds,
    })
}

fn device(source: &mut Section<'_>) -> Result<DeviceAddress, Reported> {
    let url = source.required_with("url", "\"https://device.example/\"", |value| {
        let url = Url::parse(value.text()?).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none() && url.query().is_none());
        url.ok_or_else(|| value.refuse("is not where a device is: write a URL like \"https://device.example/\""))
    });
    let ca = source.required_with("ca", "\"device-ca.pem\"", Value::path);
    let certificate = source.required_with("certificate", "\"application.pem\"", Value::path);
    let key = source.required_with("key", "\"application-key.pem\"", Value::path);
    let device = source.optional_with("device", |value| {
        value.text()?.parse::<SubjectPattern>().map_err(|error: NotASubject| value.refuse(error.to_string()))
    });
    let credentials = Credentials { certificate: certificate?, key: key?, ca: ca? };
    Ok(DeviceAddress { url: url?, credentials, device: device? })
}

/// Reads a duration within bounds.
fn span(least: Nanos, most: Nanos) -> impl FnOnce(&Value<'_>) -> Result<Duration, Reported> {
    move |value| value.span(least, most)
}

/// The last one is no inner kind.
const KINDS: &[(&str, Kind)] = &[
    ("keyfile", Kind::KeyFile),
    ("mlkem", Kind::MlKem),
    ("etsi014", Kind::Etsi014),
    ("etsi004", Kind::Etsi004),
    ("bb84", Kind::Bb84),
    ("hybrid", Kind::Hybrid),
];

const INNER_KINDS: &[(&str, Kind)] = KINDS.split_at(KINDS.len() - 1).0;

const FAILURES: &[(&str, WhenOneFails)] = &[("carry_on", WhenOneFails::CarryOn), ("wait", WhenOneFails::Wait)];

#[cfg(test)]
mod tests;
