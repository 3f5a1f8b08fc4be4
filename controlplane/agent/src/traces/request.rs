//! What may be asked of a trace.

use photongate_pipeline::{DropReason, Verdict};

use super::{MOST_BYTES, TraceRefused};
use crate::api::TraceRequest;

/// The request with its defaults.
///
/// # Errors
/// [`TraceRefused::Invalid`].
pub(super) fn checked(request: TraceRequest) -> Result<TraceRequest, TraceRefused> {
    let bytes = request.bytes.unwrap_or(MOST_BYTES);
    let duration_ms = request.duration_ms.unwrap_or(USUAL_DURATION_MS);
    let (sample, snap_len) = (request.sample, request.snap_len);
    if bytes > MOST_BYTES {
        return refuse(format!("bytes is {bytes}: at most {MOST_BYTES}"));
    }
    if duration_ms > LONGEST_DURATION_MS {
        return refuse(format!("duration_ms is {duration_ms}: at most {LONGEST_DURATION_MS}"));
    }
    if sample == 0 {
        return refuse("sample is 0: it must be 1 (every packet) or more");
    }
    if !(1..=LARGEST_SNAP_LEN).contains(&snap_len) {
        return refuse(format!("snap_len is {snap_len}: it must be from 1 to {LARGEST_SNAP_LEN}"));
    }
    if let Some(word) = request.verdicts.iter().find(|word| Verdict::all().all(|verdict| verdict.name() != **word)) {
        return refuse(format!(
            "there is no verdict {word:?}: there are accepted, best_effort, control, outbound and dropped"
        ));
    }
    if let Some(word) = request.reasons.iter().find(|word| DropReason::ALL.iter().all(|reason| reason.name() != **word))
    {
        return refuse(format!("there is no reason {word:?} to drop a packet"));
    }
    Ok(TraceRequest { bytes: Some(bytes), duration_ms: Some(duration_ms), ..request })
}

fn refuse(message: impl Into<String>) -> Result<TraceRequest, TraceRefused> {
    Err(TraceRefused::Invalid(message.into()))
}

const USUAL_DURATION_MS: u64 = 60_000;

const LONGEST_DURATION_MS: u64 = 3_600_000;

/// What the packet path keeps of a packet at most.
const LARGEST_SNAP_LEN: u32 = 9_728;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let request = checked(TraceRequest::default()).unwrap();
        assert_eq!((request.bytes, request.duration_ms, request.packets), (Some(64 << 20), Some(60_000), None));
    }

    #[test]
    fn what_is_too_much_or_unknown_is_refused_and_named() {
        let usual = TraceRequest::default;
        for (request, named) in [
            (TraceRequest { bytes: Some(MOST_BYTES + 1), ..usual() }, "bytes is 67108865"),
            (TraceRequest { duration_ms: Some(3_600_001), ..usual() }, "duration_ms is 3600001"),
            (TraceRequest { sample: 0, ..usual() }, "sample is 0"),
            (TraceRequest { snap_len: 0, ..usual() }, "snap_len is 0"),
            (TraceRequest { snap_len: 9_729, ..usual() }, "snap_len is 9729"),
            (TraceRequest { verdicts: vec!["lost".to_owned()], ..usual() }, "no verdict \"lost\""),
            (TraceRequest { reasons: vec!["dropped".to_owned()], ..usual() }, "no reason \"dropped\""),
        ] {
            let refused = checked(request).unwrap_err();
            assert!(matches!(&refused, TraceRefused::Invalid(message) if message.contains(named)), "{refused}");
        }
    }

    #[test]
    fn every_verdict_and_reason_may_be_asked_for() {
        let verdicts = Verdict::all().map(|verdict| verdict.name().to_owned()).collect();
        let reasons = DropReason::ALL.map(|reason| reason.name().to_owned()).to_vec();
        assert!(checked(TraceRequest { verdicts, reasons, ..TraceRequest::default() }).is_ok());
    }
}
