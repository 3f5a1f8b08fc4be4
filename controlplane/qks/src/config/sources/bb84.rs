//! `kind = "bb84"`.

use std::time::Duration;

use photongate_net::config::{Reported, Section, Value};
use photongate_wire::Nanos;

use super::span;
use crate::links::bb84::{BadSetting, ChannelSettings, Endpoint, Parameters};
use crate::secrets::SecretRef;

/// A simulated QKD link.
#[derive(Clone, Debug, PartialEq)]
pub struct Bb84Config {
    /// Where the two ends meet.
    pub endpoint: Endpoint,
    /// What the two ends share.
    pub secret: SecretRef,
    /// How blocks are made.
    pub parameters: Parameters,
    /// What the channel is like at the beginning.
    pub channel: ChannelSettings,
    /// How long to wait for a sign of life from the other end.
    pub patience: Duration,
}

/// Reads and checks it.
pub(super) fn read(source: &mut Section<'_>) -> Result<Bb84Config, Reported> {
    let endpoint = endpoint(source);
    let secret = source.required("secret");
    let patience =
        source.or_with("patience", Duration::from_secs(30), span(Nanos::from_secs(1), Nanos::from_secs(3_600)));
    let parameters = parameters(source);
    let channel = channel(source);
    let (parameters, channel) = (parameters?, channel?);
    let bad = |setting: BadSetting| source.refuse(setting.field, setting.to_string());
    let sound = parameters.check().map_err(bad);
    channel.check().map_err(bad).and(sound)?;
    Ok(Bb84Config { endpoint: endpoint?, secret: secret?, parameters, channel, patience: patience? })
}

fn endpoint(source: &mut Section<'_>) -> Result<Endpoint, Reported> {
    let listen = source.optional_with("listen", address);
    let connect = source.optional_with("connect", address);
    match (listen?, connect?) {
        (Some(address), None) => Ok(Endpoint::Listen(address)),
        (None, Some(address)) => Ok(Endpoint::Connect(address)),
        (None, None) => {
            let why = "neither it nor connect is there: one end has listen = \"0.0.0.0:8450\", the other connect = \"host:8450\"";
            Err(source.refuse("listen", why))
        }
        (Some(_), Some(_)) => Err(source.refuse("connect", "is there beside listen: an end does the one or the other")),
    }
}

fn address(value: &Value<'_>) -> Result<String, Reported> {
    let text = value.text()?;
    let is_address = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_address { Ok(text.to_owned()) } else { Err(value.refuse("is no host and port, like \"qks-b.example:8450\"")) }
}

fn parameters(source: &mut Section<'_>) -> Result<Parameters, Reported> {
    let Parameters { block_bits, sample, qber_threshold, probe_bits, probes, probe_pause_ms, security } =
        Parameters::default();
    let block_bits = source.or_with("block_bits", block_bits, |bits| bits.number(0..=u32::MAX, "bits"));
    let sample = source.or_with("sample", sample, any);
    let qber_threshold = source.or_with("qber_threshold", qber_threshold, any);
    let probe_bits = source.or_with("probe_bits", probe_bits, |bits| bits.number(0..=u32::MAX, "bits"));
    let probes = source.or_with("probes", probes, |probes| probes.number(0..=u32::MAX, "probes"));
    let probe_pause_ms = source.or_with("probe_pause_ms", probe_pause_ms, |pause| pause.number(0..=u32::MAX, "ms"));
    let security = source.or_with("security", security, any);
    Ok(Parameters {
        block_bits: block_bits?,
        sample: sample?,
        qber_threshold: qber_threshold?,
        probe_bits: probe_bits?,
        probes: probes?,
        probe_pause_ms: probe_pause_ms?,
        security: security?,
    })
}

fn channel(source: &mut Section<'_>) -> Result<ChannelSettings, Reported> {
    let defaults = ChannelSettings::default();
    let pulses_per_second =
        source.or_with("pulses_per_second", defaults.pulses_per_second, |pulses| pulses.number(0..=u64::MAX, "pulses"));
    let loss_db = source.or_with("loss_db", defaults.loss_db, any);
    let detector_efficiency = source.or_with("detector_efficiency", defaults.detector_efficiency, any);
    let dark_count_probability = source.or_with("dark_count_probability", defaults.dark_count_probability, any);
    let misalignment = source.or_with("misalignment", defaults.misalignment, any);
    let eavesdropper = source.or_with("eavesdropper", defaults.eavesdropper, any);
    Ok(ChannelSettings {
        pulses_per_second: pulses_per_second?,
        loss_db: loss_db?,
        detector_efficiency: detector_efficiency?,
        dark_count_probability: dark_count_probability?,
        misalignment: misalignment?,
        eavesdropper: eavesdropper?,
    })
}

/// Any number: its bounds are the link's business.
fn any(value: &Value<'_>) -> Result<f64, Reported> {
    value.decimal(f64::MIN..=f64::MAX)
}
