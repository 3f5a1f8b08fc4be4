//! What can be decided about a packet: one verdict each, and one counter each.

/// The one thing that was decided about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Inbound, its origin proven; decapsulated and forwarded.
    Accepted,
    /// Without a proof of origin; forwarded as it came.
    BestEffort,
    /// For the host's own stack, or link control traffic.
    Control,
    /// Outbound to a peer AS; encapsulated, authenticated and forwarded.
    Outbound,
    /// Not forwarded.
    Dropped(DropReason),
}

impl Verdict {
    /// How many different verdicts there are, each reason to drop counted as one.
    pub const COUNT: usize = FORWARDED.len() + DropReason::ALL.len();

    /// The verdict's place in an array of [`Self::COUNT`] counters.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Self::Accepted => 0,
            Self::BestEffort => 1,
            Self::Control => 2,
            Self::Outbound => 3,
            Self::Dropped(reason) => FORWARDED.len() + reason as usize,
        }
    }

    /// All verdicts, in the order of their indices.
    pub fn all() -> impl Iterator<Item = Self> {
        FORWARDED.into_iter().chain(DropReason::ALL.into_iter().map(Self::Dropped))
    }

    /// The verdict in one word, the same for all reasons to drop: `accepted`, `best_effort`, `control`, `outbound`, `dropped`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::BestEffort => "best_effort",
            Self::Control => "control",
            Self::Outbound => "outbound",
            Self::Dropped(_) => "dropped",
        }
    }

    /// Why the packet was dropped, if it was.
    pub const fn reason(self) -> Option<DropReason> {
        match self {
            Self::Dropped(reason) => Some(reason),
            Self::Accepted | Self::BestEffort | Self::Control | Self::Outbound => None,
        }
    }

    /// Whether the packet leaves the filter, by whichever port.
    pub const fn is_forwarded(self) -> bool {
        self.reason().is_none()
    }
}

/// Declares the reasons once: the variant, its name on every surface, and the sentence an operator reads.
macro_rules! drop_reasons {
    ($($variant:ident $name:literal $text:literal,)*) => {
        /// Why a packet was refused. Each reason is one counter, in total and per peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $text] $variant,)*
        }

        impl DropReason {
            /// Every reason, in counter order.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The reason as it is written in counters, traces and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

drop_reasons! {
    Malformed "malformed" "A header is cut short or contradicts itself.",
    UnsupportedProtocol "unsupported_protocol" "Neither IPv4, IPv6 nor link control traffic.",
    BadIpChecksum "bad_ip_checksum" "The checksum of the IPv4 header is wrong.",
    MappedAddress "mapped_address" "An IPv6 packet bears an IPv4-mapped address, which must not appear on the wire.",
    ControlRefused "control_refused" "Link control traffic on a port that is configured to drop it.",
    FragmentInbound "fragment_inbound" "An IP fragment from outside: it cannot be authenticated.",
    FragmentOutbound "fragment_outbound" "An IP fragment to a peer, and reassembly is off.",
    MalformedHeader "malformed_header" "The LF or lf2 header is cut short or wrong, or of an encapsulation that the peer may not use.",
    UnknownPeer "unknown_peer" "The AS and DRKey protocol named in the header belong to no peer.",
    NoKey "no_key" "There is no key for this peer at this time.",
    TimestampTooOld "timestamp_too_old" "Sent longer ago than the time threshold allows: delayed, replayed, or a clock is wrong.",
    TimestampInFuture "timestamp_in_future" "Sent later than now by more than the time threshold: a clock is wrong.",
    BadMac "bad_mac" "The MAC does not match: forged, altered, or the two sides hold different keys.",
    SourceMismatch "source_mismatch" "Authenticated by a peer, but from an address that lies behind another one.",
    Duplicate "duplicate" "A packet with the same MAC has passed already: a replay.",
    BadHash "bad_hash" "The MAC matches but the payload was altered on the way.",
    RateLimitPeer "rate_limit_peer" "The peer's rate limit is used up.",
    RateLimitAuthenticated "rate_limit_authenticated" "The rate limit of all authenticated traffic is used up.",
    RateLimitOverall "rate_limit_overall" "The rate limit of all inbound traffic is used up.",
    RateLimitBestEffort "rate_limit_best_effort" "The rate limit of best-effort traffic is used up.",
    RateLimitControl "rate_limit_control" "The port's rate limit of link control traffic, and of what is for the host itself, is used up.",
    RateLimitDestination "rate_limit_destination" "The rate limit of the destination's prefix is used up.",
    RateLimitWireGuardHandshake "rate_limit_wireguard_handshake" "The rate limit of WireGuard handshakes is used up.",
    RateLimitWireGuardData "rate_limit_wireguard_data" "The rate limit of WireGuard data is used up.",
    BestEffortDisabled "best_effort_disabled" "Without a proof of origin, and best effort is off.",
    BestEffortRefused "best_effort_refused" "Without a proof of origin, from a peer that must authenticate.",
    UnknownDestination "unknown_destination" "Outbound to no peer, and such packets are not let through.",
    OutboundNoKey "outbound_no_key" "Outbound to a peer for which there is no key at this time.",
    TooBig "too_big" "Would not fit the next link; the sender is told by ICMP.",
    NoHeadroom "no_headroom" "The packet buffer has no room for the encapsulation.",
}

const FORWARDED: [Verdict; 4] = [Verdict::Accepted, Verdict::BestEffort, Verdict::Control, Verdict::Outbound];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_verdict_has_a_counter_of_its_own() {
        let indices: Vec<usize> = Verdict::all().map(Verdict::index).collect();
        assert_eq!(indices, (0..Verdict::COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn every_verdict_and_reason_is_explained_to_operators() {
        let page = include_str!("../../../docs/operations/filter.md");
        for verdict in Verdict::all() {
            let name = verdict.reason().map_or(verdict.name(), DropReason::name);
            assert!(page.contains(&format!("| `{name}` |")), "docs/operations/filter.md says nothing of {name}");
        }
    }

    #[test]
    fn no_two_reasons_share_a_name() {
        let names: HashSet<&str> = DropReason::ALL.into_iter().map(DropReason::name).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
