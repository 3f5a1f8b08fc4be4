//! Keys in words: a line for each of many peers, or all there is to say of one.

use std::fmt::Write;

use jiff::Timestamp;
use photongate_agent::api::{Degraded, KeyEpoch, Peer, PeerKeys};

use super::whose::named;
use crate::commands::aslist::changes::name;
use crate::numbers::{relative, seconds_until, span};

/// What stands above [`row`]s.
pub(super) fn head() -> String {
    line(["PEER", "NAME", "INBOUND ENDS", "OUTBOUND ENDS", "NEXT FETCH", "STATE"].map(str::to_owned))
}

/// A peer in one line.
pub(super) fn row(peer: &Peer, now: Timestamp) -> String {
    let ends = |epoch: &Option<KeyEpoch>, old: &Option<KeyEpoch>| match (epoch, old) {
        (None, None) => "NO KEY".to_owned(),
        (None, Some(epoch)) => relative(&epoch.end, now),
        (Some(epoch), None) => relative(&epoch.end, now),
        (Some(epoch), Some(_)) => format!("{} +old", relative(&epoch.end, now)),
    };
    let PeerKeys { inbound, inbound_old, outbound, outbound_old, next_fetch_at } = &peer.keys;
    let next = next_fetch_at.as_ref().map_or_else(|| "-".to_owned(), |instant| relative(instant, now));
    let state = peer.degraded.as_ref().map_or_else(|| "ok".to_owned(), |degraded| state(degraded, now));
    let called = peer.name.clone().unwrap_or_default();
    line([name(&named(peer)), called, ends(inbound, inbound_old), ends(outbound, outbound_old), next, state])
}

/// All there is to say of a peer's keys.
pub(super) fn details(peer: &Peer, now: Timestamp) -> String {
    let called = peer.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    // Which encapsulation it is goes without saying where there is but the usual one.
    let encapsulation =
        if peer.encapsulation == "lf" { String::new() } else { format!(", sent {}", peer.encapsulation) };
    let title = format!("{}{called}, keys from {}{encapsulation}\n", name(&named(peer)), peer.key_source);
    title + &containers(&peer.keys, now) + &trouble(peer.degraded.as_ref(), now)
}

/// The four containers, a line each, and when the next key is fetched.
pub(super) fn containers(keys: &PeerKeys, now: Timestamp) -> String {
    let PeerKeys { inbound, inbound_old, outbound, outbound_old, next_fetch_at } = keys;
    let mut text = String::new();
    for (label, epoch) in
        [("inbound", inbound), ("  replaces", inbound_old), ("outbound", outbound), ("  replaces", outbound_old)]
    {
        let times = match epoch {
            Some(KeyEpoch { start, end }) => format!("{start} to {end}, {}", left(start, end, now)),
            None => "-".to_owned(),
        };
        let _ = writeln!(text, "  {label:<12} {times}");
    }
    if let Some(next) = next_fetch_at {
        let _ = writeln!(text, "  {:<12} {next}, {}", "next fetch", relative(next, now));
    }
    text
}

/// What is wrong with a peer's keys, if anything.
pub(super) fn trouble(degraded: Option<&Degraded>, now: Timestamp) -> String {
    let Some(degraded) = degraded else { return String::new() };
    let mut text = format!("  {:<12} {}\n", "DEGRADED", degraded.reason);
    let _ = writeln!(text, "  {:<12} {}, attempts since then: {}", "since", degraded.since, degraded.attempts);
    if let Some(next) = &degraded.next_attempt_at {
        let _ = writeln!(text, "  {:<12} {next}, {}", "tried again", relative(next, now));
    }
    if let Some(dark) = &degraded.dark_at {
        let label = if degraded.is_dark { "DARK since" } else { "dark at" };
        let _ = writeln!(
            text,
            "  {label:<12} {dark}, {}: without a key the peer's traffic is dropped",
            relative(dark, now)
        );
    }
    text
}

/// How long the key of an epoch is used yet, or until it is.
fn left(start: &str, end: &str, now: Timestamp) -> String {
    if seconds_until(start, now).is_some_and(|seconds| seconds > 0) {
        return format!("begins {}", relative(start, now));
    }
    let verb = if seconds_until(end, now).is_some_and(|seconds| seconds < 0) { "ended" } else { "ends" };
    format!("{verb} {}", relative(end, now))
}

fn state(degraded: &Degraded, now: Timestamp) -> String {
    let seconds = degraded.dark_at.as_ref().and_then(|dark_at| seconds_until(dark_at, now));
    let fate = match seconds {
        _ if degraded.is_dark => "DARK".to_owned(),
        Some(seconds) => {
            format!("DEGRADED, dark in {}", span(std::time::Duration::from_secs(seconds.max(0).unsigned_abs())))
        }
        None => "DEGRADED".to_owned(),
    };
    format!("{fate}: {}", degraded.reason)
}

fn line([peer, name, inbound, outbound, next, state]: [String; 6]) -> String {
    let line = format!("{peer:<22} {name:<12} {inbound:<20} {outbound:<20} {next:<15} {state}");
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use photongate_agent::api::Traffic;

    use super::*;

    #[test]
    fn a_row_says_when_keys_end_and_what_is_wrong() {
        let row = row(&peer(), now());
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "20-ff00:0:112/3 Zurich in 2 h 0 min +old NO KEY in 1 h 0 min DEGRADED, dark in 5 min 0 s: no answer"
        );
    }

    #[test]
    fn the_details_name_each_container_and_the_time_it_goes_dark() {
        let details = details(&peer(), now());
        for part in [
            "20-ff00:0:112/3 Zurich, keys from shared_secret\n",
            "  inbound      2026-11-21T02:00:00Z to 2026-11-21T05:00:00Z, ends in 2 h 0 min\n",
            "    replaces   2026-11-20T23:00:00Z to 2026-11-21T02:00:00Z, ended 1 h 0 min ago\n",
            "  outbound     -\n",
            "  DEGRADED     no answer\n",
            "  dark at      2026-11-21T03:05:00Z, in 5 min 0 s",
        ] {
            assert!(details.contains(part), "{part} is missing in\n{details}");
        }
    }

    fn peer() -> Peer {
        let epoch = |start: &str, end: &str| Some(KeyEpoch { start: start.to_owned(), end: end.to_owned() });
        Peer {
            isd_as: "20-ff00:0:112".to_owned(),
            drkey_protocol: 3,
            name: Some("Zurich".to_owned()),
            prefixes: Vec::new(),
            key_source: "shared_secret".to_owned(),
            encapsulation: "lf".to_owned(),
            accept: vec!["lf".to_owned()],
            traffic: Traffic::default(),
            keys: PeerKeys {
                inbound: epoch("2026-11-21T02:00:00Z", "2026-11-21T05:00:00Z"),
                inbound_old: epoch("2026-11-20T23:00:00Z", "2026-11-21T02:00:00Z"),
                outbound: None,
                outbound_old: None,
                next_fetch_at: Some("2026-11-21T04:00:00Z".to_owned()),
            },
            degraded: Some(Degraded {
                reason: "no answer".to_owned(),
                since: "2026-11-21T02:30:00Z".to_owned(),
                attempts: 3,
                next_attempt_at: None,
                dark_at: Some("2026-11-21T03:05:00Z".to_owned()),
                is_dark: false,
            }),
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T03:00:00Z".parse().unwrap()
    }
}
