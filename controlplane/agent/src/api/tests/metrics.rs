//! Metrics: their form, their names, and whether the documentation knows them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[tokio::test]
async fn every_line_is_as_the_text_format_has_it() {
    let families = families(&scrape().await);
    for (name, family) in &families {
        assert!(name.starts_with("photongate_") || name == "process_start_time_seconds", "{name}");
        assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(family.help.ends_with('.') && !family.help.ends_with(".."), "{name}: {}", family.help);
        assert!(!family.samples.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn no_number_is_given_twice() {
    let text = scrape().await;
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series), "{series}");
    }
}

#[tokio::test]
async fn buckets_of_histograms_add_up() {
    let families = families(&scrape().await);
    let histograms = families.iter().filter(|(_, family)| family.kind == "histogram");
    let names: Vec<_> = histograms.clone().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "photongate_clock_skew_seconds",
        "photongate_grace_period_duration_seconds",
        "photongate_key_fetch_duration_seconds",
    ];
    assert_eq!(names, expected);
    for (name, family) in histograms {
        let mut last = BTreeMap::new();
        for (series, value) in &family.samples {
            if let Some((before, rest)) = series.split_once("le=\"") {
                let (bound, after) = rest.split_once('"').unwrap();
                let bound = bound.parse::<f64>().unwrap();
                let below = last.insert((before, after), (bound, *value));
                assert!(below.is_none_or(|(below, count)| below < bound && count <= *value), "{series}");
            }
        }
        let counts = family.samples.iter().filter(|(series, _)| series.starts_with(&format!("{name}_count")));
        let counts: Vec<_> = counts.map(|(_, value)| *value).collect();
        assert!(last.values().all(|(bound, _)| bound.is_infinite()), "{name} has no last bucket");
        assert_eq!(last.values().map(|(_, count)| *count).sum::<f64>(), counts.iter().sum::<f64>(), "{name}");
    }
}

#[tokio::test]
async fn numbers_are_those_of_the_filter() {
    let text = scrape().await;
    for line in [
        "photongate_build_info{version=\"1.2.3\",isd_as=\"1-ff00:0:111\"} 1.0",
        "photongate_ready 0.0",
        "photongate_packets_total{worker=\"0\",verdict=\"outbound\",reason=\"\"} 1",
        "photongate_packets_total{worker=\"0\",verdict=\"dropped\",reason=\"outbound_no_key\"} 1",
        "photongate_packets_total{worker=\"0\",verdict=\"dropped\",reason=\"bad_mac\"} 0",
        "photongate_packet_bytes_total{worker=\"0\",verdict=\"outbound\",reason=\"\"} 49",
        "photongate_peer_packets_total{peer=\"20-ff00:0:112\",protocol=\"3\",verdict=\"outbound\"} 1",
        "photongate_peer_packets_total{peer=\"21-ff00:0:113\",protocol=\"3\",verdict=\"dropped\"} 1",
        "photongate_peer_dark{peer=\"21-ff00:0:113\",protocol=\"3\"} 1.0",
        "photongate_peers{state=\"degraded\"} 1.0",
        "photongate_as_list_generation 1.0",
        "photongate_key_fetches_total{result=\"fetched\"} 2",
        "photongate_key_fetches_total{result=\"timed_out\"} 0",
        "photongate_key_rotations_total 2",
        "photongate_port_received_packets_total{port=\"inside\"} 2",
        "photongate_certificate_expiry_timestamp_seconds 4102444800.0",
    ] {
        assert!(text.lines().any(|given| given == line), "{line} is not in\n{text}");
    }
    assert!(text.contains(
        "photongate_key_expiry_timestamp_seconds{peer=\"20-ff00:0:112\",protocol=\"3\",direction=\"inbound\"} "
    ));
    assert!(!text.contains("photongate_key_expiry_timestamp_seconds{peer=\"21-ff00:0:113\""), "it has no key");
}

#[tokio::test]
async fn the_documentation_has_the_same_metrics_with_the_same_kinds_and_labels() {
    let page = include_str!("../../../../../docs/operations/metrics.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| row.contains("` | counter |") || row.contains("` | gauge |") || row.contains("` | histogram |"));
    let documented: BTreeSet<_> = rows
        .map(|row| row.split('|').take(3).map(|cell| cell.trim().trim_end_matches('`').to_owned()).collect::<Vec<_>>())
        .collect();
    let families = families(&scrape().await);
    let given = families.iter().map(|(name, family)| {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        vec![name.clone(), family.kind.clone(), labels.join(", ").trim_end_matches('`').to_owned()]
    });
    assert_eq!(documented, given.collect());
}

#[tokio::test]
async fn the_alerts_and_the_dashboard_use_metrics_that_there_are() {
    let families = families(&scrape().await);
    let pages = [
        include_str!("../../../../../docs/operations/alerts.yml"),
        include_str!("../../../../../docs/operations/grafana.json"),
    ];
    for page in pages {
        let words = page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let used: BTreeSet<_> = words.filter(|word| word.starts_with("photongate_")).collect();
        assert!(used.len() > 10, "{used:?}");
        for name in used {
            let family = name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
            assert!(families.contains_key(name) || families.contains_key(family), "there is no metric {name}");
        }
    }
}

/// One family, as it was given.
struct Family {
    kind: String,
    help: String,
    /// In their order, without that of buckets.
    labels: Vec<String>,
    samples: Vec<(String, f64)>,
}

/// Metrics after a packet to each of the two peers.
async fn scrape() -> String {
    let desk = Desk::open().await;
    health::pass(&desk.lab.path);
    let answer = desk.get("/metrics").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().to_owned()
}

/// Reads the text format 0.0.4, and fails at everything that it does not have.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) =
            line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no help: {line}")).split_once(' ').unwrap();
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        let mut family =
            Family { kind: kind.to_owned(), help: help.to_owned(), labels: Vec::new(), samples: Vec::new() };
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (sample, labels) = series.split_once('{').unwrap_or((series, "}"));
            let suffix = sample.strip_prefix(name).unwrap_or_else(|| panic!("{sample} is not of {name}"));
            assert!(
                suffix.is_empty() || kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&suffix),
                "{series}"
            );
            family.labels =
                labels.split('"').step_by(2).map(|name| name.trim_matches([',', '=', '}']).to_owned()).collect();
            family.labels.retain(|label| !label.is_empty() && label != "le");
            family.samples.push((series.to_owned(), value.parse().unwrap()));
        }
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
    }
    families
}
