//! One line for a packet and what became of it, as text and as JSON: what `verify` and `trace` print.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use photongate_wire::UnixNanos;
use serde::{Serialize, Serializer};

/// A packet and its verdict. Prints as one line of columns, `-` where there is nothing to say.
#[derive(Debug, Serialize)]
pub(crate) struct PacketLine<'a> {
    /// Its number, from 1.
    pub(crate) n: u64,
    /// When it was captured.
    pub(crate) time: Time,
    /// The verdict in one word.
    pub(crate) verdict: Cow<'a, str>,
    /// Why it was dropped.
    pub(crate) reason: Option<Cow<'a, str>>,
    /// The peer's AS; of a dropped packet, the one it names.
    pub(crate) peer: Option<Cow<'a, str>>,
    /// The sender's address.
    pub(crate) source: Option<String>,
    /// The receiver's address.
    pub(crate) destination: Option<String>,
    /// Bytes of the packet as it arrived, Ethernet header included.
    pub(crate) length: usize,
    /// How long before its arrival it says it was sent, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skew_ns: Option<i64>,
    /// The reason in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explanation: Option<&'a str>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// An instant, printed in RFC 3339 with nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) UnixNanos);

impl fmt::Display for PacketLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, time, verdict, length) = (self.n, self.time, &self.verdict, self.length);
        let reason = self.reason.as_deref().unwrap_or("-");
        let peer = self.peer.as_deref().unwrap_or("-");
        let source = self.source.as_deref().unwrap_or("-");
        let destination = self.destination.as_deref().unwrap_or("-");
        write!(f, "{n:>6}  {time}  {verdict:<11}  {reason:<20}  {peer:<18}  {source} → {destination}  {length}")?;
        self.note.as_ref().map_or(Ok(()), |note| write!(f, "  ({note})"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = Timestamp::from_nanosecond(i128::from(self.0.0)).expect("64 bits of nanoseconds end in 2554");
        write!(f, "{timestamp:.9}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> PacketLine<'static> {
        PacketLine {
            n: 7,
            time: Time(UnixNanos(1_795_230_000_000_000_120)),
            verdict: "dropped".into(),
            reason: Some("bad_mac".into()),
            peer: Some("20-ff00:0:112".into()),
            source: Some("10.248.2.1".to_owned()),
            destination: None,
            length: 122,
            skew_ns: None,
            explanation: None,
            note: Some("cut".to_owned()),
        }
    }

    #[test]
    fn text_has_all_nanoseconds_and_a_dash_for_what_is_missing() {
        let text = line().to_string();
        let columns: Vec<_> = text.split_whitespace().collect();
        assert_eq!(
            columns,
            [
                "7",
                "2026-11-21T03:00:00.000000120Z",
                "dropped",
                "bad_mac",
                "20-ff00:0:112",
                "10.248.2.1",
                "→",
                "-",
                "122",
                "(cut)"
            ]
        );
    }

    #[test]
    fn json_starts_with_the_number_and_has_null_for_what_is_missing() {
        let json = serde_json::to_string(&PacketLine { reason: None, peer: None, note: None, ..line() }).unwrap();
        assert_eq!(
            json,
            r#"{"n":7,"time":"2026-11-21T03:00:00.000000120Z","verdict":"dropped","reason":null,"peer":null,"source":"10.248.2.1","destination":null,"length":122}"#
        );
    }
}
