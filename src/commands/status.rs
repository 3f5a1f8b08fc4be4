//! `photongate status`: a running filter at a glance.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use photongate_agent::api::{AsListInForce, AsListOrigin, Count, Peer, Status, Worker};
use photongate_agent::client::PeersAsked;

use crate::failure::Failure;
use crate::management::{Reach, print_json};
use crate::numbers::{grouped, relative, scaled_in, span};
use crate::output;

/// Show a running filter at a glance
///
/// Says whether it is ready or why not, what became of the packets, the most frequent drop reasons, how busy the workers are, which
/// peers lack keys, and which AS list is in force. Counters run from the start of the filter; rates are in `photongate top`.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    sudo photongate status
    photongate status --json | jq .traffic.dropped
    photongate status > /dev/null || echo \"not ready\"
    photongate status --url http://127.0.0.1:8479 --token-file /var/lib/photongate/read.token

Exit status: 0 if the filter is ready; 1 if it runs and is not ready; 2 if it cannot be asked.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,

    /// Print what the filter answers, one JSON object
    #[arg(long)]
    json: bool,
}

/// Asks the filter, and prints what it says.
///
/// # Errors
/// The filter is not ready, or cannot be asked.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let status = if arguments.json { json(arguments)? } else { text(arguments)? };
    // What there is to say has been said: only the exit status is left.
    if status.ready { Ok(()) } else { Err(Failure::at_run_time("")) }
}

fn json(arguments: &Arguments) -> Result<Status, Failure> {
    let status = arguments.reach.filter()?.look(|client| async move { client.status().await })?;
    print_json(&status)?;
    Ok(status)
}

fn text(arguments: &Arguments) -> Result<Status, Failure> {
    let filter = arguments.reach.filter()?;
    let degraded = PeersAsked { degraded: true, limit: Some(DEGRADED_SHOWN), ..PeersAsked::default() };
    let (status, workers, degraded) = filter.look(|client| async move {
        Ok((client.status().await?, client.workers().await?, client.peers(&degraded).await?))
    })?;
    output::print(&in_words(&status, &workers, &degraded.peers, Timestamp::now()))?;
    Ok(status)
}

fn in_words(status: &Status, workers: &[Worker], degraded: &[Peer], now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("filter", format!("photongate {} of AS {}", status.version, status.isd_as));
    line("state", if status.ready { "ready" } else { "NOT READY" }.to_owned());
    for reason in &status.not_ready_because {
        line("", format!("- {reason}"));
    }
    line("up for", format!("{}, since {}", span(Duration::from_secs(status.uptime_s)), status.started_at));
    line("AS list", as_list(&status.as_list, now));
    if let Some(refusal) = &status.as_list.last_refusal {
        line("", format!("the last change was refused: {refusal}"));
    }
    let peers = status.peers;
    line(
        "peers",
        format!(
            "{}: {} with keys, {} degraded, {} dark",
            grouped(peers.total as u64),
            grouped(peers.with_keys as u64),
            grouped(peers.degraded as u64),
            grouped(peers.dark as u64)
        ),
    );
    for peer in degraded {
        line("", format!("- {}", degraded_peer(peer, now)));
    }
    if peers.degraded > degraded.len() {
        line(
            "",
            format!("- and {} more: photongate keys --degraded", grouped((peers.degraded - degraded.len()) as u64)),
        );
    }
    line("workers", busy(workers));
    line("packets", counted(status.traffic.received));
    for (verdict, count) in &status.traffic.verdicts {
        line("", format!("{verdict:<12} {}", counted(*count)));
    }
    line("", format!("{:<12} {}", "dropped", counted(status.traffic.all_dropped())));
    let mut reasons: Vec<_> = status.traffic.dropped.iter().collect();
    reasons.sort_by_key(|(name, count)| (Reverse(count.packets), *name));
    for (reason, count) in reasons.iter().take(REASONS_SHOWN) {
        line("", format!("  {:>14} {reason}", grouped(count.packets)));
    }
    if reasons.len() > REASONS_SHOWN {
        line("", format!("  and {} more reasons: photongate status --json", reasons.len() - REASONS_SHOWN));
    }
    line(
        "lost",
        format!(
            "{} before a verdict, {} after it",
            grouped(status.lost_before_verdict),
            grouped(status.lost_after_verdict)
        ),
    );
    text
}

/// Which list is in force, since when, and where it came from.
pub(crate) fn as_list(list: &AsListInForce, now: Timestamp) -> String {
    let origin = match &list.origin {
        AsListOrigin::File { path } => format!("from {path}"),
        AsListOrigin::Http { by } => format!("put here by {by}"),
        AsListOrigin::LastGood => "as before the last start: its file is gone or has mistakes".to_owned(),
    };
    let applied = relative(&list.applied_at, now);
    format!("generation {}, {} peers, {origin}, applied {applied}", list.generation, grouped(list.peers as u64))
}

/// What packets to a peer are put into, and what is accepted from it if that is not the same.
pub(crate) fn encapsulation(peer: &Peer) -> String {
    if peer.accept == [peer.encapsulation.as_str()] {
        return peer.encapsulation.clone();
    }
    format!("{}, accepts {}", peer.encapsulation, peer.accept.join(" and "))
}

/// A degraded peer in a line: which, its encapsulation, why it is degraded, and when it goes dark.
fn degraded_peer(peer: &Peer, now: Timestamp) -> String {
    let called = peer.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let peer_is = format!("{}/{}{called} ({})", peer.isd_as, peer.drkey_protocol, encapsulation(peer));
    let Some(degraded) = &peer.degraded else { return peer_is };
    let fate = match &degraded.dark_at {
        _ if degraded.is_dark => "DARK, its traffic is dropped".to_owned(),
        Some(dark_at) => format!("dark {}", relative(dark_at, now)),
        None => "degraded".to_owned(),
    };
    format!("{peer_is}: {fate}: {}", degraded.reason)
}

fn busy(workers: &[Worker]) -> String {
    let each: Vec<_> = workers
        .iter()
        .map(|worker| if worker.polling { format!("{:.0}%", worker.busy * 100.0) } else { "HANGS".to_owned() })
        .collect();
    format!("{}: busy {}", workers.len(), each.join(" "))
}

fn counted(count: Count) -> String {
    format!("{:>16}  {:>8}", grouped(count.packets), scaled_in(count.bytes as f64, "B"))
}

/// How many reasons are shown: the worst, not all.
const REASONS_SHOWN: usize = 5;

/// How many degraded peers are shown.
const DEGRADED_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use photongate_agent::api::{Degraded, PeerKeys, PeerSummary, Traffic};

    use super::*;

    #[test]
    fn a_glance_shows_why_the_filter_is_not_ready_and_what_is_dropped_most() {
        let text = in_words(&status(), &[worker(true, 0.126), worker(false, 0.0)], &[peer()], now());
        for part in [
            "state        NOT READY\n             - worker 1 does not poll\n",
            "up for       1 d 1 h, since 2026-11-20T02:00:00Z\n",
            "AS list      generation 7, 2 peers, put here by user 0, applied 1 h 0 min ago\n",
            "peers        2: 1 with keys, 3 degraded, 1 dark\n",
            "- 20-ff00:0:112/3 Zurich (lf2): dark in 10 min 0 s: the secret cannot be read\n",
            "- and 2 more: photongate keys --degraded\n",
            "workers      2: busy 13% HANGS\n",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(
            text.find("10 reason_5").unwrap() < text.find("5 reason_0").unwrap(),
            "the most frequent first:\n{text}"
        );
        assert!(text.contains("and 1 more reasons") && !text.contains("reason_4"), "only the worst:\n{text}");
    }

    #[test]
    fn what_a_peer_may_send_is_said_while_it_is_not_what_it_is_sent() {
        let mut peer = peer();
        assert_eq!(encapsulation(&peer), "lf2");
        peer.encapsulation = "lf".to_owned();
        peer.accept = vec!["lf".to_owned(), "lf2".to_owned()];
        assert_eq!(encapsulation(&peer), "lf, accepts lf and lf2");
    }

    fn status() -> Status {
        let count = |packets| Count { packets, bytes: packets * 100 };
        let dropped =
            [5, 1, 1, 3, 0, 10].into_iter().enumerate().map(|(n, packets)| (format!("reason_{n}"), count(packets)));
        Status {
            version: "0.1.0".to_owned(),
            isd_as: "1-ff00:0:111".to_owned(),
            started_at: "2026-11-20T02:00:00Z".to_owned(),
            uptime_s: 90_000,
            ready: false,
            not_ready_because: vec!["worker 1 does not poll".to_owned()],
            workers: 2,
            peers: PeerSummary { total: 2, with_keys: 1, degraded: 3, dark: 1 },
            as_list: AsListInForce {
                generation: 7,
                digest: String::new(),
                peers: 2,
                origin: AsListOrigin::Http { by: "user 0".to_owned() },
                applied_at: "2026-11-21T02:00:00Z".to_owned(),
                last_refusal: None,
            },
            traffic: Traffic { received: count(1_000), dropped: dropped.collect(), ..Traffic::default() },
            lost_before_verdict: 0,
            lost_after_verdict: 0,
            ports_received: Count::default(),
        }
    }

    fn worker(polling: bool, busy: f64) -> Worker {
        Worker { polling, busy, ..Worker::default() }
    }

    fn peer() -> Peer {
        Peer {
            isd_as: "20-ff00:0:112".to_owned(),
            drkey_protocol: 3,
            name: Some("Zurich".to_owned()),
            prefixes: Vec::new(),
            key_source: "shared_secret".to_owned(),
            encapsulation: "lf2".to_owned(),
            accept: vec!["lf2".to_owned()],
            traffic: Traffic::default(),
            keys: PeerKeys::default(),
            degraded: Some(Degraded {
                reason: "the secret cannot be read".to_owned(),
                since: String::new(),
                attempts: 3,
                next_attempt_at: None,
                dark_at: Some("2026-11-21T03:10:00Z".to_owned()),
                is_dark: false,
            }),
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T03:00:00Z".parse().unwrap()
    }
}
