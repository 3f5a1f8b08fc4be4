//! The packets of a burst that are in our own encapsulation, `lf2`: one tag over header and payload where LF has a MAC and a hash.
//!
//! All else is common to both encapsulations. A burst without such packets comes here not at all.

use crate::burst::Burst;
use crate::clock::Clock;
use crate::inbound::{AllFound, Found};
use crate::lanes::{Lanes, MAX_BURST};
use crate::outbound::Keys;
use crate::peer_encapsulation::Encapsulation;
use crate::pipeline::Pipeline;
use crate::verdict::DropReason;
use arrayvec::ArrayVec;
use photongate_crypto::{CmacJob, Tag};
use photongate_drkey::{host_as_input, lf2_host_host_input};
use photongate_wire::{EpochNanos, IpProtocol, IsdAs, Lf2Header, lf2, udp};

/// The headers of packets to be sent.
pub(crate) type Headers = [Lf2Header; MAX_BURST];

impl Pipeline {
    /// Those of the inbound packets in `lanes` that bear an `lf2` header. None if no peer may send any.
    #[inline(always)]
    pub(crate) fn inbound_lf2(&self, burst: &Burst<'_, '_>, lanes: Lanes) -> Lanes {
        if !self.settings.accept_lf2 {
            return Lanes::default();
        }
        lanes.filter(|lane| burst.packets[lane].encapsulation == Encapsulation::Lf2)
    }

    /// Derives the key of each packet in `lf2`, and compares its tag with that of its header and payload.
    #[inline(always)]
    pub(crate) fn check_tags(&self, burst: &mut Burst<'_, '_>, alive: &mut Lanes, lf2: Lanes, found: &AllFound<'_>) {
        let mut lanes: ArrayVec<usize, MAX_BURST> = ArrayVec::new();
        let mut jobs: ArrayVec<CmacJob<'_>, MAX_BURST> = ArrayVec::new();
        for lane in alive.and(lf2) {
            // There is one for each of them: header and payload were found when the packet was classified.
            if let Some(job) = found[lane].and_then(|hit| self.inbound_tag(burst, lane, hit)) {
                lanes.push(lane);
                jobs.push(job);
            }
        }
        let mut tags = [Tag::default(); MAX_BURST];
        self.backend.cmacs(&jobs, &mut tags[..jobs.len()]);
        drop(jobs);
        let mut authentic = Lanes::default();
        for (lane, tag) in lanes.into_iter().zip(tags) {
            if tag.matches(&burst.packets[lane].tag()) {
                authentic.insert(lane);
            }
        }
        for lane in alive.and(lf2).without(authentic) {
            burst.drop_packet(alive, lane, DropReason::BadMac);
        }
    }

    #[inline(always)]
    fn inbound_tag<'j>(&self, burst: &'j Burst<'_, '_>, lane: usize, hit: Found<'j>) -> Option<CmacJob<'j>> {
        let packet = &burst.packets[lane];
        let header = burst.frames.get(lane)?.bytes().get(packet.payload_at() + udp::HEADER_LEN..)?.first_chunk()?;
        let data = burst.protected(lane)?;
        Some(CmacJob {
            as_as: &hit.key.key,
            host_as: host_as_input(packet.peer.protocol, self.settings.lf.public(packet.destination).into()),
            host_host: lf2_host_host_input(packet.source.into()),
            head: lf2::tag_head(header, u16::try_from(data.len()).ok()?),
            data,
        })
    }

    /// Makes the headers of the packets in `lf2`: a send time of its own for each, and the tag over header and payload.
    #[inline(always)]
    pub(crate) fn authenticate_lf2(
        &mut self,
        burst: &mut Burst<'_, '_>,
        alive: &mut Lanes,
        lf2: Lanes,
        keys: &Keys<'_>,
        now: Clock,
    ) -> Headers {
        let mut headers = [EMPTY_HEADER; MAX_BURST];
        let mut lanes: ArrayVec<usize, MAX_BURST> = ArrayVec::new();
        let mut jobs: ArrayVec<CmacJob<'_>, MAX_BURST> = ArrayVec::new();
        let to_tag = alive.and(lf2);
        let times = self.issuer.issue_burst(now.unix, to_tag.count());
        for (lane, sent) in to_tag.into_iter().zip(times) {
            let (Some(key), Some(data)) = (keys[lane], burst.payload(lane)) else { continue };
            let packet = &burst.packets[lane];
            let (Some(timestamp), Ok(payload_len)) = (sent.since_epoch(key.epoch.start), u16::try_from(data.len()))
            else {
                continue;
            };
            let header = &mut headers[lane];
            header.next_protocol = packet.protocol;
            header.drkey_protocol = packet.peer.protocol.0;
            header.src_as = self.settings.local;
            header.timestamp = timestamp;
            lanes.push(lane);
            jobs.push(CmacJob {
                as_as: &key.key,
                host_as: host_as_input(packet.peer.protocol, packet.destination.into()),
                host_host: lf2_host_host_input(self.settings.lf.public(packet.source).into()),
                head: tag_head(header, payload_len),
                data,
            });
        }
        let mut tags = [Tag::default(); MAX_BURST];
        self.backend.cmacs(&jobs, &mut tags[..jobs.len()]);
        drop(jobs);
        let mut tagged = Lanes::default();
        for (lane, tag) in lanes.into_iter().zip(tags) {
            headers[lane].tag = *tag.as_bytes();
            tagged.insert(lane);
        }
        // None is left: the key's epoch has begun, and what has a 16-bit length fits 16 bits without its header.
        for lane in to_tag.without(tagged) {
            burst.drop_packet(alive, lane, DropReason::OutboundNoKey);
        }
        headers
    }
}

#[inline(always)]
fn tag_head(header: &Lf2Header, payload_len: u16) -> [[u8; 16]; 2] {
    let mut bytes = [0; lf2::HEADER_LEN];
    header.emit(&mut bytes);
    lf2::tag_head(&bytes, payload_len)
}

const EMPTY_HEADER: Lf2Header = Lf2Header {
    next_protocol: IpProtocol::NO_NEXT_HEADER,
    drkey_protocol: 0,
    src_as: IsdAs::from_bits(0),
    timestamp: EpochNanos(0),
    tag: [0; lf2::TAG_LEN],
};
