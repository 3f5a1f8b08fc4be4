//! What clients of the control socket ask for: one line of JSON.

use photongate_pipeline::{DropReason, Verdict};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request, as it travels: `{"request":"trace","reasons":["bad_mac"]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Packets, as pcapng behind the line of the answer.
    Trace(TraceRequest),
    /// What the filter counts, in the answer.
    Status,
}

/// Which packets a trace is to have. What is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceRequest {
    /// Packets with these verdicts. Without verdicts and reasons: all packets.
    pub verdicts: Vec<String>,
    /// Packets dropped for these reasons; beside the verdict `dropped`, only for these.
    pub reasons: Vec<String>,
    /// One in so many packets, chosen before their verdicts are known.
    pub sample: u32,
    /// The trace ends after so many packets.
    pub packets: Option<u64>,
    /// The trace ends after so many bytes of packets.
    pub bytes: Option<u64>,
    /// The trace ends after so many milliseconds.
    pub duration_ms: Option<u64>,
    /// Bytes to keep of each packet.
    pub snap_len: u32,
}

impl Default for TraceRequest {
    fn default() -> Self {
        Self {
            verdicts: Vec::new(),
            reasons: Vec::new(),
            sample: 1,
            packets: None,
            bytes: None,
            duration_ms: None,
            snap_len: DEFAULT_SNAP_LEN,
        }
    }
}

/// A trace that makes sense, as the taps take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// A bit for each verdict, by its index.
    pub(crate) verdicts: u64,
    pub(crate) sample: u32,
    pub(crate) snap_len: u32,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) duration: Option<Duration>,
}

impl TraceRequest {
    /// Turns words into what the packet path can test.
    pub(crate) fn plan(&self) -> Result<Plan, InvalidTrace> {
        if self.sample == 0 {
            return Err(InvalidTrace::Sample);
        }
        if !(1..=LARGEST_SNAP_LEN).contains(&self.snap_len) {
            return Err(InvalidTrace::SnapLen(self.snap_len));
        }
        Ok(Plan {
            verdicts: self.wanted()?,
            sample: self.sample,
            snap_len: self.snap_len,
            packets: self.packets.unwrap_or(u64::MAX),
            bytes: self.bytes.unwrap_or(DEFAULT_BYTES),
            duration: self.duration_ms.map(Duration::from_millis),
        })
    }

    fn wanted(&self) -> Result<u64, InvalidTrace> {
        if self.verdicts.is_empty() && self.reasons.is_empty() {
            return Ok(u64::MAX);
        }
        let mut wanted = 0;
        for word in &self.reasons {
            let reason = DropReason::ALL.into_iter().find(|reason| reason.name() == word);
            wanted |= bit(Verdict::Dropped(reason.ok_or_else(|| InvalidTrace::Reason(word.clone()))?));
        }
        let all_drops = self.reasons.is_empty();
        for word in &self.verdicts {
            let mut of_this_name = Verdict::all().filter(|verdict| verdict.name() == word).peekable();
            if of_this_name.peek().is_none() {
                return Err(InvalidTrace::Verdict(word.clone()));
            }
            let narrowed = of_this_name.filter(|verdict| verdict.is_forwarded() || all_drops);
            wanted |= narrowed.map(bit).fold(0, |bits, bit| bits | bit);
        }
        Ok(wanted)
    }
}

/// Why there can be no such trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrace {
    /// No verdict has this name.
    #[error("there is no verdict {0:?}: there are accepted, best_effort, control, outbound and dropped")]
    Verdict(String),
    /// No reason has this name.
    #[error("there is no reason {0:?} to drop a packet: see `photongate trace --help`")]
    Reason(String),
    /// One in no packets.
    #[error("sample must be 1 (every packet) or more")]
    Sample,
    /// Nothing of each packet, or more than there is room for.
    #[error("snap_len is {0}: it must be from 1 to {LARGEST_SNAP_LEN}")]
    SnapLen(u32),
}

fn bit(verdict: Verdict) -> u64 {
    const { assert!(Verdict::COUNT <= 64, "one bit for each verdict") };
    1 << verdict.index()
}

/// Jumbo frames with all their headers.
pub(crate) const LARGEST_SNAP_LEN: u32 = 9_728;

/// All headers of any packet, and some of its payload.
const DEFAULT_SNAP_LEN: u32 = 256;

/// A trace that somebody forgot must not fill a disk.
const DEFAULT_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(verdicts: &[&str], reasons: &[&str]) -> Vec<Verdict> {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let request = TraceRequest { verdicts: words(verdicts), reasons: words(reasons), ..TraceRequest::default() };
        let bits = request.plan().unwrap().verdicts;
        Verdict::all().filter(|verdict| bits & bit(*verdict) != 0).collect()
    }

    #[test]
    fn without_a_wish_every_packet_is_wanted() {
        assert_eq!(wanted(&[], &[]).len(), Verdict::COUNT);
    }

    #[test]
    fn dropped_means_every_reason_unless_some_are_named() {
        assert_eq!(wanted(&["dropped"], &[]).len(), DropReason::ALL.len());
        let bad_mac = Verdict::Dropped(DropReason::BadMac);
        assert_eq!(wanted(&["dropped"], &["bad_mac"]), [bad_mac]);
        assert_eq!(wanted(&[], &["bad_mac"]), [bad_mac]);
        assert_eq!(wanted(&["accepted"], &["bad_mac"]), [Verdict::Accepted, bad_mac]);
    }

    #[test]
    fn a_request_reads_as_it_is_written_in_the_documentation() {
        let json = r#"{"request":"trace","reasons":["bad_mac"]}"#;
        let expected = TraceRequest { reasons: vec!["bad_mac".to_owned()], ..TraceRequest::default() };
        assert_eq!(serde_json::from_str::<Request>(json).unwrap(), Request::Trace(expected));
        assert_eq!(serde_json::from_str::<Request>(r#"{"request":"status"}"#).unwrap(), Request::Status);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |request: TraceRequest| request.plan().unwrap_err();
        let words = |word: &str| vec![word.to_owned()];
        assert_eq!(refused(TraceRequest { sample: 0, ..Default::default() }), InvalidTrace::Sample);
        assert_eq!(refused(TraceRequest { snap_len: 0, ..Default::default() }), InvalidTrace::SnapLen(0));
        assert_eq!(refused(TraceRequest { snap_len: 9_729, ..Default::default() }), InvalidTrace::SnapLen(9_729));
        let verdict = InvalidTrace::Verdict("bad_mac".to_owned());
        assert_eq!(refused(TraceRequest { verdicts: words("bad_mac"), ..Default::default() }), verdict);
        let reason = InvalidTrace::Reason("dropped".to_owned());
        assert_eq!(refused(TraceRequest { reasons: words("dropped"), ..Default::default() }), reason);
        assert!(serde_json::from_str::<Request>(r#"{"request":"trace","sampel":2}"#).is_err());
    }
}
