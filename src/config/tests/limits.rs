//! `[limits]`, `[best_effort]`, `[wireguard]`, `[inbound]`, `[outbound]`.

use super::*;

#[test]
fn bad_limits_are_refused() {
    refused(
        "[limits]\noverall = {}",
        "limits.overall: limits nothing: add bits_per_second or packets_per_second, or remove it",
    );
    refused(
        "[limits]\npeer = { burst_bytes = 9000 }",
        "limits.peer.burst_bytes: burst_bytes has no effect without bits_per_second: add bits_per_second, or remove burst_bytes",
    );
    refused(
        "[limits]\nauthenticated = { bits_per_second = 1000, burst_bytes = 1 }",
        "limits.authenticated.burst_bytes: burst_bytes is 1: packets larger than the burst never pass, so give at least 1518",
    );
    refused(
        "[limits]\nicmp_errors = { packets_per_second = 200_000_000_000_000 }",
        "limits.icmp_errors.packets_per_second: packets_per_second is more than 100000000000000: for no limit, leave it out",
    );
    refused("[best_effort]\nlimit = 5", "best_effort.limit: this is a whole number: write a table of fields");
    refused("[wireguard]\nport = 51820", "wireguard: limits nothing: add handshake or data, or remove [wireguard]");
    refused("[wireguard]\nport = 0\ndata = { packets_per_second = 1 }", "wireguard.port: 0 is too small: 1 to 65535");
}

#[test]
fn destinations_have_one_limit_each() {
    let limit = "limit = { packets_per_second = 1 }";
    let text = format!(
        "[limits]\ndestinations = [{{ prefix = \"10.0.0.0/8\", {limit} }}, {{ prefix = \"10.0.0.0/8\", {limit} }}]"
    );
    refused(
        &text,
        "limits.destinations[1].prefix: 10.0.0.0/8 has a limit already, in limits.destinations[0]: keep one",
    );
    refused(
        "[limits]\ndestinations = [{ prefix = \"10.0.0.0/8\" }]",
        "limits.destinations[0].limit: missing: add limit = { bits_per_second = 1_000_000_000 }",
    );
}

#[test]
fn bad_traffic_rules_are_refused() {
    refused(
        "[outbound]\nunknown_destination = \"reject\"",
        r#"outbound.unknown_destination: "reject" is not a choice here: write "forward" or "drop""#,
    );
    refused(
        "[outbound]\nfragments = \"forward\"",
        r#"outbound.fragments: "forward" is not a choice here: write "drop" or "reassemble""#,
    );
    refused("[inbound]\nnext_hop = 1", "inbound.next_hop: 1 is a whole number: write text in quotes");
}

#[test]
fn best_effort_that_can_use_up_the_overall_limit_is_warned_about() {
    let overall = "[limits]\noverall = { packets_per_second = 1000 }\n";
    let warnings = |best_effort: &str| {
        let config = FilterConfig::parse(FILE.as_ref(), &format!("{MINIMAL}{overall}{best_effort}")).unwrap();
        (config.best_effort.is_some(), config.warnings.len())
    };
    assert_eq!(warnings(""), (false, 0));
    assert_eq!(warnings("[best_effort]\nenabled = false\n"), (false, 0));
    assert_eq!(warnings("[best_effort]\nlimit = { packets_per_second = 10 }\n"), (true, 0));
    assert_eq!(warnings("[best_effort]\n"), (true, 1));
}
