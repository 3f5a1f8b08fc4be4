//! The commands of an operator, as they are typed, against filters at work. Needs root, for namespaces.

#![cfg(feature = "dataplane")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use serde_json::Value;
use support::{Network, PROGRAM, Setup, TIMEOUT, filter_name, other_peers, photongate};

#[test]
fn an_operator_sees_how_the_filter_is_over_the_socket_and_with_a_token() {
    let Some(network) = Network::start(setup()) else { return };
    network.connect_hosts();
    let operator = Operator::of(&network);
    // A worker counts as polling once it was seen to go on.
    network.eventually("the filter to be ready", || Ok(operator.ask(&["status"]).status == Some(0)));
    let status = operator.run(&["status", "--json"], 0);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((status["ready"].as_bool(), status["isd_as"].as_str()), (Some(true), Some("1-ff00:0:111")));
    assert!(status["traffic"]["verdicts"]["outbound"]["packets"].as_u64().unwrap() > 0, "{status:#}");
    let status = operator.run(&["status"], 0).out;
    assert!(status.contains("state        ready\n") && status.contains("generation 1, 1 peers, from "), "{status}");

    let keys = operator.run(&["keys"], 0).out;
    assert!(keys.lines().nth(1).unwrap().starts_with("20-ff00:0:112/3 ") && keys.ends_with(" ok\n"), "{keys}");
    let keys: Value = serde_json::from_str(&operator.run(&["keys", "20-ff00:0:112", "--json"], 0).out).unwrap();
    assert!(keys["keys"]["inbound"]["end"].is_string() && keys["degraded"].is_null(), "{keys:#}");
    assert!(operator.run(&["keys", "20-ff00:0:1"], 1).err.contains("there is no peer"));
    assert!(operator.run(&["keys", "prefetch", "20-ff00:0:112/3"], 0).out.contains("  inbound "));

    assert_eq!(operator.run(&["log-level", "debug"], 0).out, "debug\n");
    assert_eq!(operator.run(&["log-level"], 0).out, "debug\n");

    // The address is one within the filter's own namespace.
    let over_tcp = |token: &str| {
        let mut command = network.sides[0].filter.command(PROGRAM);
        let token = network.directory.path().join(format!("{}-state/{token}.token", filter_name('a')));
        command.args(["log-level", "info", "--url", "http://127.0.0.1:8479", "--token-file"]).arg(token);
        Said::of(command.output().unwrap())
    };
    assert_eq!((over_tcp("admin").status, over_tcp("read").status), (Some(0), Some(1)));
    assert!(over_tcp("read").err.contains("admin"), "{}", over_tcp("read").err);

    let Network { filters: [filter, _other], patience, .. } = network;
    filter.stop(&patience).unwrap();
    let said = operator.run(&["status"], 2);
    assert!(said.err.contains("nobody answers") && said.err.contains("photongate filter"), "{}", said.err);
}

#[test]
fn an_operator_elsewhere_shows_a_certificate_and_believes_only_the_right_authority() {
    let folder = tempfile::tempdir().unwrap();
    let [own, other] = ["own", "other"].map(Authority::new);
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let identity = |name: &str| {
        let (certificate, key) = own.issue(name);
        [file(&format!("{name}.pem"), certificate), file(&format!("{name}.key"), key)]
    };
    let ([server, server_key], [ops, ops_key]) = (identity("filter"), identity("ops"));
    let (ca, other_ca) = (file("ca.pem", own.0.pem()), file("other-ca.pem", other.0.pem()));
    let sections =
        format!("[api.tls]\ncertificate = {server:?}\nkey = {server_key:?}\nclient_ca = {ca:?}\nadmins = [\"CN=ops\"]");
    let Some(network) = Network::start(Setup { sections: sections.leak(), ..setup() }) else { return };
    let ask = |options: &[&str]| {
        let mut command = network.sides[0].filter.command(PROGRAM);
        command.args(["log-level", "debug", "--url", "https://127.0.0.1:8479"]).args(options);
        Said::of(command.output().unwrap())
    };

    let known = ask(&["--ca", &ca, "--certificate", &ops, "--key", &ops_key]);
    assert_eq!((known.status, known.out.as_str()), (Some(0), "debug\n"), "{}", known.err);
    let unknown = ask(&["--ca", &ca]);
    assert_eq!(unknown.status, Some(1), "{}", unknown.err);
    assert!(unknown.err.contains("--certificate FILE --key FILE"), "{}", unknown.err);
    for options in [&["--ca", &other_ca][..], &[]] {
        let refused = ask(options);
        assert_eq!(refused.status, Some(2), "{}", refused.err);
        assert!(
            refused.err.contains("no secure connection") && refused.err.contains("UnknownIssuer"),
            "{}",
            refused.err
        );
    }
}

#[test]
fn a_list_is_shown_changed_and_applied_and_keys_are_revoked() {
    let Some(network) = Network::start(setup()) else { return };
    let operator = Operator::of(&network);
    let file = network.directory.path().join("new.toml");
    let file = file.to_str().unwrap();
    let shown = operator.run(&["aslist", "show"], 0).out;
    assert!(shown.contains("held = true"), "{shown}");
    let with_others = |count| fs::write(file, format!("{shown}\n{}", other_peers(count))).unwrap();

    with_others(2);
    let planned = operator.run(&["aslist", "apply", file, "--dry-run"], 0);
    assert!(planned.out.contains("+ 30-ff00:0:1/3\n+ 30-ff00:0:2/3\n2 added, 0 removed, 0 changed, 1 unchanged"));
    assert!(planned.err.contains("this was a dry run (generation 1)"), "{}", planned.err);
    let applied = operator.run(&["aslist", "apply", file], 0).out;
    assert!(applied.ends_with("generation 2 is in force\n"), "{applied}");
    assert!(operator.run(&["aslist", "apply", file], 0).err.contains("is in force already (generation 2)"));
    let in_force = operator.run(&["aslist", "show", "--in-force", "--json"], 0).out;
    assert_eq!(serde_json::from_str::<Value>(&in_force).unwrap()["peers"], 3);

    with_others(3);
    let refused = operator.run(&["aslist", "apply", file, "--if-generation", "1"], 1).err;
    assert!(refused.contains("another list has come into force") && refused.contains("generation 2"), "{refused}");
    let done = operator.run(&["aslist", "apply", file, "--if-generation", "2", "--json"], 0).out;
    assert_eq!(serde_json::from_str::<Value>(&done).unwrap()["generation"], 3);

    fs::write(file, format!("{shown}\n{}", other_peers(1).replace("10.30.1.0/24", "10.30.1.7/24"))).unwrap();
    let refused = operator.run(&["aslist", "apply", file], 1).err;
    assert!(refused.contains("peers[1].prefixes[0]: \"10.30.1.7/24\""), "{refused}");
    // The list's file is as it was: what was applied since then stays.
    assert_eq!(operator.run(&["reload"], 0).out, "nothing has changed\n");
    assert!(operator.run(&["aslist", "show", "--in-force"], 0).out.starts_with("generation 3, 4 peers, put here by "));

    let revoked = operator.run(&["keys", "revoke", "20-ff00:0:112", "--direction", "inbound", "--yes"], 0).out;
    assert!(
        revoked.contains("revoked: inbound key of ") && revoked.contains("no worker holds them any more"),
        "{revoked}"
    );
    let status = operator.run(&["status"], 1).out;
    assert!(status.contains("NOT READY") && status.contains("20-ff00:0:112/3 (lf): DARK"), "{status}");
    assert!(operator.run(&["keys", "--degraded"], 0).out.contains("NO KEY"));
    network.stop();
}

#[test]
fn top_shows_the_filter_says_when_it_is_gone_and_gives_the_terminal_back() {
    let Some(mut network) = Network::start(setup()) else { return };
    network.connect_hosts();
    let operator = Operator::of(&network);

    let mut screen = Screen::open(&operator);
    for part in ["ready", "20-ff00:0:112/3", "pkt/s", "workers: 1"] {
        screen.shows(&network, part);
    }
    screen.type_in("?");
    screen.shows(&network, "any key ends it");
    screen.type_in("xq");
    screen.ends_in_order(&network);

    let screen = Screen::open(&operator);
    screen.shows(&network, "ready");
    kill(screen.top(&network), Signal::SIGTERM).unwrap();
    screen.ends_in_order(&network);

    let screen = Screen::open(&operator);
    screen.shows(&network, "ready");
    network.filters[0].kill().unwrap();
    screen.shows(&network, "CONNECTION LOST");
}

/// Types commands for filter A.
struct Operator {
    socket: PathBuf,
}

/// What a command said.
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Operator {
    fn of(network: &Network) -> Self {
        Self { socket: network.directory.path().join(format!("{}-api.sock", filter_name('a'))) }
    }

    fn ask(&self, command: &[&str]) -> Said {
        Said::of(photongate(&[command, &["--socket", self.socket.to_str().unwrap()]].concat()))
    }

    /// Runs a command, which must end with `status`.
    #[track_caller]
    fn run(&self, command: &[&str], status: i32) -> Said {
        let said = self.ask(command);
        assert_eq!(said.status, Some(status), "{command:?}\n{}\n{}", said.out, said.err);
        said
    }
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// An authority that issues certificates for this machine.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let mut params = named(name);
        params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// `photongate top` on a terminal of its own.
struct Screen {
    terminal: Child,
    pid_file: PathBuf,
    /// All that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Screen {
    fn open(operator: &Operator) -> Self {
        let socket = operator.socket.to_str().unwrap();
        let pid_file = operator.socket.with_extension("pid");
        // The shell says who it is, then becomes the program.
        let line = format!(
            "stty rows {LINES} cols {COLUMNS}; echo $$ > {}; exec {PROGRAM} top --socket {socket}",
            pid_file.display()
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env("TERM", "xterm-256color");
        let mut terminal = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = terminal.stdout.take().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&written);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                copy.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { terminal, pid_file, written }
    }

    /// Waits until `part` stands on the screen.
    #[track_caller]
    fn shows(&self, network: &Network, part: &str) {
        let shown = || Ok(self.lines().iter().any(|line| line.contains(part)).then_some(()));
        if let Err(error) = network.patience.until(part, TIMEOUT, shown) {
            panic!("{error}: {:#?}", self.lines());
        }
    }

    fn type_in(&mut self, keys: &str) {
        let input = self.terminal.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).unwrap();
    }

    fn top(&self, network: &Network) -> Pid {
        let pid = || Ok(fs::read_to_string(&self.pid_file).ok().and_then(|pid| pid.trim().parse().ok()));
        Pid::from_raw(network.patience.until("the program on the terminal", TIMEOUT, pid).unwrap())
    }

    /// Waits until the program ends with status 0, having left the terminal as it was.
    #[track_caller]
    fn ends_in_order(mut self, network: &Network) {
        let ended = || Ok(self.terminal.try_wait()?);
        let status = network.patience.until("top to end", TIMEOUT, ended).unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.text());
        network.eventually("the screen from before", || Ok(self.text().contains(MAIN_SCREEN)));
        assert!(self.text().contains(SHOW_CURSOR));
    }

    /// The screen, as what was written draws it: letters, and where the cursor goes. Colours do not matter here.
    fn lines(&self) -> Vec<String> {
        let mut cells = vec![[' '; COLUMNS]; LINES];
        let (mut line, mut column) = (0, 0);
        let text = self.text();
        let mut rest = text.as_str();
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            if letter == '\x1b' {
                let end = rest.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(rest.len() - 1);
                if let Some(place) = rest[..=end].strip_prefix('[').and_then(|place| place.strip_suffix('H')) {
                    let mut numbers = place.split(';').map(|number| number.parse().unwrap_or(1) - 1);
                    (line, column) = (numbers.next().unwrap(), numbers.next().unwrap_or(0));
                }
                rest = &rest[end + 1..];
            } else if let Some(cell) = cells.get_mut(line).and_then(|line: &mut [char; COLUMNS]| line.get_mut(column)) {
                (*cell, column) = (letter, column + 1);
            }
        }
        cells.iter().map(|line| line.iter().collect()).collect()
    }

    /// All that was written.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended already, or a test has failed.
        let _ = self.terminal.kill();
        let _ = self.terminal.wait();
    }
}

fn setup() -> Setup {
    Setup { listen: "\"127.0.0.1:8479\"", own_list: true, ..Setup::default() }
}

const LINES: usize = 30;
const COLUMNS: usize = 100;

/// What a program writes to leave the alternate screen.
const MAIN_SCREEN: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";
