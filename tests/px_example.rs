//! The example cluster of `config/px`: its configurations, the reference that describes them, and the script that runs a cluster.

#[path = "support/script.rs"]
mod script;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use photongate_net::pki::{Role, Site};
use photongate_px::config::PxConfig;

#[test]
fn the_example_configurations_are_right_and_fit_each_other() {
    let configs: Vec<_> = FILES
        .map(|file| {
            let loaded = PxConfig::load(&example(file)).unwrap_or_else(|error| panic!("{error}"));
            assert!(loaded.warnings.is_empty());
            loaded.config
        })
        .into();
    for config in &configs {
        let others: BTreeSet<_> = configs
            .iter()
            .filter(|other| other.me.id != config.me.id)
            .map(|other| (other.me.id.clone(), other.me.addr.to_string()))
            .collect();
        let known: BTreeSet<_> =
            config.servers.iter().map(|server| (server.server_name.clone(), server.addr.to_string())).collect();
        assert_eq!(known, others, "{}", config.me.id);
    }
    let folders: BTreeSet<_> = configs.iter().map(|config| config.state.clone()).collect();
    assert_eq!(folders.len(), configs.len());
}

#[test]
fn every_node_of_the_example_gets_a_certificate() {
    let site = Site::load(&example("site.toml")).unwrap_or_else(|error| panic!("{error}")).config;
    for file in FILES {
        let me = PxConfig::load(&example(file)).unwrap().config.me;
        let wanted = site.certificates.iter().find(|wanted| wanted.name == me.id).unwrap();
        assert_eq!(wanted.role, Role::Px);
        assert!(me.tls.certificate.ends_with(format!("pki/{}.pem", me.id)));
    }
}

#[test]
fn the_reference_has_every_field_with_its_default() {
    let fields = PxConfig::load(&example("px-1.toml")).unwrap().fields;
    // Management has its fields in the key server's reference.
    for field in fields.iter().filter(|field| !field.starts_with("api.")) {
        let name = field.rsplit('.').next().unwrap().trim_end_matches("[]");
        assert!(REFERENCE.contains(&format!("`{name}`")) || REFERENCE.contains(&format!(".{name}`")), "{field}");
    }
}

#[test]
fn what_is_commented_out_in_the_example_is_what_counts_anyway() {
    let text = fs::read_to_string(example("px-1.toml")).unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(field) if !field.starts_with(' ') && !field.starts_with("pipe") => format!("{field}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let path = example("px-1.toml");
    let written = PxConfig::parse(&path, &uncommented).unwrap_or_else(|error| panic!("{error}")).config;
    let left_out = PxConfig::parse(&path, &text).unwrap().config;
    assert_eq!((written.timing, written.limits), (left_out.timing, left_out.limits));
}

#[test]
fn the_script_runs_a_cluster_and_leaves_nothing_behind() {
    script::says_and_leaves_nothing("scripts/px-cluster.sh", &["3", "--once"], "hello, 3 nodes");
}

#[test]
fn ctrl_c_and_ctrl_d_stop_the_cluster_and_leave_nothing_behind() {
    script::keys_stop("scripts/px-cluster.sh 3", 3);
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/px").join(file)
}

const FILES: [&str; 3] = ["px-1.toml", "px-2.json", "px-3.json"];
const REFERENCE: &str = include_str!("../docs/reference/px.toml.md");
