//! `/metrics`: everything that is counted, in the form that Prometheus reads. `docs/operations/qks.md` lists the families.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use photongate_net::http::{HEALTH, Read, ReadRefusals};
use photongate_net::metrics::{Families, Label, MEDIA_TYPE, text};
use prometheus_client::registry::Registry;

use super::Admin;
use super::model::{AlarmKind, Link, Neighbour, Source};
use crate::links::{Phase, Quality};

/// Everything that is counted, for Prometheus.
///
/// Text format 0.0.4.
#[utoipa::path(
    get, path = "/metrics", tag = HEALTH, operation_id = "get_metrics",
    responses(
        (status = 200, description = "The numbers of this moment.", body = String, content_type = "text/plain",
         example = "photongate_qks_keys_delivered_total 17"),
        ReadRefusals,
    ),
)]
pub(super) async fn metrics(State(admin): State<Admin>, _: Read) -> Response {
    let ready = admin.not_ready_because().await.is_empty();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(families(&admin, ready)));
    ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], text(&registry)).into_response()
}

fn families(admin: &Admin, ready: bool) -> Families {
    let mut families = Families::default();
    let build = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("qks", admin.0.local.to_string())];
    families.gauge(
        "photongate_qks_build_info",
        "Version of the program and name of the key server; always 1",
        &build,
        1.0,
    );
    let started = admin.0.started_at.0 as f64 / 1e9;
    families.gauge("process_start_time_seconds", "When the key server started, in seconds since 1970", &[], started);
    families.flag("photongate_qks_ready", "Whether the database answers, and a neighbour", &[], ready);
    for (method, status, count) in admin.0.requests.all() {
        let labels = [("method", method.to_owned()), ("status", status.to_string())];
        families.counter("photongate_qks_requests", "Requests of applications by method and status", &labels, count);
    }
    let help = "Keys that applications have got";
    families.counter("photongate_qks_keys_delivered", help, &[], admin.0.keys.delivered.value());
    let standing = admin.0.alarms.standing();
    for kind in AlarmKind::ALL {
        let count = standing.iter().filter(|alarm| alarm.kind == kind).count();
        let labels = [("kind", kind.to_string())];
        families.gauge("photongate_qks_alarms", "Alarms that an operator should look at", &labels, count as f64);
    }
    let latency = admin.0.store.latency();
    let help = "How long a change took until it was on disk";
    families.histogram("photongate_qks_store_commit_seconds", help, &[], latency.buckets(), latency.sum_s());
    admin.0.neighbour_views().iter().for_each(|neighbour| of_a_neighbour(&mut families, neighbour));
    admin.0.link_views().iter().for_each(|link| of_a_link(&mut families, link));
    families
}

fn of_a_neighbour(families: &mut Families, neighbour: &Neighbour) {
    let labels = [("neighbour", neighbour.id.to_string())];
    families.flag("photongate_qks_neighbour_up", "Whether a neighbouring key server answers", &labels, neighbour.up);
    let stock = neighbour.stock;
    for (state, bytes) in
        [("ready", stock.ready_bytes), ("unconfirmed", stock.unconfirmed_bytes), ("neighbours", stock.neighbours_bytes)]
    {
        let labels = [("neighbour", neighbour.id.to_string()), ("state", state.to_owned())];
        let help = "Key material shared with a neighbour and not given out, by who can give it out";
        families.gauge("photongate_qks_stock_bytes", help, &labels, bytes as f64);
    }
}

fn of_a_link(families: &mut Families, link: &Link) {
    let labels = [("link", link.id.to_string()), ("neighbour", link.neighbour.to_string())];
    let help = "Key material that came over a link";
    families.counter("photongate_qks_link_taken_in_bytes", help, &labels, link.taken_in_bytes);
    for (index, source) in link.sources.iter().enumerate() {
        of_a_source(families, link, index, source);
    }
}

fn of_a_source(families: &mut Families, link: &Link, index: usize, source: &Source) {
    let labels = [("link", link.id.to_string()), ("source", index.to_string()), ("kind", source.kind.clone())];
    for (name, phase) in PHASES {
        let [link, source_index, kind] = labels.clone();
        let labels = [link, source_index, kind, ("phase", name.to_owned())];
        let help = "What a source of keys does: 1 for the phase that it is in";
        families.flag("photongate_qks_source_phase", help, &labels, source.state.phase == phase);
    }
    if let Some(quality) = &source.state.quality {
        of_a_quality(families, &labels, quality);
    }
}

fn of_a_quality(families: &mut Families, labels: &[Label], quality: &Quality) {
    let mut gauge = |name, help, value: f64| families.gauge(name, help, labels, value);
    gauge("photongate_qks_source_qber", "Ratio of wrong bits in the sifted key of the last blocks", quality.qber);
    let help = "Sifted bits per second, of the last blocks";
    gauge("photongate_qks_source_sifted_bits_per_second", help, quality.sifted_bits_per_second);
    let help = "Secret bits per second, of the last blocks";
    gauge("photongate_qks_source_secret_bits_per_second", help, quality.secret_bits_per_second);
    let mut counter = |name, help, value: u64| families.counter(name, help, labels, value);
    counter("photongate_qks_source_pulses", "Pulses that a QKD source has sent", quality.pulses);
    counter("photongate_qks_source_sifted_bits", "Sifted bits", quality.sifted_bits);
    let help = "Bits that error correction told an eavesdropper";
    counter("photongate_qks_source_leaked_bits", help, quality.leaked_bits);
    counter("photongate_qks_source_secret_bits", "Secret bits", quality.secret_bits);
    let help = "Blocks thrown away because of their error ratio, or because they could not be corrected";
    counter("photongate_qks_source_discarded_blocks", help, quality.discarded_blocks);
}

const PHASES: [(&str, Phase); 4] = [
    ("starting", Phase::Starting),
    ("producing", Phase::Producing),
    ("waiting", Phase::Waiting),
    ("alarm", Phase::Alarm),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::links::SourceState;

    #[test]
    fn a_source_has_one_number_for_each_phase_and_its_quality_if_it_measures_one() {
        let quality = Quality { qber: 0.021, secret_bits: 4_096, ..Quality::default() };
        let state = SourceState { phase: Phase::Alarm, reason: None, quality: Some(quality) };
        let source = Source { kind: "bb84".to_owned(), state, channels: Vec::new() };
        let name = |text: &str| text.parse().unwrap();
        let link = Link {
            id: "ab".parse().unwrap(),
            neighbour: name("qks-b"),
            capacity_bytes: 8,
            taken_in_bytes: 7,
            configured: true,
            attached: true,
            sources: vec![source],
        };
        let text = written(|families| of_a_link(families, &link));
        for line in [
            "photongate_qks_source_phase{link=\"ab\",source=\"0\",kind=\"bb84\",phase=\"alarm\"} 1.0",
            "photongate_qks_source_phase{link=\"ab\",source=\"0\",kind=\"bb84\",phase=\"producing\"} 0.0",
            "photongate_qks_source_qber{link=\"ab\",source=\"0\",kind=\"bb84\"} 0.021",
            "photongate_qks_source_secret_bits_total{link=\"ab\",source=\"0\",kind=\"bb84\"} 4096",
            "photongate_qks_link_taken_in_bytes_total{link=\"ab\",neighbour=\"qks-b\"} 7",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_family_is_described_in_the_documentation_and_every_described_one_is_there() {
        let here = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/metrics.rs")).unwrap();
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations/qks.md")).unwrap();
        let code = here.split("#[cfg(test)]").next().unwrap();
        let families = names(code, '"');
        let described: BTreeSet<_> =
            names(&page, '`').into_iter().map(|name| name.trim_end_matches("_total").to_owned()).collect();
        assert!(families.len() > 15);
        assert_eq!(families, described);
    }

    #[test]
    fn the_alerts_and_the_dashboard_ask_for_families_that_there_are() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations");
        let known = names(include_str!("metrics.rs").split("#[cfg(test)]").next().unwrap(), '"');
        for file in ["qks-alerts.yml", "qks-grafana.json"] {
            let text = fs::read_to_string(format!("{folder}/{file}")).unwrap();
            let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let used: BTreeSet<_> = words.filter(|word| word.starts_with("photongate_qks_")).collect();
            assert!(used.len() > 5, "{used:?}");
            for name in used {
                let family = ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
                assert!(known.contains(family), "{file}: there is no {name}");
            }
        }
    }

    /// The names of families between two quotes of a kind.
    fn names(text: &str, quote: char) -> BTreeSet<String> {
        let name = |part: &&str| {
            part.starts_with("photongate_qks_") && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        text.split(quote).filter(name).map(str::to_owned).collect()
    }

    fn written(add: impl FnOnce(&mut Families)) -> String {
        let mut families = Families::default();
        add(&mut families);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(families));
        text(&registry)
    }
}
