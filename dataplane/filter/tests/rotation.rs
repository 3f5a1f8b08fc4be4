//! Keys that are replaced while packets flow, the way whoever holds [`photongate_filter::Control`] does it.

mod support;

use photongate_drkey::KeyTimes;
use photongate_filter::Filter;
use photongate_pipeline::limits::Limit;
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::{Entry, PeerState, Settings, Verdict};
use photongate_wire::Nanos;
use std::sync::Arc;
use std::time::Duration;
use support::{LOCAL, address, options, udp};
use tempfile::TempDir;

/// The filter is its own peer: what it encapsulates comes back by a ring, and what it accepts from there it forwards into
/// nothing. The keys change twice in every epoch, of which some pass.
#[test]
fn no_packet_is_lost_when_keys_rotate() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let packets: Vec<_> = (1..=32).map(|host| udp([10, 1, 0, host], address("10.2.0.1"), 1, 64)).collect();
    let source = support::capture(directory.path(), "source.pcap", &packets);
    let inside = format!("net_pcap_in0,rx_pcap={},infinite_rx=1,tx_pcap=/dev/null", source.display());
    let times = KeyTimes {
        epoch: Nanos::from_millis(1_500),
        prefetch: Nanos::from_millis(500),
        grace: Nanos::from_millis(300),
        time_threshold: Nanos::from_millis(300),
    };
    let mut options = options(&inside, "net_ring_loop0", 1);
    options.settings = support::settings(LOCAL, LOCAL, "10.2.0.0/16", times);
    let rotation = support::rotation(LOCAL, LOCAL, times);
    options.peers[0].key = support::peer_key(LOCAL);
    options.peers[0].keys = rotation.key_set(support::now());

    let mut running = Filter::start_in(eal, options).unwrap();
    let mut control = running.take_control().unwrap();
    let peer = Arc::new(PeerState::new(support::peer_key(LOCAL), Limit::UNLIMITED, control.workers()));
    for _ in 0..5 {
        let before = running.observer().report().tally().of(Verdict::Accepted).packets;
        for _ in 0..100 {
            let keys = rotation.key_set(control.clock().unix);
            control.publish(Entry::new(Arc::clone(&peer), keys)).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(running.observer().report().tally().of(Verdict::Accepted).packets > before, "packets flow");
    }
    assert_eq!(running.observer().peers().len(), 1);
    let report = running.stop().unwrap().report();
    let tally = report.tally();
    assert_eq!(tally.dropped().packets, 0, "{tally:?}");
    assert_eq!(report.lost_before(), 0);
    let sent = tally.of(Verdict::Outbound).packets - report.ports[1].transmit_lost;
    // The source never ends, so the last burst may still be on the ring.
    let on_the_ring = sent - tally.of(Verdict::Accepted).packets;
    assert!(on_the_ring <= 64, "{on_the_ring} of {sent} packets are missing");
}

/// What waits for a grace period must know that no worker still acts by what was before.
#[test]
fn after_a_grace_period_every_worker_acts_by_the_new_settings() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let packets: Vec<_> = (1..=32).map(|host| udp([10, 1, 0, host], address("10.2.0.1"), 1, 64)).collect();
    let source = support::capture(directory.path(), "source.pcap", &packets);
    let inside = format!("net_pcap_in0,rx_pcap={},infinite_rx=1,tx_pcap=/dev/null", source.display());
    let mut running = Filter::start_in(eal, options(&inside, "net_null0", 1)).unwrap();
    let mut control = running.take_control().unwrap();
    let outbound = || running.observer().report().tally().of(Verdict::Outbound).packets;
    support::wait_until(|| outbound() > 0);
    for _ in 0..20 {
        let before = control.settings();
        let mut without_routes = Settings::clone(&before);
        without_routes.routes = RouteTable::default();
        control.replace_settings(without_routes);
        let grace = control.begin_grace();
        support::wait_until(|| control.is_over(grace));
        let at_once = outbound();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(outbound(), at_once, "nothing is for the peer any more");
        control.replace_settings(Settings::clone(&before));
        support::wait_until(|| outbound() > at_once);
    }
    running.stop().unwrap();
}
