use std::sync::Arc;

use photongate_pipeline::{ControlPolicy, NextHop, SourcePort};
use photongate_wire::MacAddress;

use super::*;
use crate::settings::pipeline_settings;

#[test]
fn the_same_configuration_changes_nothing_and_keeps_every_limit() {
    let (settings, reload) = reloaded("").unwrap();
    assert_eq!(reload.fields, Vec::<String>::new());
    assert!(reload.peer_limit.is_none());
    let (before, after) = (limits(&settings), limits(&reload.settings));
    assert!(before.len() > 8 && before.len() == after.len());
    assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
}

#[test]
fn only_the_limit_that_changes_is_made_anew() {
    let changes = [
        ("overall = { packets_per_second = 1 }", "limits.overall.packets_per_second"),
        ("authenticated = { packets_per_second = 2 }", "limits.authenticated.packets_per_second"),
        ("icmp_errors = { packets_per_second = 3 }", "limits.icmp_errors.packets_per_second"),
        (
            "prefix = \"10.1.0.0/16\", limit = { packets_per_second = 6 }",
            "limits.destinations[1].limit.packets_per_second",
        ),
        ("handshake = { packets_per_second = 7 }", "wireguard.handshake.packets_per_second"),
        ("data = { packets_per_second = 8 }", "wireguard.data.packets_per_second"),
        ("limit = { packets_per_second = 9 }", "best_effort.limit.packets_per_second"),
    ];
    for (old, field) in changes {
        let new = old.replace(" }", "0000 }");
        let (settings, reload) = replaced(old, &new).unwrap();
        assert!(reload.fields.contains(&field.to_owned()), "{:?}", reload.fields);
        assert_eq!(made_anew(&settings, &reload.settings), 1, "{field}");
    }
    // One for each port.
    let (settings, reload) =
        replaced("control = { packets_per_second = 4 }", "control = { packets_per_second = 40 }").unwrap();
    assert_eq!(made_anew(&settings, &reload.settings), 2);
}

#[test]
fn a_limit_that_is_only_written_differently_is_kept() {
    let old = "overall = { packets_per_second = 1 }";
    let (settings, reload) = replaced(old, "overall = { packets_per_second = 1, burst_packets = 32 }").unwrap();
    assert_eq!(reload.fields, Vec::<String>::new());
    assert_eq!(made_anew(&settings, &reload.settings), 0);
}

#[test]
fn a_destination_that_moves_within_the_list_keeps_its_limit() {
    let list = "{ prefix = \"10.0.0.0/16\", limit = { packets_per_second = 5 } }";
    let (settings, reload) = replaced(&format!("{list}, "), "").unwrap();
    assert_eq!(reload.fields, ["limits.destinations"]);
    let (before, after) = (settings.destinations.unwrap(), reload.settings.destinations.unwrap());
    assert!(Arc::ptr_eq(&before.limits()[1], &after.limits()[0]));
}

#[test]
fn the_limit_of_all_peers_is_handed_out_if_it_changes() {
    let (_, reload) = replaced("peer = { packets_per_second = 11 }", "peer = { packets_per_second = 12 }").unwrap();
    assert_eq!(reload.peer_limit.unwrap().packets_per_second, Some(12));
    assert_eq!(reload.fields, ["limits.peer.packets_per_second"]);
}

#[test]
fn what_decides_about_packets_is_taken_up() {
    let (_, reload) = reloaded("").unwrap();
    assert_eq!(reload.settings.lf.source_port, SourcePort::Fixed);
    for (old, new, field) in [
        ("source_port = \"fixed\"", "source_port = \"flow\"", "lf.source_port"),
        ("port = 49149", "port = 49150", "lf.port"),
        ("public_address = [\"192.0.2.1\"]", "public_address = [\"192.0.2.2\"]", "lf.public_address"),
        ("unknown_destination = \"forward\"", "unknown_destination = \"drop\"", "outbound.unknown_destination"),
        ("clamp_mss = true", "clamp_mss = false", "outbound.clamp_mss"),
        ("control = \"kernel\"", "control = \"drop\"", "ports[0].control"),
        ("addresses = [\"10.0.0.1\"]", "addresses = [\"10.0.0.2\"]", "ports[0].addresses"),
        ("[inbound]", "[inbound]\nnext_hop = \"swap\"", "inbound.next_hop"),
    ] {
        let (_, reload) = replaced(old, new).unwrap();
        assert_eq!(reload.fields, [field]);
    }
    let (_, reload) = replaced("control = \"kernel\"", "control = \"drop\"").unwrap();
    assert_eq!(reload.settings.ports[0].control, ControlPolicy::Drop);
    let (_, reload) = replaced("[inbound]", "[inbound]\nnext_hop = \"swap\"").unwrap();
    assert_eq!(reload.settings.inbound_next_hop, Some(NextHop::Swap));
}

#[test]
fn what_only_the_devices_know_stays() {
    let config = config(CONFIG);
    let mut settings = pipeline_settings(&config, NOW);
    settings.ports[0].mac = MacAddress([2, 0, 0, 0, 0, 99]);
    settings.ports[0].udp_checksum_offload = true;
    let new = self::config(&CONFIG.replace("control = \"kernel\"", "control = \"drop\""));
    let reload = plan(&config, &new, &settings, NOW).unwrap();
    assert_eq!(reload.settings.ports[0].mac, settings.ports[0].mac);
    assert!(reload.settings.ports[0].udp_checksum_offload);
}

#[test]
fn best_effort_and_wireguard_can_be_switched_off_and_on() {
    let off = CONFIG.replace("[best_effort]", "[best_effort]\nenabled = false");
    let (with, without) = (config(CONFIG), config(&off));
    let reload = plan(&with, &without, &pipeline_settings(&with, NOW), NOW).unwrap();
    assert!(reload.settings.best_effort.is_none());
    assert!(reload.fields.contains(&"best_effort.enabled".to_owned()));
    let reload = plan(&without, &with, &pipeline_settings(&without, NOW), NOW).unwrap();
    assert!(reload.settings.best_effort.is_some());
}

#[test]
fn what_takes_a_restart_is_named_and_nothing_else_is_done() {
    for (old, new, field) in [
        ("isd_as = \"1-ff00:0:111\"", "isd_as = \"1-ff00:0:110\"", "isd_as"),
        ("drkey_protocol = 3", "drkey_protocol = 4", "lf.drkey_protocol"),
        ("epoch = \"3d\"", "epoch = \"2d\"", "keys.epoch"),
        ("mtu = 1500", "mtu = 1400", "ports[0].mtu"),
        ("fragments = \"drop\"", "fragments = \"reassemble\"", "outbound.fragments"),
        ("count = 1", "count = 2", "workers.count"),
        ("public_address = [\"192.0.2.1\"]", "", "lf.public_address"),
        ("directory = \"/var/lib/x\"", "directory = \"/var/lib/y\"", "state.directory"),
        ("requests_per_second = 5", "requests_per_second = 6", "api.requests_per_second"),
    ] {
        let new = format!("{new}\n");
        assert_eq!(replaced(old, &new).unwrap_err(), NeedsRestart { fields: vec![field.to_owned()] });
    }
    let text =
        CONFIG.replace("epoch = \"3d\"", "epoch = \"2d\"").replace("count = 1", "count = 2").replace("49149", "1");
    let old = config(CONFIG);
    let error = plan(&old, &config(&text), &pipeline_settings(&old, NOW), NOW).unwrap_err();
    let expected = "keys.epoch, workers.count: takes effect at the next start only. Nothing was changed: restart the filter, or \
                    undo this";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn another_port_takes_a_restart() {
    let text = CONFIG.to_owned()
        + "[[ports]]\nname = \"x\"\ndevice = \"net_null0\"\nrole = \"auto\"\nforward_to = \"outside\"\n";
    let old = config(CONFIG);
    let error = plan(&old, &config(&text), &pipeline_settings(&old, NOW), NOW).unwrap_err();
    assert_eq!(error.fields, ["ports"]);
}

/// What becomes of the configuration with `more` behind it, and the settings from before.
fn reloaded(more: &str) -> Result<(Settings, Reload), NeedsRestart> {
    let (old, new) = (config(CONFIG), config(&format!("{CONFIG}{more}")));
    let settings = pipeline_settings(&old, NOW);
    let reload = plan(&old, &new, &settings, NOW)?;
    Ok((settings, reload))
}

/// What becomes of the configuration with `new` in the place of `old`, and the settings from before.
fn replaced(old: &str, new: &str) -> Result<(Settings, Reload), NeedsRestart> {
    assert!(CONFIG.contains(old), "{old}");
    let (before, after) = (config(CONFIG), config(&CONFIG.replacen(old, new, 1)));
    let settings = pipeline_settings(&before, NOW);
    let reload = plan(&before, &after, &settings, NOW)?;
    Ok((settings, reload))
}

fn config(text: &str) -> FilterConfig {
    FilterConfig::parse("filter.toml".as_ref(), text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn limits(settings: &Settings) -> Vec<Arc<Limit>> {
    let mut limits = vec![&settings.overall, &settings.authenticated, &settings.icmp_errors];
    limits.extend(&settings.best_effort);
    limits.extend(settings.ports.iter().map(|port| &port.control_limit));
    limits.extend(settings.destinations.iter().flat_map(|destinations| destinations.limits()));
    limits.extend(settings.wireguard.iter().flat_map(|wireguard| [&wireguard.handshake, &wireguard.data]));
    limits.into_iter().cloned().collect()
}

fn made_anew(before: &Settings, after: &Settings) -> usize {
    limits(before).iter().zip(limits(after)).filter(|(before, after)| !Arc::ptr_eq(before, after)).count()
}

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

const CONFIG: &str = r#"isd_as = "1-ff00:0:111"
[lf]
port = 49149
drkey_protocol = 3
source_port = "fixed"
public_address = ["192.0.2.1"]
[keys]
epoch = "3d"
[workers]
count = 1
[limits]
overall = { packets_per_second = 1 }
authenticated = { packets_per_second = 2 }
icmp_errors = { packets_per_second = 3 }
control = { packets_per_second = 4 }
peer = { packets_per_second = 11 }
destinations = [{ prefix = "10.0.0.0/16", limit = { packets_per_second = 5 } }, { prefix = "10.1.0.0/16", limit = { packets_per_second = 6 } }]
[wireguard]
handshake = { packets_per_second = 7 }
data = { packets_per_second = 8 }
[best_effort]
limit = { packets_per_second = 9 }
[inbound]
[outbound]
unknown_destination = "forward"
fragments = "drop"
clamp_mss = true
[state]
directory = "/var/lib/x"
[api]
requests_per_second = 5
[[peers]]
isd_as = "20-ff00:0:112"
prefixes = ["10.248.2.0/24"]
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }]
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "inside"
mtu = 1500
forward_to = "outside"
exception = "pgx"
control = "kernel"
addresses = ["10.0.0.1"]
[[ports]]
name = "outside"
device = "net_tap1,iface=pg-out"
role = "outside"
forward_to = "inside"
"#;
