//! The configuration of `photongate filter`: one typed value from `filter.toml`, or every mistake in it.
//!
//! Every field is described in `docs/reference/filter.toml.md`. Each section has a file here that reads it and checks
//! its fields against each other; what several sections must agree on is checked by the later of them.

mod as_list;
mod control;
mod duplicates;
mod effective;
mod keys;
mod lf;
mod limits;
mod machine;
mod ports;
mod qks;
mod state;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use photongate_agent::as_list::{AsList, Context, Held, Read, SecretFiles, is_public};
use photongate_agent::keys::qks::KeyServerOptions;
use photongate_net::config::{self, Problem, Problems, Reported, Section};
use photongate_net::http::{ManagementConfig, ManagementDefaults};
use photongate_pipeline::LfSettings;
use photongate_wire::IsdAs;

pub(crate) use as_list::ListSource;
pub(crate) use control::{ControlConfig, DEFAULT_SOCKET};
pub(crate) use duplicates::DuplicatesConfig;
pub(crate) use keys::KeysConfig;
pub(crate) use limits::{DestinationLimit, LimitsConfig, WireGuardConfig};
pub(crate) use machine::{DpdkConfig, MemoryConfig, WorkersConfig};
pub(crate) use ports::{PciAddress, PortConfig};
pub(crate) use state::StateConfig;
pub(crate) use traffic::{BestEffortConfig, InboundConfig, OutboundConfig};

/// What `filter.toml` says.
#[derive(Debug)]
pub(crate) struct FilterConfig {
    /// The AS this filter stands in front of.
    pub isd_as: IsdAs,
    /// The encapsulation.
    pub lf: LfSettings,
    /// How long keys live, and how many peers may have some.
    pub keys: KeysConfig,
    /// The key server that is asked for keys; `None` if there is none.
    pub qks: Option<KeyServerOptions>,
    /// The network ports, in the order of the file. At least one.
    pub ports: Vec<PortConfig>,
    /// The polling threads.
    pub workers: WorkersConfig,
    /// Memory for packets.
    pub memory: MemoryConfig,
    /// What DPDK is told beyond all that.
    pub dpdk: DpdkConfig,
    /// Where the running filter can be asked.
    pub control: ControlConfig,
    /// Replay suppression; `None` if it is off.
    pub duplicates: Option<DuplicatesConfig>,
    /// Limits of inbound traffic.
    pub limits: LimitsConfig,
    /// Inbound traffic without a proof of origin; `None` if none of it may pass.
    pub best_effort: Option<BestEffortConfig>,
    /// Limits of WireGuard by kind of message.
    pub wireguard: Option<WireGuardConfig>,
    /// What becomes of packets on their way in.
    pub inbound: InboundConfig,
    /// What becomes of packets on their way out.
    pub outbound: OutboundConfig,
    /// The ASes we share keys with.
    pub peers: AsList,
    /// Where the list of them comes from.
    pub as_list: ListSource,
    /// What the filter remembers from one start to the next.
    pub state: StateConfig,
    /// Management over HTTP; `None` if there is none.
    pub api: Option<ManagementConfig>,
    /// What works, yet is hardly meant so.
    pub warnings: Vec<Problem>,
}

impl FilterConfig {
    /// Reads and checks the file at `path`, and the list of peers that it may name.
    ///
    /// # Errors
    /// All problems of both files, in their order.
    pub(crate) fn load(path: &Path) -> Result<Self, Problems> {
        match Self::load_to_start(path, SecretFiles::Check)? {
            (config, None) => Ok(config),
            (_, Some(problems)) => Err(problems),
        }
    }

    /// As [`load`](Self::load), for a start: if only the list of peers in a file of its own has problems, they are handed out beside
    /// the rest, which then has no peers. A list that was in force before can take its place. `secret_files` says whether
    /// secrets in files must be there.
    ///
    /// # Errors
    /// All problems, if the configuration itself has any.
    pub(crate) fn load_to_start(path: &Path, secret_files: SecretFiles) -> Result<(Self, Option<Problems>), Problems> {
        let public_file = is_public(path).then_some(path);
        let loaded = config::read_file(path, |root| read(root, public_file, secret_files))?;
        let (mut config, list_problems) = loaded.config;
        config.warnings.splice(..0, loaded.warnings);
        Ok((config, list_problems))
    }

    /// Reads and checks `text`, as what a file at `path` would hold.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        let loaded = config::read_text(path, text, |root| read(root, None, SecretFiles::Check))?;
        let (mut config, list_problems) = loaded.config;
        config.warnings.splice(..0, loaded.warnings);
        list_problems.map_or(Ok(config), Err)
    }

    /// What a list of peers for this filter is checked against, while no secret is held.
    pub(crate) fn list_context(&self) -> Context<'static> {
        Context {
            local: Some(self.isd_as),
            default_protocol: self.lf.protocol,
            times: Some(self.keys.times),
            max_peers: self.keys.max_peers,
            least_mtu: self.ports.iter().map(|port| port.mtu).min().unwrap_or(u16::MAX),
            has_key_server: Some(self.qks.is_some()),
            held: Held::Nothing,
            secret_files: SecretFiles::Check,
        }
    }
}

/// Reads the whole file, and apart from it the problems of a list of peers in a file of its own. `public_file` is the path of the
/// configuration if every user of the machine can read it.
fn read(
    root: &mut Section<'_>,
    public_file: Option<&Path>,
    secret_files: SecretFiles,
) -> Result<(FilterConfig, Option<Problems>), Reported> {
    let isd_as = root.required::<IsdAs>("isd_as");
    let lf = root.section("lf", lf::read);
    let keys = root.section("keys", keys::read);
    let qks = root.optional_section("qks", qks::read);
    let workers = root.section("workers", machine::workers);
    let memory = root.section("memory", machine::memory);
    let dpdk = root.section("dpdk", machine::dpdk);
    let control = root.section("control", control::read);
    let duplicates =
        root.section("duplicates", |section| duplicates::read(section, borrowed(&keys), borrowed(&workers)));
    let limits = root.section("limits", limits::read);
    let best_effort = root.optional_section("best_effort", |section| traffic::best_effort(section, borrowed(&limits)));
    let wireguard = root.optional_section("wireguard", limits::wireguard);
    let inbound = root.section("inbound", traffic::inbound);
    let outbound = root.section("outbound", traffic::outbound);
    let known = ports::Context { lf: borrowed(&lf), memory: borrowed(&memory) };
    let ports = ports::read(root, known);
    let state = root.section("state", state::read);
    let api = root.section("api", |api| ManagementConfig::read(api, api_defaults()));
    let unknown = Context::default();
    let known = Context {
        local: isd_as.ok(),
        default_protocol: lf.as_ref().map_or(unknown.default_protocol, |lf| lf.protocol),
        times: keys.as_ref().ok().map(|keys| keys.times),
        max_peers: keys.as_ref().map_or(unknown.max_peers, |keys| keys.max_peers),
        least_mtu: ports.iter().flatten().map(|port| port.mtu).min().unwrap_or(unknown.least_mtu),
        // A section with mistakes is one all the same.
        has_key_server: Some(!matches!(qks, Ok(None))),
        secret_files,
        ..unknown
    };
    let listed = as_list::read(root, &known, public_file)?;
    let (read_list, list_problems) = match listed.list {
        Ok(read) => (read, None),
        Err(problems) => (Read::default(), Some(problems)),
    };
    let config = || {
        Ok(FilterConfig {
            isd_as: isd_as?,
            lf: lf?,
            keys: keys?,
            qks: qks?,
            ports: ports?,
            workers: workers?,
            memory: memory?,
            dpdk: dpdk?,
            control: control?,
            duplicates: duplicates?,
            limits: limits?,
            best_effort: best_effort?.flatten(),
            wireguard: wireguard?,
            inbound: inbound?,
            outbound: outbound?,
            peers: read_list.list,
            as_list: listed.source,
            state: state?,
            api: api?,
            warnings: read_list.warnings,
        })
    };
    match (config(), list_problems) {
        (Ok(config), list_problems) => Ok((config, list_problems)),
        (Err(_), Some(problems)) => Err(root.refuse_all(problems)),
        (Err(reported), None) => Err(reported),
    }
}

/// Where `photongate filter` is managed, and other commands look, if not told otherwise.
fn api_defaults() -> ManagementDefaults {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8479));
    ManagementDefaults { section: "api", socket: "/run/photongate/api.sock".into(), listen }
}

/// A section that others depend on, as far as it could be read.
fn borrowed<T>(section: &Result<T, Reported>) -> Result<&T, Reported> {
    section.as_ref().map_err(|reported| *reported)
}

#[cfg(test)]
mod tests;
