//! The configuration of `photongate filter`: one typed value from `filter.toml`, or every mistake in it.
//!
//! Every field is described in `docs/reference/filter.toml.md`. Each section has a file here that reads it and checks
//! its fields against each other; what several sections must agree on is checked by the later of them.

mod control;
mod duplicates;
mod keys;
mod lf;
mod limits;
mod machine;
mod peers;
mod ports;
mod traffic;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use photongate_net::config::{self, Loaded, Problem, Problems, Reported, Section};
use photongate_pipeline::LfSettings;
use photongate_wire::IsdAs;

pub(crate) use control::{ControlConfig, DEFAULT_SOCKET};
pub(crate) use duplicates::DuplicatesConfig;
pub(crate) use keys::KeysConfig;
pub(crate) use limits::{DestinationLimit, LimitsConfig, WireGuardConfig};
pub(crate) use machine::{DpdkConfig, MemoryConfig, WorkersConfig};
pub(crate) use peers::PeerConfig;
pub(crate) use ports::{PciAddress, PortConfig};
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
    pub peers: Vec<PeerConfig>,
    /// What works, yet is hardly meant so.
    pub warnings: Vec<Problem>,
}

impl FilterConfig {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// All problems of the file, in its order.
    pub(crate) fn load(path: &Path) -> Result<Self, Problems> {
        // A file that cannot be looked at cannot be read either, and then says so.
        let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        let file = (mode & READ_BY_ALL != 0).then_some(path);
        config::read_file(path, |root| read(root, file)).map(Self::with_warnings)
    }

    /// Reads and checks `text`, as what a file at `path` would hold.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        config::read_text(path, text, |root| read(root, None)).map(Self::with_warnings)
    }

    fn with_warnings(loaded: Loaded<Self>) -> Self {
        Self { warnings: loaded.warnings, ..loaded.config }
    }
}

/// Reads the whole file; `public_file` is its path if every user of the machine can read it.
fn read(root: &mut Section<'_>, public_file: Option<&Path>) -> Result<FilterConfig, Reported> {
    let isd_as = root.required::<IsdAs>("isd_as");
    let lf = root.section("lf", lf::read);
    let keys = root.section("keys", keys::read);
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
    let known = peers::Context { isd_as, lf: borrowed(&lf), keys: borrowed(&keys), public_file };
    let peers = peers::read(root, known);
    let read_peers = peers.as_deref().unwrap_or_default();
    let known = ports::Context { lf: borrowed(&lf), memory: borrowed(&memory), peers: read_peers };
    let ports = ports::read(root, known);
    Ok(FilterConfig {
        isd_as: isd_as?,
        lf: lf?,
        keys: keys?,
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
        peers: peers?,
        warnings: Vec::new(),
    })
}

/// A section that others depend on, as far as it could be read.
fn borrowed<T>(section: &Result<T, Reported>) -> Result<&T, Reported> {
    section.as_ref().map_err(|reported| *reported)
}

const READ_BY_ALL: u32 = 0o004;

#[cfg(test)]
mod tests;
