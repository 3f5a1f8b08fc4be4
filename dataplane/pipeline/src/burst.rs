//! The packets of one burst on their way through the stages.

use crate::dictionary::PeerKey;
use crate::frame::Frame;
use crate::lanes::{Lanes, MAX_BURST};
use crate::packet::Packet;
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use photongate_crypto::backend::prefetch;

/// What the worker is to do with a packet, now that all is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was decided.
    pub verdict: Verdict,
    /// Where the frame, as it now is, goes.
    pub action: Action,
    /// The peer it came from or goes to. Of a dropped packet, the one it names, proven or not.
    pub peer: Option<PeerKey>,
    /// Set if the port has to fill in the UDP checksum.
    pub udp_checksum: Option<ChecksumOffload>,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Out by the port that its own port forwards to.
    Forward,
    /// To the host's kernel.
    Kernel,
    /// Back out of the port it came by: the packet was dropped, and the frame now holds the ICMP error about it.
    Reply,
    /// Nowhere: the buffer is free.
    Discard,
}

/// What a port needs to know to fill in a UDP checksum: the field holds the sum of the pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksumOffload {
    /// Bytes before the IP header.
    pub l2_len: usize,
    /// Bytes of the IP header.
    pub l3_len: usize,
    /// Whether the IP header is IPv6.
    pub is_ipv6: bool,
}

/// A burst: the frames, what was parsed from them, and what has been decided so far.
pub(crate) struct Burst<'a, 'b> {
    pub(crate) frames: &'a mut [Frame<'b>],
    pub(crate) packets: ArrayVec<Packet, MAX_BURST>,
    pub(crate) outcomes: &'a mut [Outcome],
    /// Bytes of each frame as it arrived.
    pub(crate) received: [usize; MAX_BURST],
}

impl Outcome {
    /// The outcome that a packet has until something better is known of it.
    pub const UNDECIDED: Self = Self::dropped(DropReason::Malformed);

    pub(crate) const fn dropped(reason: DropReason) -> Self {
        Self { verdict: Verdict::Dropped(reason), action: Action::Discard, peer: None, udp_checksum: None }
    }
}

impl<'a, 'b> Burst<'a, 'b> {
    #[inline(always)]
    pub(crate) fn new(frames: &'a mut [Frame<'b>], outcomes: &'a mut [Outcome]) -> Self {
        let mut received = [0; MAX_BURST];
        for (received, frame) in received.iter_mut().zip(frames.iter()) {
            *received = frame.len();
        }
        Self { frames, packets: ArrayVec::new(), outcomes, received }
    }

    /// Settles the packet in `lane` and takes it out of those `alive`.
    #[inline(always)]
    pub(crate) fn drop_packet(&mut self, alive: &mut Lanes, lane: usize, reason: DropReason) {
        alive.remove(lane);
        self.settle(lane, Verdict::Dropped(reason), Action::Discard);
    }

    /// Settles the packet in `lane`.
    #[inline(always)]
    pub(crate) fn settle(&mut self, lane: usize, verdict: Verdict, action: Action) {
        if let Some(outcome) = self.outcomes.get_mut(lane) {
            outcome.verdict = verdict;
            outcome.action = action;
        }
    }

    /// Begins to fetch what the packets in `lanes` have behind their headers: kernels read so many packets at a time that the processor
    /// does not see by itself what comes next.
    #[inline(always)]
    pub(crate) fn prefetch_payloads(&self, lanes: Lanes) {
        for lane in lanes {
            let Some(frame) = self.frames.get(lane).filter(|frame| frame.len() > AT_HAND) else { continue };
            frame.bytes()[AT_HAND..].iter().step_by(CACHE_LINE).take(MOST_LINES).for_each(prefetch);
        }
    }

    /// Tells of each packet in `lanes` which peer it came from or goes to.
    #[inline(always)]
    pub(crate) fn name_peers(&mut self, lanes: Lanes) {
        for lane in lanes {
            if let (Some(outcome), Some(packet)) = (self.outcomes.get_mut(lane), self.packets.get(lane)) {
                outcome.peer = Some(packet.peer);
            }
        }
    }
}

/// Bytes of a packet that whoever received it has begun to fetch: headers, and short payloads.
const AT_HAND: usize = 256;

/// Bytes of the processor's.
const CACHE_LINE: usize = 64;

/// Those of an ordinary packet. A burst of longer ones would not fit the first cache.
const MOST_LINES: usize = 24;
