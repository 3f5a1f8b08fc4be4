//! `[inbound]`, `[best_effort]`, `[outbound]`: what becomes of packets, beyond authentication.

use photongate_net::config::{Reported, Section};
use photongate_pipeline::limits::LimitSettings;
use photongate_pipeline::{NextHop, UnknownDestination};

use super::limits::LimitsConfig;
use super::{limits, ports};

/// `[inbound]`.
#[derive(Clone, Debug)]
pub(crate) struct InboundConfig {
    /// Ethernet destination of packets on their way in, over the port's.
    pub next_hop: Option<NextHop>,
}

/// `[best_effort]`, while it is enabled.
#[derive(Clone, Debug)]
pub(crate) struct BestEffortConfig {
    /// How much may pass; empty settings are no limit.
    pub limit: LimitSettings,
}

/// `[outbound]`.
#[derive(Clone, Debug)]
pub(crate) struct OutboundConfig {
    /// Ethernet destination of packets on their way out, over the port's.
    pub next_hop: Option<NextHop>,
    /// What becomes of packets to no peer.
    pub unknown_destination: UnknownDestination,
    /// Whether IP fragments are put together before they are authenticated; if not they are refused.
    pub reassemble: bool,
    /// Whether TCP's maximum segment size is lowered so that the encapsulated packet fits.
    pub clamp_mss: bool,
}

/// Reads `[inbound]`.
pub(super) fn inbound(inbound: &mut Section<'_>) -> Result<InboundConfig, Reported> {
    Ok(InboundConfig { next_hop: inbound.optional_with("next_hop", ports::next_hop)? })
}

/// Reads `[best_effort]`.
pub(super) fn best_effort(
    best_effort: &mut Section<'_>,
    limits: Result<&LimitsConfig, Reported>,
) -> Result<Option<BestEffortConfig>, Reported> {
    let enabled = best_effort.or("enabled", true);
    let limit = limits::limit(best_effort, "limit")?;
    let enabled_without_limit = matches!(enabled, Ok(true)) && limit == LimitSettings::default();
    if enabled_without_limit && limits.is_ok_and(|limits| limits.overall != LimitSettings::default()) {
        let message =
            "without a limit, packets without a proof of origin can use up limits.overall: add limit, below it";
        best_effort.warn_at(best_effort.place(), message);
    }
    Ok(enabled?.then_some(BestEffortConfig { limit }))
}

/// Reads `[outbound]`.
pub(super) fn outbound(outbound: &mut Section<'_>) -> Result<OutboundConfig, Reported> {
    let next_hop = outbound.optional_with("next_hop", ports::next_hop);
    let unknown_destination = outbound.or_with("unknown_destination", UnknownDestination::Forward, |value| {
        value.choice(&[("forward", UnknownDestination::Forward), ("drop", UnknownDestination::Drop)])
    });
    let reassemble =
        outbound.or_with("fragments", false, |value| value.choice(&[("drop", false), ("reassemble", true)]));
    let clamp_mss = outbound.or("clamp_mss", true);
    Ok(OutboundConfig {
        next_hop: next_hop?,
        unknown_destination: unknown_destination?,
        reassemble: reassemble?,
        clamp_mss: clamp_mss?,
    })
}
