//! LightningFilter's configuration, written as ours.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::lightning_filter::{DestinationRateLimiter, Ether, LightningFilter, RateLimit, WireGuardRateLimiter};
use super::merge::{Merged, merge};

/// The text of a filter.toml that does what `source` says. Where it cannot, `notes` say so. `capacity` is how long the
/// text may become without being moved: moving it leaves copies of secrets behind.
pub(super) fn convert(source: &LightningFilter, capacity: usize, notes: &mut Vec<String>) -> Zeroizing<String> {
    let peers = merge(&source.peers, source.isd_as, notes);
    let text = Zeroizing::new(String::with_capacity(capacity));
    let default_limit = peers.iter().any(|peer| peer.ratelimit.is_none());
    let mut toml = Toml { text, default_limit, notes };
    toml.line(HEADER);
    toml.line(&format!("isd_as = \"{}\"\n", source.isd_as));
    toml.lf(source);
    toml.line(KEYS);
    toml.line(PORTS);
    toml.limits(source);
    toml.best_effort(source.best_effort);
    if let Some(limiter) = &source.wg_ratelimiter {
        toml.wireguard(limiter);
    }
    toml.directions(source);
    for peer in &peers {
        toml.peer(peer, source);
    }
    toml.text
}

/// The text so far.
struct Toml<'n> {
    text: Zeroizing<String>,
    /// Whether there is a limit for peers that have none of their own.
    default_limit: bool,
    notes: &'n mut Vec<String>,
}

impl Toml<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn lf(&mut self, source: &LightningFilter) {
        self.line("[lf]");
        self.line(&format!("port = {}", source.port));
        self.line(&format!("drkey_protocol = {}", source.drkey_protocol));
        if let Some(address) = source.ip_public {
            self.line(&format!("public_address = [\"{address}\"]"));
        }
        self.line("");
    }

    fn limits(&mut self, source: &LightningFilter) {
        let mut lines = Vec::new();
        if let Some(limit) = self.required_limit("ratelimit", source.ratelimit, "inbound packets") {
            lines.push(format!("overall = {limit}"));
        }
        if self.default_limit {
            let what = "packets of peers without a ratelimit";
            let limit = self.required_limit("auth_peers.ratelimit", source.auth_peers, what);
            self.default_limit = limit.is_some();
            if let Some(limit) = limit {
                self.note("auth_peers.ratelimit: there one limit for all such peers, here the same for each of them");
                lines.push(format!("peer = {limit}"));
            }
        } else if source.auth_peers.is_some() {
            self.note("auth_peers.ratelimit: every peer has a ratelimit of its own: left out");
        }
        if let Some(limiter) = &source.dst_ratelimiter {
            lines.extend(self.destination(limiter));
        }
        if !lines.is_empty() {
            self.line(&format!("[limits]\n{}\n", lines.join("\n")));
        }
    }

    fn destination(&mut self, limiter: &DestinationRateLimiter) -> Option<String> {
        let Some(ip) = limiter.ip else {
            self.note("dst_ratelimiter: without ip it limits nothing: left out");
            return None;
        };
        let limit = self.required_limit("dst_ratelimiter.ratelimit", limiter.ratelimit, "packets to this address")?;
        Some(format!("destinations = [{{ prefix = \"{ip}/32\", limit = {limit} }}]"))
    }

    fn best_effort(&mut self, limit: Option<RateLimit>) {
        self.line("[best_effort]");
        match limit {
            Some(limit) if limit.byte_rate > 0 && limit.packet_rate > 0 => {
                self.line("enabled = true");
                if let Some(limit) = self.limit("best_effort.ratelimit", limit) {
                    self.line(&format!("limit = {limit}"));
                }
            }
            _ => self.line("enabled = false                     # LightningFilter's default: a limit of 0"),
        }
        self.line("");
    }

    fn wireguard(&mut self, limiter: &WireGuardRateLimiter) {
        let handshake =
            self.required_limit("wg_ratelimiter.ratelimit_handshake", limiter.handshake, "WireGuard handshakes");
        let data = self.required_limit("wg_ratelimiter.ratelimit_data", limiter.data, "WireGuard data");
        if handshake.is_none() && data.is_none() {
            self.note("wg_ratelimiter: both limits are unlimited: left out");
            return;
        }
        self.line("[wireguard]");
        self.line(&format!("port = {}", limiter.port));
        for (name, limit) in [("handshake", handshake), ("data", data)] {
            if let Some(limit) = limit {
                self.line(&format!("{name} = {limit}"));
            }
        }
        self.line("");
    }

    fn directions(&mut self, source: &LightningFilter) {
        if let Some(ether) = source.inbound {
            self.line(&format!("[inbound]\nnext_hop = \"{}\"\n", next_hop(ether)));
        }
        self.line("[outbound]");
        if let Some(ether) = source.outbound {
            self.line(&format!("next_hop = \"{}\"", next_hop(ether)));
        }
        self.line(OUTBOUND);
    }

    fn peer(&mut self, peer: &Merged<'_>, source: &LightningFilter) {
        let Merged { index, isd_as, drkey_protocol, .. } = *peer;
        // Without a secret it has no key there either. Commented out, it is still there to be completed.
        let mark = if peer.secrets.is_empty() { "#" } else { "" };
        if peer.secrets.is_empty() {
            self.note(format!("peers[{index}]: without shared_secrets there are no keys for {isd_as}: commented out"));
        }
        self.line(&format!("{mark}[[peers]]"));
        self.line(&format!("{mark}isd_as = \"{isd_as}\""));
        if drkey_protocol != source.drkey_protocol {
            let message = format!(
                "peers[{index}].drkey_protocol is {drkey_protocol}, and the filter's is {}",
                source.drkey_protocol
            );
            self.note(format!("{message}: LightningFilter could not send to this peer, photongate uses the peer's"));
            self.line(&format!("{mark}drkey_protocol = {drkey_protocol}"));
        }
        let prefixes: Vec<_> = peer.addresses.iter().map(|address| format!("\"{address}/32\"")).collect();
        self.line(&format!("{mark}prefixes = [{}]", prefixes.join(", ")));
        if let Some(limit) = peer.ratelimit {
            match self.limit(&format!("peers[{index}].ratelimit"), limit) {
                Some(limit) => self.line(&format!("{mark}limit = {limit}")),
                None if self.default_limit => self.line(&format!("{mark}{UNLIMITED}")),
                None => (),
            }
        }
        if peer.secrets.is_empty() {
            self.line(NO_SECRETS);
            return;
        }
        self.line("shared_secrets = [");
        for secret in &peer.secrets {
            // Written straight into the text, which is wiped, so that no copy of the secret is left behind.
            let (sv, not_before) = (&*secret.sv, secret.not_before);
            let _ = writeln!(self.text, "    {{ secret = \"{sv}\", not_before = \"{not_before}Z\" }},");
        }
        self.line("]\n");
    }

    /// As [`limit`](Self::limit), for a limit without which LightningFilter lets nothing pass.
    fn required_limit(&mut self, field: &str, limit: Option<RateLimit>, what: &str) -> Option<String> {
        if limit.is_none() {
            self.note(format!(
                "{field}: missing, which LightningFilter takes for 0, and so does the result: no {what} pass"
            ));
        }
        self.limit(field, limit.unwrap_or_default())
    }

    /// The limit as ours; `None` if nothing is limited.
    fn limit(&mut self, field: &str, limit: RateLimit) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(bits) = limit.byte_rate.checked_mul(8).filter(|bits| *bits <= HIGHEST_RATE) {
            parts.push(format!("bits_per_second = {}", grouped(bits)));
            let burst = limit.byte_burst.clamp(LEAST_BURST_BYTES, LARGEST_BURST);
            if bits > 0 {
                if burst > limit.byte_burst {
                    self.note(format!("{field}.byte_burst: raised to {burst}: no larger packet would ever pass"));
                }
                parts.push(format!("burst_bytes = {}", grouped(burst)));
            }
        }
        if limit.packet_rate <= HIGHEST_RATE {
            parts.push(format!("packets_per_second = {}", grouped(limit.packet_rate)));
            let burst = limit.packet_burst.clamp(1, LARGEST_BURST);
            if limit.packet_rate > 0 {
                if burst > limit.packet_burst {
                    self.note(format!("{field}.packet_burst: raised to 1: no packet would ever pass"));
                }
                parts.push(format!("burst_packets = {}", grouped(burst)));
            }
        }
        (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
    }
}

fn next_hop(ether: Ether) -> String {
    match ether {
        Ether::SourceAddress => "swap".to_owned(),
        Ether::Address(address) => address.to_string(),
    }
}

/// The number in groups of three digits, as TOML allows.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join("_")
}

/// The highest rate a limit may have here. LightningFilter writes 9223372036854775807 for no limit.
const HIGHEST_RATE: u64 = 100_000_000_000_000;
const LEAST_BURST_BYTES: u64 = 1518;

/// The largest number in TOML.
const LARGEST_BURST: u64 = i64::MAX as u64;

/// A limit that overrides `limits.peer` and limits nothing.
const UNLIMITED: &str = "limit = { bits_per_second = 100_000_000_000_000 }       # no limit";

const NO_SECRETS: &str =
    "#shared_secrets = [{ secret = \"(32 hexadecimal digits)\", not_before = \"2026-01-01T00:00:00Z\" }]\n";

const HEADER: &str = "\
# Converted from a LightningFilter configuration by `photongate import lightning-filter`.
# Every field is described in docs/reference/filter.toml.md. Check with `photongate check --config FILE`.
";

const KEYS: &str = "\
[keys]                              # fixed in LightningFilter, but for the last
epoch = \"3d\"
grace = \"2s\"
time_threshold = \"1s\"               # --tf-threshold on LightningFilter's command line
";

const PORTS: &str = "\
# LightningFilter takes its ports from DPDK's command line, and tells the direction of packets apart one by one. These
# two interfaces of the kernel are placeholders: write the PCI addresses of your network cards in their place, and set
# memory.hugepages = true. If one port is on the side of your hosts and the other towards the peers, say so with
# role = \"inside\" and role = \"outside\": with \"auto\", as with LightningFilter, whoever sends a plain packet for a peer
# to the outer port has it authenticated in your name.
[[ports]]
name = \"first\"
device = \"net_tap0,iface=pg-first\"
role = \"auto\"
forward_to = \"second\"
mtu = 1500
control = \"forward\"                 # as the plugin `bypass`

[[ports]]
name = \"second\"
device = \"net_tap1,iface=pg-second\"
role = \"auto\"
forward_to = \"first\"
mtu = 1500
control = \"forward\"

[workers]
count = 1

[memory]
hugepages = false
";

const OUTBOUND: &str = "\
unknown_destination = \"drop\"
clamp_mss = false                   # true lets TCP make room for the 64 bytes that authentication adds
";
