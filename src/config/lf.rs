//! `[lf]`: the encapsulations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use photongate_agent::as_list::DEFAULT_PROTOCOL;
use photongate_drkey::Protocol;
use photongate_net::config::{Located, Reported, Section};
use photongate_pipeline::{LfSettings, SourcePort};

/// Reads `[lf]`.
pub(super) fn read(lf: &mut Section<'_>) -> Result<LfSettings, Reported> {
    let port = lf.or_with("port", DEFAULT_PORT, |port| port.number(1..=u16::MAX, ""));
    let lf2_port = lf.or_with("lf2_port", DEFAULT_LF2_PORT, |port| port.number(1..=u16::MAX, ""));
    if let (Ok(port), Ok(lf2_port)) = (&port, &lf2_port)
        && port == lf2_port
    {
        let message =
            format!("{port} is both lf.port and lf.lf2_port: the encapsulations are told apart by their ports");
        return Err(lf.refuse("lf2_port", message));
    }
    let protocol = lf.or("drkey_protocol", DEFAULT_PROTOCOL.0);
    let source_port = lf.or_with("source_port", SourcePort::Fixed, |source_port| {
        source_port.choice(&[("fixed", SourcePort::Fixed), ("flow", SourcePort::Flow)])
    });
    let (public_v4, public_v6) = public_addresses(lf)?;
    Ok(LfSettings {
        port: port?,
        lf2_port: lf2_port?,
        protocol: Protocol(protocol?),
        source_port: source_port?,
        public_v4,
        public_v6,
    })
}

/// At most one address of each family: the packet's own address says which of them takes its place.
fn public_addresses(lf: &mut Section<'_>) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), Reported> {
    let addresses = lf.list::<Located<IpAddr>>("public_address")?;
    let (mut v4, mut v6, mut outcome) = (None, None, Ok(()));
    for Located { value, place } in addresses {
        let former = match value {
            IpAddr::V4(address) => v4.replace(address).map(IpAddr::V4),
            IpAddr::V6(address) => v6.replace(address).map(IpAddr::V6),
        };
        if let Some(former) = former {
            let family = if value.is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format!("{value} is a second {family} address beside {former}: keep one");
            outcome = Err(lf.refuse_at(&place, message));
        }
    }
    outcome.map(|()| (v4, v6))
}

/// LightningFilter's.
const DEFAULT_PORT: u16 = 49149;

/// Like LightningFilter's, assigned to nobody.
const DEFAULT_LF2_PORT: u16 = 49148;
