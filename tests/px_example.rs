//! The example cluster of `config/px`: its configurations, the reference that describes them, and the script that runs a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

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
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new("scripts/px-cluster.sh")
        .args(["3", "--once"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PHOTONGATE", env!("CARGO_BIN_EXE_photongate"))
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && said.contains("hello, 3 nodes"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{said}");
}

#[test]
fn ctrl_c_and_ctrl_d_stop_the_cluster_and_leave_nothing_behind() {
    for key in ["\x03", "\x04"] {
        let folder = tempfile::tempdir().unwrap();
        // A terminal of its own, which makes of the key what it makes of it for people.
        let mut terminal = Command::new("script")
            .args(["-qefc", "scripts/px-cluster.sh 3", "/dev/null"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PHOTONGATE", env!("CARGO_BIN_EXE_photongate"))
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = BufReader::new(terminal.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        let reading = thread::spawn(move || shown.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        while !lines.recv_timeout(PATIENCE).expect("it says how it stops").contains("removes the folder") {}
        assert!(processes_in(folder.path()).len() > 3, "three nodes and the script");
        terminal.stdin.as_mut().unwrap().write_all(key.as_bytes()).unwrap();
        // What is shown ends with the script.
        while lines.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Disconnected) {}
        reading.join().unwrap().unwrap();
        terminal.wait().unwrap();
        assert_eq!(processes_in(folder.path()), Vec::<PathBuf>::new(), "{key:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{key:?}");
    }
}

/// The processes that are at home in a folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    // Those that have ended in the meantime, and all that are no processes, are nowhere.
    processes.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|home| home.starts_with(folder))).collect()
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/px").join(file)
}

/// Far more than a cluster takes to start or stop.
const PATIENCE: Duration = Duration::from_secs(90);
const FILES: [&str; 3] = ["px-1.toml", "px-2.json", "px-3.json"];
const REFERENCE: &str = include_str!("../docs/reference/px.toml.md");
