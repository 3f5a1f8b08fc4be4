//! Whole filters over capture files: what goes in by one port, what comes out by the other, and what is counted.

mod support;

use photongate_filter::{Filter, Observer, Running, StartError};
use photongate_pipeline::{DropReason, Verdict};
use photongate_wire::Nanos;
use std::sync::Arc;
use support::{address, captured, from_peer, now, options, udp, wait_until};
use tempfile::TempDir;

#[test]
fn what_comes_in_from_inside_leaves_encapsulated_and_the_other_way_round() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let ours: Vec<_> = (0..100).map(|n| udp(address("10.1.0.1"), address("10.2.0.1"), n, 64)).collect();
    let theirs: Vec<_> = (0..100).map(|n| udp(address("10.2.0.1"), address("10.1.0.1"), n, 64)).collect();
    let ports = Ports::new(&directory, &ours, &[&from_peer(&theirs, soon())]);

    let observer = settle(Filter::start_in(eal, ports.options(1)).unwrap(), 200);
    let tally = observer.report().tally();
    assert_eq!(tally.of(Verdict::Outbound).packets, 100);
    assert_eq!(tally.of(Verdict::Accepted).packets, 100);
    drop(observer);
    assert_eq!(captured(&ports.inside_out), theirs);
    let encapsulated = captured(&ports.outside_out);
    assert_eq!(encapsulated.len(), 100);
    assert!(encapsulated.iter().zip(&ours).all(|(outer, inner)| outer.len() == inner.len() + 64));
}

#[test]
fn a_replay_with_another_udp_port_is_refused_whichever_worker_receives_it() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let hosts = (1..=64).map(|host| udp([10, 2, 0, host], address("10.1.0.1"), 1, 64));
    let packets = from_peer(&hosts.collect::<Vec<_>>(), soon());
    let replays: Vec<_> = packets.iter().map(|packet| support::with_source_port(packet, 50_000)).collect();
    // Each worker polls a queue of its own, as with a card that hashes UDP ports.
    let ports = Ports::new(&directory, &[], &[&packets, &replays]);

    let observer = settle(Filter::start_in(eal, ports.options(2)).unwrap(), 128);
    let report = observer.report();
    assert_eq!(report.tally().of(Verdict::Accepted).packets, 64);
    assert_eq!(report.tally().of(Verdict::Dropped(DropReason::Duplicate)).packets, 64);
    // The packets are shared, too: not all went to one worker.
    assert!(report.workers.iter().all(|worker| worker.tally.received().packets > 16), "{report:?}");
    assert_eq!(report.lost_before(), 0);
}

#[test]
fn a_port_with_one_queue_serves_several_workers() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let hosts = (0..500).map(|n: u32| udp([10, 1, (n >> 8) as u8, n as u8], address("10.2.0.1"), n, 64));
    let ports = Ports::new(&directory, &hosts.collect::<Vec<_>>(), &[&[]]);

    let observer = settle(Filter::start_in(eal, ports.options(2)).unwrap(), 500);
    let report = observer.report();
    assert!(report.workers.iter().all(|worker| worker.tally.of(Verdict::Outbound).packets > 100), "{report:?}");
    assert_eq!(report.lost_before() + report.lost_after(), 0);
    drop(observer);
    assert_eq!(captured(&ports.outside_out).len(), 500);
}

#[test]
fn stopping_sends_what_has_arrived() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let hosts = (0..2000).map(|n: u32| udp([10, 1, (n >> 8) as u8, n as u8], address("10.2.0.1"), n, 64));
    let ports = Ports::new(&directory, &hosts.collect::<Vec<_>>(), &[&[]]);

    let observer = Filter::start_in(eal, ports.options(2)).unwrap().stop().unwrap();
    let report = observer.report();
    assert_eq!(report.tally().of(Verdict::Outbound).packets, 2000);
    assert_eq!(report.lost_before() + report.lost_after(), 0);
    drop(observer);
    assert_eq!(captured(&ports.outside_out).len(), 2000);
}

#[test]
fn every_packet_is_forwarded_or_dropped_for_a_reason_and_so_it_is_for_each_peer() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let genuine =
        from_peer(&(0..20).map(|n| udp(address("10.2.0.1"), address("10.1.0.1"), n, 64)).collect::<Vec<_>>(), soon());
    let mut forged = genuine[..5].to_vec();
    forged.iter_mut().for_each(|packet| packet[14 + 20 + 8 + 40] ^= 1);
    let mut altered = from_peer(&[udp(address("10.2.0.3"), address("10.1.0.1"), 1, 64)], soon());
    altered.iter_mut().for_each(|packet| *packet.last_mut().unwrap() ^= 1);
    let old =
        from_peer(&[udp(address("10.2.0.2"), address("10.1.0.1"), 1, 64)], now().saturating_sub(Nanos::from_secs(60)));
    let best_effort = vec![udp(address("10.9.0.1"), address("10.1.0.1"), 1, 64)];
    let all = [genuine, forged, altered, old, best_effort].concat();
    let ports = Ports::new(&directory, &[], &[&all]);

    let observer = settle(Filter::start_in(eal, ports.options(1)).unwrap(), 28);
    let tally = observer.report().tally();
    for (verdict, packets) in [
        (Verdict::Accepted, 20),
        (Verdict::BestEffort, 1),
        (Verdict::Dropped(DropReason::BadMac), 5),
        (Verdict::Dropped(DropReason::BadHash), 1),
        (Verdict::Dropped(DropReason::TimestampTooOld), 1),
    ] {
        assert_eq!(tally.of(verdict).packets, packets, "{verdict:?}");
    }
    assert_eq!(tally.received().packets, tally.forwarded().packets + tally.dropped().packets);
    let peer = observer.peers().remove(0).tally;
    assert_eq!(peer.received().packets, 27);
    assert_eq!(peer.dropped().packets, 7);
}

#[test]
fn outbound_fragments_are_put_together_and_those_that_lack_others_are_counted() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let mut sent = support::fragments(address("10.1.0.1"), address("10.2.0.1"), 1208, 400);
    sent.extend(support::fragments(address("10.1.0.2"), address("10.2.0.1"), 1208, 400).into_iter().take(2));
    let ports = Ports::new(&directory, &sent, &[&[]]);
    let mut options = ports.options(2);
    options.settings.reassemble = true;

    let observer = settle(Filter::start_in(eal, options).unwrap(), 1);
    let report = observer.report();
    assert_eq!(report.tally().of(Verdict::Outbound).packets, 1);
    let fragments = report.fragments();
    assert_eq!((fragments.received, fragments.reassembled, fragments.pending), (6, 1, 2));
    drop(observer);
    let out = captured(&ports.outside_out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].len(), 14 + 20 + 1208 + 64);
}

#[test]
fn a_packet_longer_than_any_buffer_is_lost_and_counted_and_the_rest_goes_on() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let (long, short) =
        (udp(address("10.1.0.1"), address("10.2.0.1"), 1, 5000), udp(address("10.1.0.1"), address("10.2.0.1"), 2, 64));
    let ports = Ports::new(&directory, &[long, short], &[&[]]);

    let observer = settle(Filter::start_in(eal, ports.options(1)).unwrap(), 1);
    let report = observer.report();
    assert_eq!(report.tally().of(Verdict::Outbound).packets, 1);
    assert_eq!(report.workers[0].unsuitable, 1);
    assert_eq!(report.lost_before(), 1);
}

#[test]
fn jumbo_frames_pass_between_ports_that_carry_them() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let ports = Ports::new(&directory, &[udp(address("10.1.0.1"), address("10.2.0.1"), 1, 8000)], &[&[]]);
    let mut options = ports.options(1);
    options.memory.buffers = 2047;
    options.settings.ports.iter_mut().for_each(|port| port.mtu = 9216);

    let observer = settle(Filter::start_in(eal, options).unwrap(), 1);
    assert_eq!(observer.report().tally().of(Verdict::Outbound).packets, 1);
    drop(observer);
    assert_eq!(captured(&ports.outside_out)[0].len(), 14 + 20 + 8 + 8000 + 64);
}

#[test]
fn a_port_that_is_not_there_is_named_and_nothing_keeps_running() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let ports = Ports::new(&directory, &[], &[&[]]);
    let mut options = ports.options(1);
    options.ports[1].device =
        photongate_filter::Device::Pci { address: "0000:ff:1f.7".to_owned(), arguments: "0000:ff:1f.7".to_owned() };
    let error = Filter::start_in(eal, options).err().unwrap();
    assert!(matches!(error, StartError::Port { .. }));
    let message = error.to_string();
    assert!(message.contains("port outside") && message.contains("0000:ff:1f.7"), "{message}");
    assert!(message.contains("net_pcap_in"), "what is there is listed: {message}");
    // The devices are free again.
    settle(Filter::start_in(eal, ports.options(1)).unwrap(), 0);
}

#[test]
fn more_workers_than_lcores_are_refused() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let ports = Ports::new(&directory, &[], &[&[]]);
    assert!(matches!(Filter::start_in(eal, ports.options(3)).err(), Some(StartError::Options(_))));
}

#[test]
fn too_few_buffers_for_the_queues_are_refused_with_the_number_needed() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let ports = Ports::new(&directory, &[], &[&[]]);
    let mut options = ports.options(1);
    options.memory.buffers = 255;
    let error = Filter::start_in(eal, options).err().unwrap();
    assert!(matches!(error, StartError::TooFewBuffers { buffers: 255, queues: 4, needed: 344 }), "{error}");
}

/// Two ports made of capture files.
struct Ports {
    inside: String,
    outside: String,
    inside_out: std::path::PathBuf,
    outside_out: std::path::PathBuf,
}

impl Ports {
    /// Inside receives one file, outside as many as it shall have queues.
    fn new(directory: &TempDir, inside: &[Vec<u8>], outside: &[&[Vec<u8>]]) -> Self {
        let directory = directory.path();
        let (inside_out, outside_out) = (directory.join("inside-out.pcap"), directory.join("outside-out.pcap"));
        let inside = support::capture(directory, "inside.pcap", inside);
        let inside = format!("net_pcap_in0,rx_pcap={},tx_pcap={}", inside.display(), inside_out.display());
        let mut device = "net_pcap_out0".to_owned();
        for (queue, frames) in outside.iter().enumerate() {
            let file = support::capture(directory, &format!("outside{queue}.pcap"), frames);
            device += &format!(",rx_pcap={}", file.display());
        }
        let outside = format!("{device},tx_pcap={}", outside_out.display());
        Self { inside, outside, inside_out, outside_out }
    }

    fn options(&self, workers: usize) -> photongate_filter::FilterOptions {
        options(&self.inside, &self.outside, workers)
    }
}

/// Waits until so many packets have their verdict, then stops.
fn settle(running: Running, packets: u64) -> Arc<Observer> {
    wait_until(|| running.observer().report().tally().received().packets >= packets);
    running.stop().unwrap()
}

/// A send time that lies after the start of the filter, and that it still accepts.
fn soon() -> photongate_wire::UnixNanos {
    now().saturating_add(Nanos::from_millis(900))
}
