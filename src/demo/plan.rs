//! The two sites of the demo: who is where, and the configurations of their key servers and filters.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

use super::lab::{KeyServersPlan, LINK_SECRET, Place};

/// A host and the AS it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// `a` or `b`.
    pub(crate) letter: char,
    /// The AS.
    pub(crate) isd_as: &'static str,
    /// The host.
    pub(crate) v4: Ipv4Addr,
    /// The host, again.
    pub(crate) v6: Ipv6Addr,
    prefix_v4: &'static str,
    prefix_v6: &'static str,
}

/// The site that the attacks pretend to come from.
pub(crate) const A: Site = Site {
    letter: 'a',
    isd_as: "1-ff00:0:111",
    v4: Ipv4Addr::new(10, 248, 1, 1),
    v6: Ipv6Addr::new(0xfd00, 0x248, 1, 0, 0, 0, 0, 1),
    prefix_v4: "10.248.1.0/24",
    prefix_v6: "fd00:248:1::/64",
};

/// The site that is attacked.
pub(crate) const B: Site = Site {
    letter: 'b',
    isd_as: "20-ff00:0:112",
    v4: Ipv4Addr::new(10, 248, 2, 1),
    v6: Ipv6Addr::new(0xfd00, 0x248, 2, 0, 0, 0, 0, 1),
    prefix_v4: "10.248.2.0/24",
    prefix_v6: "fd00:248:2::/64",
};

impl Site {
    /// The host's addresses on a link that reaches to the other site.
    pub(crate) fn addresses(&self) -> [String; 2] {
        [format!("{}/16", self.v4), format!("{}/32", self.v6)]
    }
}

/// What both filters are told.
pub(crate) struct Common {
    /// Where the key servers are, A's and B's.
    pub(crate) key_servers: [Place; 2],
    /// Where the QKD devices at both ends of the link meet.
    pub(crate) light: SocketAddr,
    /// Older packets are refused.
    pub(crate) time_threshold: Duration,
    /// The processors that this process may use.
    pub(crate) cpus: Vec<usize>,
}

impl Common {
    /// # Errors
    /// The operating system says nothing of processors.
    pub(crate) fn new(time_threshold: Duration, key_servers: [Place; 2], light: SocketAddr) -> Result<Self> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("listing processors")?;
        let is_usable = |cpu: &usize| set.is_set(*cpu).unwrap_or_default();
        let cpus = (0..nix::sched::CpuSet::count()).filter(is_usable).collect();
        Ok(Self { key_servers, light, time_threshold, cpus })
    }

    /// Calls `start` with what the key servers are to be like.
    pub(crate) fn with_key_servers<T>(&self, directory: &Path, start: impl FnOnce(KeyServersPlan<'_>) -> T) -> T {
        // Light enough for a machine that runs two filters as well.
        let source = |end: &str| {
            format!(
                r#"[[links.sources]]
kind = "bb84"
{end} = "{light}"
secret = {{ file = "{LINK_SECRET}" }}
pulses_per_second = 4_000_000
block_bits = 65_536
"#,
                light = self.light,
            )
        };
        let sources = [source("listen"), source("connect")];
        let sources = sources.each_ref().map(String::as_str);
        start(KeyServersPlan { directory, places: self.key_servers, ases: [A.isd_as, B.isd_as], sources })
    }

    /// The configuration of the filter of `site`, named `name`, with DPDK's devices for its two ports.
    ///
    /// It is a bump in the wire: no address of its own, and control traffic passes.
    pub(crate) fn filter_toml(&self, name: &str, site: &Site, inside: &str, outside: &str) -> String {
        let peer = if *site == A { B } else { A };
        let Place { filters: key_server, .. } = self.key_servers[usize::from(site.letter == 'b')];
        // Each on a processor of its own, if there are two.
        let cpu = self.cpus.get(usize::from(site.letter == 'b')).or(self.cpus.first()).copied().unwrap_or_default();
        format!(
            r#"isd_as = "{isd_as}"

[keys]
time_threshold = "{threshold}ms"

[qks]
url = "https://{key_server}/"
ca = "pki/ca.pem"
certificate = "pki/filter-{letter}.pem"
key = "pki/filter-{letter}-key.pem"
server = "CN=qks-{letter}"

[[ports]]
name = "inside"
device = "{inside}"
role = "inside"
forward_to = "outside"

[[ports]]
name = "outside"
device = "{outside}"
role = "outside"
forward_to = "inside"

[workers]
cores = [{cpu}]

[dpdk]
name = "{name}"

[control]
socket = "{name}.sock"

[state]
directory = "{name}-state"

[api]
socket = "{name}-api.sock"
listen = []

[duplicates]
packets_per_second = 100_000

[best_effort]
limit = {{ packets_per_second = {best_effort}, burst_packets = {best_effort} }}

[[peers]]
isd_as = "{peer_as}"
prefixes = ["{peer_v4}", "{peer_v6}"]
best_effort = "drop"
keys = "qks"
"#,
            isd_as = site.isd_as,
            threshold = self.time_threshold.as_millis(),
            best_effort = BEST_EFFORT_PER_SECOND,
            peer_as = peer.isd_as,
            peer_v4 = peer.prefix_v4,
            peer_v6 = peer.prefix_v6,
            letter = site.letter,
        )
    }
}

/// Packets without a proof of origin that may pass in a second.
pub(crate) const BEST_EFFORT_PER_SECOND: u64 = 100;

/// LF-over-IP's usual port.
pub(crate) const LF_PORT: u16 = 49149;
