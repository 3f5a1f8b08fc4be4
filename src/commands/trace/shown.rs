//! The packets of a trace as lines of text.

use super::blocks::Block;
use crate::glance;
use crate::packet_line::{PacketLine, Time};

/// Numbers the packets and puts each into a line.
#[derive(Default)]
pub(super) struct Shown {
    count: u64,
}

impl Shown {
    /// The line for the packet in `block`, if there is one.
    pub(super) fn line<'b>(&mut self, block: &'b Block) -> Option<PacketLine<'b>> {
        let (data, length) = block.packet()?;
        let Comment { verdict, reason, peer } = Comment::parse(block.comment()?);
        let (source, destination) = glance::addresses(data).unzip();
        self.count += 1;
        Some(PacketLine {
            n: self.count,
            time: Time(block.time()?),
            verdict: verdict.into(),
            reason: reason.map(Into::into),
            peer: peer.map(Into::into),
            source,
            destination,
            length,
            skew_ns: None,
            explanation: None,
            note: None,
        })
    }
}

/// What the filter writes as a comment: `dropped bad_mac peer=20-ff00:0:112 worker=0`.
#[derive(Debug, PartialEq, Eq)]
struct Comment<'c> {
    verdict: &'c str,
    reason: Option<&'c str>,
    peer: Option<&'c str>,
}

impl<'c> Comment<'c> {
    fn parse(comment: &'c str) -> Self {
        let (fields, words): (Vec<&str>, Vec<&str>) = comment.split_whitespace().partition(|word| word.contains('='));
        let peer = fields.iter().find_map(|field| field.strip_prefix("peer="));
        Self { verdict: words.first().copied().unwrap_or_default(), reason: words.get(1).copied(), peer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_taken_apart() {
        let dropped = Comment { verdict: "dropped", reason: Some("bad_mac"), peer: Some("20-ff00:0:112") };
        assert_eq!(Comment::parse("dropped bad_mac peer=20-ff00:0:112 worker=0"), dropped);
        let plain = Comment { verdict: "best_effort", reason: None, peer: None };
        assert_eq!(Comment::parse("best_effort worker=1"), plain);
    }
}
