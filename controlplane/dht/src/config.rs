//! The configuration of a node: one typed value from a TOML or JSON file, or every mistake in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use photongate_net::NodeAddress;
use photongate_net::config::{self, FromValue, Loaded, Problems, Reported, Section, Value};
use photongate_net::http::{ManagementConfig, ManagementDefaults};
use photongate_net::quic::QuicFiles;
use photongate_wire::Nanos;

use crate::transfer::LONGEST_VALUE;

/// What the file says.
#[derive(Clone, Debug)]
pub struct DhtConfig {
    /// Where it listens for other nodes.
    pub listen: SocketAddr,
    /// What it tells others about where it is, if that is not where it listens.
    pub advertise: Option<SocketAddr>,
    /// How nodes speak to each other.
    pub mode: Mode,
    /// Nodes that are there already, some of them.
    pub bootstrap: Vec<NodeAddress>,
    /// A file with more of them, one a line.
    pub bootstrap_file: Option<PathBuf>,
    /// Where everything is kept that outlives the process.
    pub state: PathBuf,
    /// The Unix socket for commands.
    pub socket: PathBuf,
    /// The HTTP interface, while it is enabled.
    pub api: Option<ManagementConfig>,
    /// How much there may be of things.
    pub limits: LimitsConfig,
    /// How long things take.
    pub timing: TimingConfig,
}

/// How nodes speak to each other. All nodes of a network do alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Within QUIC: only who has a certificate of the authority takes part.
    Closed(ClosedConfig),
    /// In the clear, with anybody.
    Plain(PlainConfig),
}

/// `tls`: who takes part in a closed network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedConfig {
    /// This node's certificate and key, and the authority of all nodes.
    pub files: QuicFiles,
    /// Patterns of the names that nodes have; none: every DNS name.
    pub names: Vec<String>,
}

/// `plain`: an open network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainConfig {
    /// Which ids nodes may have.
    pub ids: PlainIds,
}

/// Which ids nodes of an open network may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainIds {
    /// Those that follow from their address.
    Address,
    /// Any.
    Free,
}

/// `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Bytes of values on disk.
    pub store_bytes: u64,
    /// Bytes of a value that is kept for others.
    pub value_bytes: u32,
    /// On how many nodes a value is stored.
    pub replicas: usize,
    /// Nodes in a bucket of the table.
    pub bucket: usize,
    /// Values that may be on their way to other nodes.
    pub connections: usize,
    /// Values that may be on their way here because other nodes announced them.
    pub pulls: usize,
    /// Pieces of one file that may be under way.
    pub pieces: usize,
}

/// `timing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingConfig {
    /// How long another node has to answer before it is asked again.
    pub answer: Duration,
    /// How long another node may be silent while it sends a value.
    pub silence: Duration,
    /// How long a fetch may go on without a new piece.
    pub patience: Duration,
    /// How often values are announced again.
    pub republish: Duration,
    /// How long a value is kept that nobody asks for and nobody stores again.
    pub keep: Duration,
}

impl DhtConfig {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// All its problems, in their order.
    pub fn load(path: &Path) -> Result<Loaded<Self>, Problems> {
        config::read_file(path, read)
    }

    /// Reads and checks `text`, TOML, as what a file at `path` would hold.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(path: &Path, text: &str) -> Result<Loaded<Self>, Problems> {
        config::read_text(path, text, read)
    }
}

fn read(root: &mut Section<'_>) -> Result<DhtConfig, Reported> {
    let listen = root.or("listen", SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)));
    let port = listen.as_ref().map_or(DEFAULT_PORT, SocketAddr::port);
    let advertise = root.optional_with("advertise", |value| advertised(value, port));
    let is_plain = root.or_with("mode", false, |mode| mode.choice(&[("closed", false), ("plain", true)]));
    let bootstrap =
        root.or_with("bootstrap", Vec::new(), |list| list.items(|value| NodeAddress::read(value, Some(DEFAULT_PORT))));
    let bootstrap_file = root.optional_with("bootstrap_file", Value::path);
    let tls = root.optional_section("tls", tls);
    let plain = root.optional_section("plain", plain);
    let state = root.section("state", |state| state.or_with("directory", PathBuf::from(DEFAULT_STATE), Value::path));
    let folder = state.as_deref().unwrap_or(Path::new(DEFAULT_STATE)).to_owned();
    let socket = root.or_with("socket", folder.join("dht.sock"), Value::path);
    let api = root.section("api", |api| {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_API_PORT));
        ManagementConfig::read(api, ManagementDefaults { section: "api", socket: folder.join("api.sock"), listen })
    });
    let limits = root.section("limits", limits);
    let timing = root.section("timing", timing);
    let listen = listen?;
    let mode = match (is_plain?, tls?, plain?) {
        (false, Some(tls), None) => Mode::Closed(tls),
        (false, None, None) => return Err(root.missing("tls", TLS)),
        (false, _, Some(_)) => return Err(root.refuse("plain", r#"is for mode = "plain": remove it"#)),
        (true, Some(_), _) => return Err(root.refuse("tls", r#"is not used in mode = "plain": remove it"#)),
        (true, None, plain) => {
            let (ids, anywhere) = plain.unwrap_or((PlainIds::Address, false));
            if !anywhere && !listen.ip().is_loopback() {
                let why = "can be reached from elsewhere, and in this mode anybody may take part: use the closed mode, listen on \
                           127.0.0.1 or [::1], or write plain = { anywhere = true }";
                return Err(root.refuse("listen", why));
            }
            Mode::Plain(PlainConfig { ids })
        }
    };
    Ok(DhtConfig {
        listen,
        advertise: advertise?,
        mode,
        bootstrap: bootstrap?,
        bootstrap_file: bootstrap_file?,
        state: state?,
        socket: socket?,
        api: api?,
        limits: limits?,
        timing: timing?,
    })
}

/// An address, with a port or with the one where the node listens.
fn advertised(value: &Value<'_>, port: u16) -> Result<SocketAddr, Reported> {
    let text = value.text()?;
    let address = match text.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port),
        Err(_) => SocketAddr::from_value(value)?,
    };
    if address.ip().is_unspecified() {
        return Err(value.refuse("is no address of one machine: write the one at which other nodes reach this one"));
    }
    Ok(address)
}

fn tls(tls: &mut Section<'_>) -> Result<ClosedConfig, Reported> {
    let certificate = tls.required_with("certificate", "\"pki/dht-1.pem\"", Value::path);
    let key = tls.required_with("key", "\"pki/dht-1-key.pem\"", Value::path);
    let authority = tls.required_with("ca", "\"pki/ca.pem\"", Value::path);
    let names = tls.or_with("names", Vec::new(), |list| list.items(pattern));
    let files = QuicFiles { certificate: certificate?, key: key?, authority: authority? };
    Ok(ClosedConfig { files, names: names? })
}

fn pattern(value: &Value<'_>) -> Result<String, Reported> {
    let text = value.text()?;
    let name = text.strip_prefix("*.").unwrap_or(text);
    if name.parse::<IpAddr>().is_ok() || !photongate_net::pki::Host::is_name(name) || name.contains('*') {
        return Err(
            value.refuse("is no pattern of names: write a domain name, or *. and the domain that all names are in")
        );
    }
    Ok(text.to_owned())
}

fn plain(plain: &mut Section<'_>) -> Result<(PlainIds, bool), Reported> {
    let ids = plain.or_with("ids", PlainIds::Address, |ids| {
        ids.choice(&[("address", PlainIds::Address), ("free", PlainIds::Free)])
    });
    let anywhere = plain.or("anywhere", false);
    Ok((ids?, anywhere?))
}

fn limits(limits: &mut Section<'_>) -> Result<LimitsConfig, Reported> {
    let mut number = |name, default, range, unit| limits.or_with(name, default, |value| value.number(range, unit));
    let store_bytes = number("store_bytes", 1 << 30, (1 << 20)..=(1_u64 << 50), "bytes");
    let value_bytes = number("value_bytes", LONGEST_VALUE.into(), 1_024..=LONGEST_VALUE.into(), "bytes");
    let replicas = number("replicas", 8, 1..=20, "nodes");
    let bucket = number("bucket", 20, 2..=64, "nodes");
    let connections = number("connections", 256, 4..=65_536, "connections");
    let pulls = number("pulls", 16, 1..=256, "values");
    let pieces = number("pieces", 16, 1..=256, "pieces");
    Ok(LimitsConfig {
        store_bytes: store_bytes?,
        value_bytes: u32::try_from(value_bytes?).expect("bounded by the longest value"),
        replicas: usize_of(replicas?),
        bucket: usize_of(bucket?),
        connections: usize_of(connections?),
        pulls: usize_of(pulls?),
        pieces: usize_of(pieces?),
    })
}

fn timing(timing: &mut Section<'_>) -> Result<TimingConfig, Reported> {
    let mut span = |name, default: Duration, least, most| {
        timing.or_with(name, default, |value| value.span(Nanos::from_millis(least), Nanos::from_millis(most)))
    };
    let answer = span("answer", Duration::from_millis(500), 10, 30_000);
    let silence = span("silence", Duration::from_secs(3), 50, 60_000);
    let patience = span("patience", Duration::from_secs(60), 100, 3_600_000);
    let republish = span("republish", Duration::from_secs(3_600), 1_000, 7 * 86_400_000);
    let keep = span("keep", Duration::from_secs(7 * 86_400), 1_000, 3_650 * 86_400_000);
    let (answer, silence, patience) = (answer?, silence?, patience?);
    Ok(TimingConfig { answer, silence, patience, republish: republish?, keep: keep? })
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("limits fit the memory")
}

const TLS: &str = r#"{ certificate = "pki/dht-1.pem", key = "pki/dht-1-key.pem", ca = "pki/ca.pem" }"#;

/// Where a node keeps what it has, unless its configuration says otherwise.
pub const DEFAULT_STATE: &str = "/var/lib/photongate-dht";
const DEFAULT_PORT: u16 = 8484;
const DEFAULT_API_PORT: u16 = 8485;

#[cfg(test)]
mod tests;
