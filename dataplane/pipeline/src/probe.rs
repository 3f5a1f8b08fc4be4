//! Where the time of a burst goes, for those who measure it.

/// A part of the packet path, in the order in which a burst passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Taking packets from the port.
    Receive,
    /// Parsing headers and telling inbound, outbound, best effort and control apart.
    Classify,
    /// The key dictionary, the choice of the epoch, and the time window.
    LookUp,
    /// Looking at the rate limits without taking from them.
    LimitCheck,
    /// Key derivation and MAC.
    Mac,
    /// The route back to the source, and looking for the packet in the duplicate filter.
    DuplicateTest,
    /// SHA-1 of the payload.
    Hash,
    /// Entering the packet into the duplicate filter and the rate limits.
    Consume,
    /// Encapsulation or decapsulation, Ethernet addresses, checksums.
    Rewrite,
    /// Counting, and handing packets to the port.
    Transmit,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 10] = [
        Self::Receive,
        Self::Classify,
        Self::LookUp,
        Self::LimitCheck,
        Self::Mac,
        Self::DuplicateTest,
        Self::Hash,
        Self::Consume,
        Self::Rewrite,
        Self::Transmit,
    ];

    /// The stage's name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Classify => "classify",
            Self::LookUp => "look_up",
            Self::LimitCheck => "limit_check",
            Self::Mac => "mac",
            Self::DuplicateTest => "duplicate_test",
            Self::Hash => "hash",
            Self::Consume => "consume",
            Self::Rewrite => "rewrite",
            Self::Transmit => "transmit",
        }
    }
}

/// Told at the end of each stage. `()` listens to nothing and costs nothing.
pub trait Probe {
    /// `stage` has ended for this burst. A stage may end more than once in a burst: once inbound, once outbound.
    fn end_of(&mut self, stage: Stage);
}

impl Probe for () {
    #[inline(always)]
    fn end_of(&mut self, _: Stage) {}
}
