//! The configuration of a node: one typed value from a JSON or TOML file, or every mistake in it.
//!
//! `me`, `retry_delay` and `servers` are fields that other implementations of this node have, too, and mean the same in each. All others
//! are ours, and can be left out.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use photongate_net::NodeAddress;
use photongate_net::config::{self, Format, FromValue, Loaded, Problems, Reported, Section, Value};
use photongate_net::http::{ManagementConfig, ManagementDefaults};
use photongate_net::pki::Host;
use photongate_net::quic::QuicFiles;
use photongate_wire::Nanos;

/// What the file says.
#[derive(Clone, Debug)]
pub struct PxConfig {
    /// This node.
    pub me: MeConfig,
    /// How long to wait before a connection that broke is made again. Doubles with each attempt that fails.
    pub retry_delay: Duration,
    /// The other nodes. No two have the same name, and none has ours.
    pub servers: Vec<ServerConfig>,
    /// Where everything is kept that outlives the process.
    pub state: PathBuf,
    /// The named pipe that commands come in by, if there is one.
    pub pipe: Option<PipeConfig>,
    /// The Unix socket for commands, a JSON object a line.
    pub socket: PathBuf,
    /// The HTTP interface, while it is enabled.
    pub api: Option<ManagementConfig>,
    /// How fast things happen.
    pub timing: TimingConfig,
    /// How much may pile up.
    pub limits: LimitsConfig,
}

/// `me`: this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeConfig {
    /// Its name, a domain name, which its certificate has.
    pub id: String,
    /// Where it listens for other nodes.
    pub addr: NodeAddress,
    /// `me.tls_config_info`: what it shows them, and whom it believes.
    pub tls: QuicFiles,
}

/// One of `servers`: another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where it listens.
    pub addr: NodeAddress,
    /// The name that its certificate has.
    pub server_name: String,
}

/// The named pipes that another application uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeConfig {
    /// Where commands come in.
    pub commands: PathBuf,
    /// Where results go. `None`: to the log.
    pub results: Option<PathBuf>,
}

/// `timing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingConfig {
    /// How often the node looks whether something is due.
    pub tick: Duration,
    /// How often nodes tell each other that they are there; two of these without a sign of the leader, and another one is elected.
    pub heartbeat: Duration,
    /// How often round trips to other nodes are measured.
    pub ping: Duration,
    /// How long another node may be silent before the connection to it is given up.
    pub silence: Duration,
    /// How long a command may take to be decided before its client hears that nobody knows.
    pub command: Duration,
    /// How long the disk may take for a batch before the node ends.
    pub disk: Duration,
}

/// `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Commands that may wait to be decided. More are refused until some are.
    pub pending_commands: usize,
    /// Bytes that may wait to be sent to one other node. When there are more, what waits is dropped and the connection made anew.
    pub queue_bytes: usize,
    /// Decided commands after which the state is written down whole and the log before it dropped.
    pub snapshot_entries: usize,
    /// Past changes that a watch can begin with.
    pub watch_changes: usize,
}

impl PxConfig {
    /// Reads and checks the file at `path`: JSON if it is called so or begins with a brace, else TOML.
    ///
    /// # Errors
    /// All its problems, in their order.
    pub fn load(path: &Path) -> Result<Loaded<Self>, Problems> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            // Says why not, in the words of all other configuration files.
            Err(_) => config::read_file(path, read),
        }
    }

    /// Reads and checks `text`, as what a file at `path` would hold.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(path: &Path, text: &str) -> Result<Loaded<Self>, Problems> {
        let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::of_file(path) };
        config::read_as(format, path, text, read)
    }
}

fn read(root: &mut Section<'_>) -> Result<PxConfig, Reported> {
    let me = root.required_with("me", ME, |value| value.section(me));
    let retry_delay = root.or_with("retry_delay", DEFAULT_RETRY_DELAY, |delay| {
        delay.number(1..=60_000_u64, "milliseconds").map(Duration::from_millis)
    });
    let port = me.as_ref().map_or(DEFAULT_PORT, |me| me.addr.port);
    let mut names = BTreeSet::new();
    let servers = root.sections("servers", |section| {
        let server = server(section, port)?;
        if !names.insert(server.server_name.clone()) {
            let message =
                format!("{:?} is the name of another server, too: each has one of its own", server.server_name);
            return Err(section.refuse("server_name", message));
        }
        Ok(server)
    });
    if !root.has("servers") {
        return Err(root.missing("servers", SERVERS));
    }
    let state = root.section("state", |state| state.or_with("directory", PathBuf::from(DEFAULT_STATE), Value::path));
    let folder = state.as_deref().unwrap_or(Path::new(DEFAULT_STATE)).to_owned();
    let pipe = pipe(root);
    let socket = root.or_with("socket", folder.join("px.sock"), Value::path);
    let api = root.section("api", |api| {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_API_PORT));
        ManagementConfig::read(api, ManagementDefaults { section: "api", socket: folder.join("api.sock"), listen })
    });
    let timing = root.section("timing", timing);
    let limits = root.section("limits", limits);
    let (me, mut servers) = (me?, servers?);
    // One list may serve all nodes.
    servers.retain(|server| server.server_name != me.id);
    if servers.is_empty() {
        return Err(root.refuse("servers", "names no other node: a cluster has at least two, and three to bear a loss"));
    }
    Ok(PxConfig {
        me,
        retry_delay: retry_delay?,
        servers,
        state: state?,
        pipe: pipe?,
        socket: socket?,
        api: api?,
        timing: timing?,
        limits: limits?,
    })
}

fn me(me: &mut Section<'_>) -> Result<MeConfig, Reported> {
    let id = me.required_with("id", "\"px-1.example\"", domain_name);
    let addr = me.required_with("addr", "\"0.0.0.0:8482\"", |addr| NodeAddress::read(addr, None));
    let tls = me.required_with("tls_config_info", TLS, |value| {
        value.section(|tls| {
            let certificate = tls.required_with("cert_path", "\"pki/px-1.pem\"", Value::path);
            let key = tls.required_with("key_path", "\"pki/px-1-key.pem\"", Value::path);
            let authority = tls.required_with("ca_cert_path", "\"pki/ca.pem\"", Value::path);
            Ok(QuicFiles { certificate: certificate?, key: key?, authority: authority? })
        })
    });
    Ok(MeConfig { id: id?, addr: addr?, tls: tls? })
}

fn server(server: &mut Section<'_>, default_port: u16) -> Result<ServerConfig, Reported> {
    let addr = server.required_with("addr", "\"192.0.2.2:8482\"", |addr| NodeAddress::read(addr, Some(default_port)));
    let server_name = server.required_with("server_name", "\"px-2.example\"", domain_name);
    Ok(ServerConfig { addr: addr?, server_name: server_name? })
}

fn pipe(root: &mut Section<'_>) -> Result<Option<PipeConfig>, Reported> {
    let commands = root.optional_with("pipe", Value::path);
    let results = root.optional_with("pipe_results", |results| {
        if results.text()? == TO_THE_LOG { Ok(None) } else { results.path().map(Some) }
    });
    let (commands, results) = (commands?, results?);
    if commands.is_none() && results.is_some() {
        return Err(root.refuse("pipe_results", "has results of no pipe: add pipe = \"px.pipe\", or remove it"));
    }
    Ok(commands.map(|commands| {
        PipeConfig::new(commands.clone(), results.unwrap_or_else(|| Some(PipeConfig::companion(&commands))))
    }))
}

impl PipeConfig {
    /// Commands from one pipe, results to another, or to the log.
    pub fn new(commands: PathBuf, results: Option<PathBuf>) -> Self {
        Self { commands, results }
    }

    /// Where results go if nothing is said: beside the commands.
    pub fn companion(commands: &Path) -> PathBuf {
        let mut name = commands.as_os_str().to_owned();
        name.push(".out");
        name.into()
    }
}

fn timing(timing: &mut Section<'_>) -> Result<TimingConfig, Reported> {
    let mut span = |name, default, least, most| {
        timing.or_with(name, default, |value| value.span(Nanos::from_millis(least), Nanos::from_millis(most)))
    };
    let tick = span("tick", Duration::from_millis(25), 1, 1_000);
    let heartbeat = span("heartbeat", Duration::from_millis(200), 5, 60_000);
    let ping = span("ping", Duration::from_secs(1), 10, 60_000);
    let silence = span("silence", Duration::from_secs(3), 100, 300_000);
    let command = span("command", Duration::from_secs(10), 10, 600_000);
    let disk = span("disk", Duration::from_secs(30), 100, 600_000);
    let config = TimingConfig {
        tick: tick?,
        heartbeat: heartbeat?,
        ping: ping?,
        silence: silence?,
        command: command?,
        disk: disk?,
    };
    if config.heartbeat < config.tick {
        let message = format!(
            "{:?} is shorter than timing.tick, {:?}: nothing is looked at that often",
            config.heartbeat, config.tick
        );
        return Err(timing.refuse("heartbeat", message));
    }
    if config.silence < 2 * config.ping {
        let message = format!(
            "{:?} is less than twice timing.ping, {:?}: one lost ping would break a connection",
            config.silence, config.ping
        );
        return Err(timing.refuse("silence", message));
    }
    Ok(config)
}

fn limits(limits: &mut Section<'_>) -> Result<LimitsConfig, Reported> {
    let pending_commands =
        limits.or_with("pending_commands", 4_096, |value| value.number(1..=1_000_000_u64, "commands"));
    let queue_bytes =
        limits.or_with("queue_bytes", 64 << 20, |value| value.number((32 << 20)..=(4_u64 << 30), "bytes"));
    let snapshot_entries =
        limits.or_with("snapshot_entries", 10_000, |value| value.number(10..=10_000_000_u64, "commands"));
    let watch_changes = limits.or_with("watch_changes", 10_000, |value| value.number(1..=1_000_000_u64, "changes"));
    Ok(LimitsConfig {
        pending_commands: usize_of(pending_commands?),
        queue_bytes: usize_of(queue_bytes?),
        snapshot_entries: usize_of(snapshot_entries?),
        watch_changes: usize_of(watch_changes?),
    })
}

/// A name that a certificate can have and TLS can ask for.
fn domain_name(value: &Value<'_>) -> Result<String, Reported> {
    match Host::from_value(value)? {
        Host::Name(name) if !name.starts_with('*') => Ok(name),
        Host::Name(_) | Host::Address(_) => {
            Err(value.refuse("is no name of one node: write a domain name that its certificate has, like px-1.example"))
        }
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("limits fit the memory")
}

const ME: &str = r#"{ id = "px-1.example", addr = "0.0.0.0:8482", tls_config_info = { cert_path = "pki/px-1.pem", key_path = "pki/px-1-key.pem", ca_cert_path = "pki/ca.pem" } }"#;
const TLS: &str = r#"{ cert_path = "pki/px-1.pem", key_path = "pki/px-1-key.pem", ca_cert_path = "pki/ca.pem" }"#;
const SERVERS: &str = r#"[{ addr = "192.0.2.2:8482", server_name = "px-2.example" }]"#;

/// In the place of a path: results are lines of the log.
const TO_THE_LOG: &str = "log";

const DEFAULT_RETRY_DELAY: Duration = Duration::from_millis(100);
const DEFAULT_STATE: &str = "/var/lib/photongate-px";
const DEFAULT_PORT: u16 = 8482;
const DEFAULT_API_PORT: u16 = 8483;

#[cfg(test)]
mod tests;
