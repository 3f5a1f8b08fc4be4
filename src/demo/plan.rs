//! The two sites of the demo: who is where, and the configurations of their filters.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

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
    /// The secret that the two sites share, in hexadecimal digits.
    pub(crate) secret: String,
    /// Older packets are refused.
    pub(crate) time_threshold: Duration,
    /// The processors that this process may use.
    pub(crate) cpus: Vec<usize>,
}

impl Common {
    /// A new secret.
    ///
    /// # Errors
    /// The operating system has no random numbers, or says nothing of processors.
    pub(crate) fn new(time_threshold: Duration) -> Result<Self> {
        let mut secret = [0; 16];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut secret)).context("/dev/urandom")?;
        let set = sched_getaffinity(Pid::from_raw(0)).context("listing processors")?;
        let is_usable = |cpu: &usize| set.is_set(*cpu).unwrap_or_default();
        Ok(Self {
            secret: secret.iter().map(|byte| format!("{byte:02x}")).collect(),
            time_threshold,
            cpus: (0..nix::sched::CpuSet::count()).filter(is_usable).collect(),
        })
    }

    /// The configuration of the filter of `site`, named `name`, with DPDK's devices for its two ports.
    ///
    /// It is a bump in the wire: no address of its own, and control traffic passes.
    pub(crate) fn filter_toml(&self, name: &str, site: &Site, inside: &str, outside: &str) -> String {
        let peer = if *site == A { B } else { A };
        // Each on a processor of its own, if there are two.
        let cpu = self.cpus.get(usize::from(site.letter == 'b')).or(self.cpus.first()).copied().unwrap_or_default();
        format!(
            r#"isd_as = "{isd_as}"

[keys]
time_threshold = "{threshold}ms"

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
shared_secrets = [{{ secret = "{secret}", not_before = "2026-01-01T00:00:00Z" }}]
"#,
            isd_as = site.isd_as,
            threshold = self.time_threshold.as_millis(),
            best_effort = BEST_EFFORT_PER_SECOND,
            peer_as = peer.isd_as,
            peer_v4 = peer.prefix_v4,
            peer_v6 = peer.prefix_v6,
            secret = self.secret,
        )
    }
}

/// Packets without a proof of origin that may pass in a second.
pub(crate) const BEST_EFFORT_PER_SECOND: u64 = 100;

/// LF-over-IP's usual port.
pub(crate) const LF_PORT: u16 = 49149;
