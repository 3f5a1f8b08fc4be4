//! The example of `config/dht`: its configurations, the reference that describes them, and the script that runs nodes.

#[path = "support/script.rs"]
mod script;

use std::path::{Path, PathBuf};

use photongate_dht::config::{DhtConfig, Mode};
use photongate_net::pki::{Role, Site};

#[test]
fn the_example_configurations_are_right_and_know_each_other() {
    let [one, other] = FILES.map(|file| {
        let loaded = DhtConfig::load(&example(file)).unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.warnings.is_empty());
        loaded.config
    });
    assert_eq!(one.bootstrap[0].to_string(), other.listen.to_string());
    assert_eq!(other.bootstrap[0].to_string(), one.listen.to_string());
    assert_ne!(one.state, other.state);
}

#[test]
fn every_node_of_the_example_gets_a_certificate() {
    let site = Site::load(&example("site.toml")).unwrap_or_else(|error| panic!("{error}")).config;
    for file in FILES {
        let Mode::Closed(closed) = DhtConfig::load(&example(file)).unwrap().config.mode else {
            panic!("{file} is open")
        };
        let named = |name: &str| closed.files.certificate.ends_with(format!("pki/{name}.pem"));
        let wanted = site.certificates.iter().find(|wanted| named(&wanted.name)).unwrap();
        assert_eq!(wanted.role, Role::Dht);
    }
}

#[test]
fn the_reference_has_every_field() {
    let fields = DhtConfig::load(&example(FILES[0])).unwrap().fields;
    // Management has its fields in the key server's reference.
    for field in fields.iter().filter(|field| !field.starts_with("api.")) {
        let name = field.rsplit('.').next().unwrap().trim_end_matches("[]");
        assert!(REFERENCE.contains(&format!("`{name}`")), "{field}");
    }
}

#[test]
fn what_is_commented_out_in_the_example_is_what_counts_anyway() {
    let text = std::fs::read_to_string(example(FILES[0])).unwrap();
    let is_example = |line: &str| ["#advertise", "#bootstrap_file", "#names"].iter().any(|name| line.starts_with(name));
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && !is_example(line) => rest,
            _ => line,
        })
        .collect();
    let with = DhtConfig::parse(&example(FILES[0]), &uncommented.join("\n")).unwrap_or_else(|error| panic!("{error}"));
    let without = DhtConfig::load(&example(FILES[0])).unwrap().config;
    assert_eq!((with.config.limits, with.config.timing), (without.limits, without.timing));
    assert_eq!(with.config.mode, without.mode);
}

#[test]
fn the_script_runs_nodes_and_leaves_nothing_behind() {
    script::says_and_leaves_nothing("scripts/dht-nodes.sh", &["3", "--once"], "hello, 3 nodes");
}

#[test]
fn ctrl_c_and_ctrl_d_stop_the_nodes_and_leave_nothing_behind() {
    script::keys_stop("scripts/dht-nodes.sh 3", 3);
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dht").join(file)
}

const FILES: [&str; 2] = ["dht-1.toml", "dht-2.toml"];
const REFERENCE: &str = include_str!("../docs/reference/dht.toml.md");
