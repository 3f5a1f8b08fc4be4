//! The example site of `config/qks`: its configurations, and the script that runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use photongate_net::pki::Site;
use photongate_qks::config::QksConfig;

#[test]
fn the_example_configurations_are_right_and_fit_each_other() {
    let configs: Vec<_> = ["a", "b", "c"]
        .map(|server| {
            let loaded =
                QksConfig::load(&example(&format!("qks-{server}.toml"))).unwrap_or_else(|error| panic!("{error}"));
            assert!(loaded.warnings.is_empty());
            loaded.config
        })
        .into();
    for config in &configs {
        for neighbour in &config.neighbours {
            let other = configs.iter().find(|other| other.id == neighbour.id).unwrap();
            let port = neighbour.url.port().unwrap();
            assert!(
                other.peers.listen.iter().any(|address| address.port() == port),
                "{} finds {}",
                config.id,
                other.id
            );
            let served: Vec<_> = other.saes.iter().map(|sae| sae.id.clone()).collect();
            assert_eq!(served, neighbour.saes, "{} knows the applications of {}", config.id, other.id);
            let ases: Vec<_> = other.drkey.isd_as.iter().copied().collect();
            assert_eq!(ases, neighbour.isd_as, "{} knows the ASes of {}", config.id, other.id);
        }
        for link in &config.links {
            let other = configs.iter().find(|other| other.id == link.neighbour).unwrap();
            let same = other.links.iter().find(|other| other.name == link.name).unwrap();
            assert_eq!((&same.neighbour, same.sources.len()), (&config.id, link.sources.len()), "{}", link.name);
        }
    }
}

#[test]
fn every_server_application_filter_and_operator_of_the_example_gets_a_certificate() {
    let site = Site::load(&example("site.toml")).unwrap_or_else(|error| panic!("{error}")).config;
    let named = |name: &str| site.certificates.iter().any(|certificate| certificate.name == name);
    for server in ["a", "b", "c"] {
        let config = QksConfig::load(&example(&format!("qks-{server}.toml"))).unwrap().config;
        assert!(named(config.id.as_str()));
        assert!(config.saes.iter().all(|sae| named(sae.id.as_str())));
        assert!(!config.drkey.filters.is_empty() && config.drkey.filters.keys().all(|filter| named(filter)));
    }
    assert!(named("ops"));
}

/// In a network namespace of its own: the ports of the example are fixed.
#[test]
fn the_script_runs_the_site_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new("unshare")
        .args([
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            "ip link set lo up && exec scripts/qks-site.sh --once",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PHOTONGATE", env!("CARGO_BIN_EXE_photongate"))
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    for pair in ["alice and bob share the key ", "carol and bill share the key "] {
        assert!(said.contains(pair), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{said}");
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/qks").join(file)
}
